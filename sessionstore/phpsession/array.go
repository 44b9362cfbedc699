package phpsession

import (
	"fmt"
	"iter"
	"math"
	"slices"
)

// Array is a PHP array: elements in order, under keys that are integers or strings. A session is one too. It is not safe
// for concurrent use.
type Array struct {
	t *table
}

// table is what an Array holds. Arrays that are copies of each other share one until either is changed, or an array in it
// is handed out that could be.
type table struct {
	elements []element
	index    map[Key]int // of elements, once there are many
	next     int64       // the next free integer key
	full     bool        // there is none
	shared   bool
	open     bool // still being read
}

type element struct {
	key   Key
	value any // nil, bool, int64, float64, string, *Array, *Object, *ref or literal
}

// ref is a value that several places share: PHP's &.
type ref struct {
	value any // no *ref
}

// literal is a scalar that PHP wrote otherwise than it would today, as floats under another serialize_precision.
type literal struct {
	value any
	text  string
}

// NewArray returns an empty array.
func NewArray() *Array { return &Array{t: &table{}} }

// Len returns the number of elements.
func (a *Array) Len() int { return len(a.t.elements) }

// Clone returns a copy, as PHP makes one by assignment: changes of either do not show in the other, except through
// references and in objects.
func (a *Array) Clone() *Array {
	a.t.shared = true
	return &Array{t: a.t}
}

// own makes the table this array's alone.
func (a *Array) own() *table {
	if !a.t.shared {
		return a.t
	}
	elements := make([]element, len(a.t.elements))
	for i, e := range a.t.elements {
		if nested, ok := e.value.(*Array); ok {
			e.value = nested.Clone()
		}
		elements[i] = e
	}
	a.t = &table{elements: elements, next: a.t.next, full: a.t.full}
	return a.t
}

// All returns the elements in order. Do not add or delete any meanwhile.
func (a *Array) All() iter.Seq2[Key, any] {
	return func(yield func(Key, any) bool) {
		for i := range a.t.elements {
			if !yield(a.t.elements[i].key, a.at(i)) {
				return
			}
		}
	}
}

// at returns an element's value as the caller may have it.
func (a *Array) at(i int) any {
	if _, nested := a.t.elements[i].value.(*Array); nested {
		a.own()
	}
	return plain(a.t.elements[i].value)
}

// plain follows references and forgets how a value was written.
func plain(v any) any {
	if r, ok := v.(*ref); ok {
		v = r.value
	}
	if l, ok := v.(literal); ok {
		return l.value
	}
	return v
}

// IsList reports whether the keys are 0, 1, 2 and so on, in order: PHP's array_is_list.
func (a *Array) IsList() bool {
	for i, e := range a.t.elements {
		if e.key != IntKey(int64(i)) {
			return false
		}
	}
	return true
}

// Append adds a value under the next free integer key, as $array[] = does. Errors as for [Array.Set].
func (a *Array) Append(value any) error {
	v, err := From(value)
	if err != nil {
		return err
	}
	if a.t.full {
		return fmt.Errorf("%w: no key is left for another element", ErrUnsupported)
	}
	t := a.own()
	t.put(IntKey(t.next), v)
	return nil
}

// many is how many elements are searched one by one.
const many = 16

// find returns where the key is, or -1.
func (t *table) find(k Key) int {
	if len(t.elements) <= many {
		for i := range t.elements {
			if t.elements[i].key == k {
				return i
			}
		}
		return -1
	}
	if t.index == nil {
		t.index = make(map[Key]int, len(t.elements))
		for i, e := range t.elements {
			t.index[e.key] = i
		}
	}
	if i, ok := t.index[k]; ok {
		return i
	}
	return -1
}

// named returns where the element of that name is, or -1. In objects and sessions the name may be a string that looks
// like an integer.
func (t *table) named(name string) int {
	k := KeyOf(name)
	if i := t.find(k); i >= 0 || !k.integer {
		return i
	}
	return t.find(Key{text: name})
}

// add returns where the key is, under which a new element is made if there is none.
func (t *table) add(k Key) int {
	if i := t.find(k); i >= 0 {
		return i
	}
	t.elements = append(t.elements, element{key: k})
	if t.index != nil {
		t.index[k] = len(t.elements) - 1
	}
	switch {
	case !k.integer || k.number < t.next:
	case k.number == math.MaxInt64:
		t.full = true
	default:
		t.next = k.number + 1
	}
	return len(t.elements) - 1
}

// put sets a value, through a reference if there is one.
func (t *table) put(k Key, value any) {
	i := t.add(k)
	if r, ok := t.elements[i].value.(*ref); ok {
		r.value = value
		return
	}
	t.elements[i].value = value
}

func (t *table) remove(i int) {
	if i == len(t.elements)-1 && t.index != nil {
		delete(t.index, t.elements[i].key)
	} else {
		t.index = nil
	}
	t.elements = slices.Delete(t.elements, i, i+1)
}
