package phpsession

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Plain returns a value as programs have it that know nothing of PHP: a list as []any, any other array as map[string]any
// with integers among its keys as text, an int as int, and null, bool, float and string as they are. An empty array is an
// empty []any. An object stays an [*Object].
//
// Errors: [ErrUnsupported] for an array that contains itself, or more than a million values.
func Plain(value any) (any, error) {
	c := converter{left: maxConverted}
	return c.plain(plain(value), 0)
}

func (c *converter) plain(value any, depth int) (any, error) {
	if err := c.spend(depth); err != nil {
		return nil, err
	}
	switch value := value.(type) {
	case int64:
		if n := int(value); int64(n) == value {
			return n, nil
		}
	case *Array:
		if value.IsList() {
			return c.plainList(value.t, depth)
		}
		return c.plainMap(value.t, depth)
	}
	return value, nil
}

func (c *converter) plainList(t *table, depth int) ([]any, error) {
	list := make([]any, 0, min(len(t.elements), c.left))
	for _, e := range t.elements {
		v, err := c.plain(plain(e.value), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (c *converter) plainMap(t *table, depth int) (map[string]any, error) {
	m := make(map[string]any, min(len(t.elements), c.left))
	for _, e := range t.elements {
		v, err := c.plain(plain(e.value), depth+1)
		if err != nil {
			return nil, err
		}
		m[e.key.String()] = v
	}
	return m, nil
}

// Map returns the array as [Plain] does, as a map even if it is a list.
func (a *Array) Map() (map[string]any, error) {
	c := converter{left: maxConverted}
	return c.plainMap(a.t, 0)
}

// Update makes the array hold what the map holds, which is [Array.Map]'s after some changes. Elements that are equal stay
// as they are, in their places, down to any depth; new ones go to the end, in the order of their keys.
//
// Errors: as for [From]. The array may hold a part of the changes then.
func (a *Array) Update(values map[string]any) error {
	was, err := a.Map()
	if err != nil {
		return err
	}
	return a.update(was, values, 0)
}

func (a *Array) update(was, now map[string]any, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrUnsupported, MaxDepth)
	}
	t := a.own()
	t.index = nil
	t.elements = slices.DeleteFunc(t.elements, func(e element) bool {
		_, stays := now[e.key.String()]
		return !stays
	})
	added := func(x, y string) int { return compareKeys(KeyOf(x), KeyOf(y)) }
	for _, name := range slices.SortedFunc(maps.Keys(now), added) {
		old, known := was[name]
		if known && reflect.DeepEqual(old, now[name]) {
			continue
		}
		if err := a.replace(name, old, now[name], depth); err != nil {
			return fmt.Errorf("value %.50q: %w", name, err)
		}
	}
	return nil
}

// replace sets one element. An array that stays an array keeps what is equal in it.
func (a *Array) replace(name string, old, v any, depth int) error {
	was, wasArray := elementsOf(old)
	now, isArray := elementsOf(v)
	if i := a.t.named(name); i >= 0 && wasArray && isArray {
		_, toList := v.([]any)
		if nested, ok := a.at(i).(*Array); ok && (nested.IsList() || !toList) { // a list must be in order
			return nested.update(was, now, depth+1)
		}
	}
	converted, err := From(v)
	if err != nil {
		return err
	}
	return put(a, name, converted)
}

// elementsOf returns the elements of a map or list that Plain made.
func elementsOf(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, v != nil
	case []any:
		m := make(map[string]any, len(v))
		for i, e := range v {
			m[strconv.Itoa(i)] = e
		}
		return m, v != nil
	}
	return nil, false
}
