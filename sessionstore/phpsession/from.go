package phpsession

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// From returns what a Go value is in PHP:
//
//	nil, and nil pointers, maps and slices    null
//	bool; integers; floats                    bool; int; float
//	string, []byte                            string
//	slices and arrays                         array, a list
//	maps of string or integer keys            array, in the order of the keys
//	structs                                   array, of their exported fields, see [As]
//	pointers, interfaces                      what they point to
//	*Array                                    array: a copy
//	*Object                                   the object itself
//
// Errors: [ErrUnsupported] for anything else, an unsigned integer beyond 63 bits among it, and for more than [MaxDepth]
// levels.
func From(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int64, float64, string:
		return v, nil
	case int:
		return int64(v), nil
	case *Object:
		if v == nil {
			return nil, nil
		}
		return v, nil
	case *Array:
		if v == nil {
			return nil, nil
		}
		return v.Clone(), nil
	}
	return from(reflect.ValueOf(v), 0)
}

func from(v reflect.Value, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("%w: more than %d levels", ErrUnsupported, MaxDepth)
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if v.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%w: %d, PHP's integers end at %d", ErrUnsupported, v.Uint(), int64(math.MaxInt64))
		}
		return int64(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	case reflect.String:
		return v.String(), nil
	case reflect.Pointer, reflect.Interface:
		return fromPointer(v, depth)
	case reflect.Slice:
		if v.IsNil() {
			return nil, nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes()), nil
		}
		return fromList(v, depth)
	case reflect.Array:
		return fromList(v, depth)
	case reflect.Map:
		return fromMap(v, depth)
	case reflect.Struct:
		return fromStruct(v, depth)
	}
	return nil, fmt.Errorf("%w: a value of type %v", ErrUnsupported, v.Type())
}

func fromPointer(v reflect.Value, depth int) (any, error) {
	if v.IsNil() {
		return nil, nil
	}
	switch known := v.Interface().(type) {
	case *Array:
		return known.Clone(), nil
	case *Object:
		return known, nil
	}
	return from(v.Elem(), depth+1)
}

func fromList(v reflect.Value, depth int) (any, error) {
	a := NewArray()
	for i := range v.Len() {
		e, err := from(v.Index(i), depth+1)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		a.t.put(IntKey(int64(i)), e)
	}
	return a, nil
}

func fromMap(v reflect.Value, depth int) (any, error) {
	if v.IsNil() {
		return nil, nil
	}
	var elements []element
	for entries := v.MapRange(); entries.Next(); {
		k, err := mapKey(entries.Key())
		if err != nil {
			return nil, err
		}
		e, err := from(entries.Value(), depth+1)
		if err != nil {
			return nil, fmt.Errorf("element %.50q: %w", k.String(), err)
		}
		elements = append(elements, element{key: k, value: e})
	}
	slices.SortFunc(elements, func(x, y element) int { return compareKeys(x.key, y.key) })
	a := NewArray()
	for i, e := range elements {
		if i > 0 && e.key == elements[i-1].key { // as in a map[any]any of 1 and "1"
			return nil, fmt.Errorf("%w: key %v twice", ErrUnsupported, e.key)
		}
		a.t.put(e.key, e.value)
	}
	return a, nil
}

func mapKey(v reflect.Value) (Key, error) {
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.String {
		return KeyOf(v.String()), nil
	}
	if v.CanInt() {
		return IntKey(v.Int()), nil
	}
	if v.CanUint() && v.Uint() <= math.MaxInt64 {
		return IntKey(int64(v.Uint())), nil
	}
	return Key{}, fmt.Errorf("%w: a key of type %v", ErrUnsupported, v.Type())
}

// compareKeys orders integers before strings.
func compareKeys(a, b Key) int {
	switch {
	case a.integer && b.integer:
		return cmp.Compare(a.number, b.number)
	case a.integer:
		return -1
	case b.integer:
		return 1
	}
	return strings.Compare(a.text, b.text)
}

func fromStruct(v reflect.Value, depth int) (any, error) {
	a := NewArray()
	for _, f := range fieldsOf(v.Type()) {
		e, err := from(v.Field(f.index), depth+1)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.name, err)
		}
		a.t.put(KeyOf(f.name), e)
	}
	return a, nil
}

type field struct {
	index int
	name  string
}

// fieldsOf returns the exported fields of a struct under their names in PHP.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Name
		if tag, ok := f.Tag.Lookup("php"); ok && tag != "" {
			name = tag
		}
		if f.IsExported() && name != "-" {
			fields = append(fields, field{i, name})
		}
	}
	return fields
}
