package phpsession

import (
	"fmt"
	"strings"
)

// Get returns the value at a path of keys, through arrays and objects. Keys are written as in PHP: "17" is the integer 17.
// An *Array that it returns is the session's own: what is changed in it is changed in the session.
func (a *Array) Get(path ...string) (value any, found bool) {
	value = a
	for _, name := range path {
		switch in := value.(type) {
		case *Array:
			i := in.t.named(name)
			if i < 0 {
				return nil, false
			}
			value = in.at(i)
		case *Object:
			if value, found = in.Get(name); !found {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return value, true
}

// GetString returns the string at a path; false if there is none, or a value of another type.
func (a *Array) GetString(path ...string) (string, bool) { return get[string](a, path) }

// GetInt returns the int at a path; false if there is none, or a value of another type.
func (a *Array) GetInt(path ...string) (int64, bool) { return get[int64](a, path) }

// GetFloat returns the float at a path; false if there is none, or a value of another type.
func (a *Array) GetFloat(path ...string) (float64, bool) { return get[float64](a, path) }

// GetBool returns the bool at a path; false if there is none, or a value of another type.
func (a *Array) GetBool(path ...string) (value, found bool) { return get[bool](a, path) }

// GetArray returns the array at a path; false if there is none, or a value of another type.
func (a *Array) GetArray(path ...string) (*Array, bool) { return get[*Array](a, path) }

// GetObject returns the object at a path; false if there is none, or a value of another type.
func (a *Array) GetObject(path ...string) (*Object, bool) { return get[*Object](a, path) }

func get[T any](a *Array, path []string) (T, bool) {
	value, _ := a.Get(path...)
	t, ok := value.(T)
	return t, ok
}

// Set sets the value at a path, makes the arrays on the way that are missing, and leaves everything else in its place.
// [From] says what a value may be.
//
// Errors: [ErrUnsupported] for a value of another type, a path through a value that is neither array nor object, or a
// property that its object does not have.
func (a *Array) Set(value any, path ...string) error {
	v, err := From(value)
	if err != nil {
		return err
	}
	if len(path) == 0 {
		return fmt.Errorf("%w: a value without a name", ErrUnsupported)
	}
	in := any(a)
	for _, name := range path[:len(path)-1] {
		if in, err = step(in, name); err != nil {
			return fmt.Errorf("set %s: %w", strings.Join(path, "."), err)
		}
	}
	if err := put(in, path[len(path)-1], v); err != nil {
		return fmt.Errorf("set %s: %w", strings.Join(path, "."), err)
	}
	return nil
}

// step returns what is under a name, a new array if it is nothing.
func step(in any, name string) (any, error) {
	switch in := in.(type) {
	case *Array:
		if i := in.t.named(name); i >= 0 {
			if v := in.at(i); v != nil {
				return v, nil
			}
		}
		made := NewArray()
		return made, put(in, name, made)
	case *Object:
		if v, ok := in.Get(name); ok && v != nil {
			return v, nil
		}
		made := NewArray()
		return made, put(in, name, made)
	}
	return nil, fmt.Errorf("%w: a path through a %T", ErrUnsupported, in)
}

func put(in any, name string, v any) error {
	switch in := in.(type) {
	case *Array:
		t := in.own()
		k := KeyOf(name)
		if i := t.named(name); i >= 0 {
			k = t.elements[i].key
		}
		t.put(k, v)
		return nil
	case *Object:
		i := in.property(name)
		if i < 0 {
			return fmt.Errorf("%w: class %.100q has no property %.100q here", ErrUnsupported, in.class, name)
		}
		t := in.properties.own()
		t.put(t.elements[i].key, v)
		return nil
	}
	return fmt.Errorf("%w: a path through a %T", ErrUnsupported, in)
}

// Delete removes the element at a path from its array, and reports whether there was one. Properties stay.
func (a *Array) Delete(path ...string) bool {
	if len(path) == 0 {
		return false
	}
	last := len(path) - 1
	in, ok := a.GetArray(path[:last]...)
	if !ok {
		return false
	}
	i := in.t.named(path[last])
	if i < 0 {
		return false
	}
	in.own().remove(i)
	return true
}
