package phpsession

import (
	"fmt"
	"math"
	"reflect"
)

// As puts a value of a session into the variable that into points to:
//
//	null                           the zero value
//	bool; string                   bool; string or []byte
//	int                            integers and floats that hold it exactly
//	float                          floats, integers that hold it exactly
//	array                          slices (if it is a list), maps of string or integer keys, structs, *Array (a copy)
//	object                         structs, maps of string keys, *Object
//	any of them                    any, as [Plain] gives it
//
// Fields of structs have their own names in PHP, or what a tag says: `php:"name"`; `php:"-"` leaves one out. What a payload
// has more or less than a struct is left alone. Names of properties are as [Object.Get] takes them.
//
// Errors: [ErrUnsupported] if the variable cannot hold the value. It may hold a part of it then.
func As(value, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("%w: a %T is no pointer to a variable", ErrUnsupported, into)
	}
	c := converter{left: maxConverted}
	return c.as(plain(value), v.Elem(), 0)
}

// maxConverted is how many values are converted at most: references can make many of a small payload.
const maxConverted = 1 << 20

type converter struct {
	left int
}

func (c *converter) spend(depth int) error {
	if c.left--; c.left < 0 || depth > MaxDepth {
		return fmt.Errorf("%w: more than %d values or %d levels", ErrUnsupported, maxConverted, MaxDepth)
	}
	return nil
}

func (c *converter) as(value any, v reflect.Value, depth int) error {
	if err := c.spend(depth); err != nil {
		return err
	}
	if value == nil {
		v.SetZero()
		return nil
	}
	if given := reflect.ValueOf(value); given.Type() == v.Type() {
		if a, ok := value.(*Array); ok {
			given = reflect.ValueOf(a.Clone())
		}
		v.Set(given)
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		made := reflect.New(v.Type().Elem())
		v.Set(made)
		return c.as(value, made.Elem(), depth+1)
	case reflect.Interface:
		p, err := c.plain(value, depth)
		if err != nil {
			return err
		}
		return setInterface(v, p)
	}
	switch value := value.(type) {
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(value)
			return nil
		}
	case string:
		return setString(v, value)
	case int64:
		return setInt(v, value)
	case float64:
		if v.CanFloat() && !v.OverflowFloat(value) {
			v.SetFloat(value)
			return nil
		}
		if n := int64(value); float64(n) == value && math.Abs(value) < 1<<53 {
			return setInt(v, n)
		}
	case *Array:
		return c.array(value, v, depth)
	case *Object:
		return c.object(value, v, depth)
	}
	return mismatch(value, v)
}

func mismatch(value any, v reflect.Value) error {
	return fmt.Errorf("%w: PHP's %s does not fit into a %v", ErrUnsupported, typeName(value), v.Type())
}

func typeName(value any) string {
	switch value.(type) {
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "string"
	case *Array:
		return "array"
	case *Object:
		return "object"
	}
	return "null"
}

func setInterface(v reflect.Value, p any) error {
	given := reflect.ValueOf(p)
	if !given.Type().AssignableTo(v.Type()) {
		return mismatch(p, v)
	}
	v.Set(given)
	return nil
}

func setString(v reflect.Value, s string) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(s)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes([]byte(s))
	default:
		return mismatch(s, v)
	}
	return nil
}

func setInt(v reflect.Value, n int64) error {
	switch {
	case v.CanInt() && !v.OverflowInt(n):
		v.SetInt(n)
	case v.CanUint() && n >= 0 && !v.OverflowUint(uint64(n)):
		v.SetUint(uint64(n))
	case v.CanFloat() && int64(float64(n)) == n && n < math.MaxInt64:
		v.SetFloat(float64(n))
	default:
		return mismatch(n, v)
	}
	return nil
}

func (c *converter) array(a *Array, v reflect.Value, depth int) error {
	switch v.Kind() {
	case reflect.Slice:
		if !a.IsList() {
			return fmt.Errorf("%w: an array that is no list does not fit into a %v", ErrUnsupported, v.Type())
		}
		return c.list(a, v, depth)
	case reflect.Map:
		return c.toMap(a.t, v, depth)
	case reflect.Struct:
		return c.toStruct(func(name string) (any, bool) {
			i := a.t.named(name)
			if i < 0 {
				return nil, false
			}
			return plain(a.t.elements[i].value), true
		}, v, depth)
	}
	return mismatch(a, v)
}

func (c *converter) list(a *Array, v reflect.Value, depth int) error {
	made := reflect.MakeSlice(v.Type(), a.Len(), a.Len())
	for i, e := range a.t.elements {
		if err := c.as(plain(e.value), made.Index(i), depth+1); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	v.Set(made)
	return nil
}

func (c *converter) toMap(t *table, v reflect.Value, depth int) error {
	made := reflect.MakeMap(v.Type())
	for _, e := range t.elements {
		k, x := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if err := setKey(k, e.key); err != nil {
			return err
		}
		if err := c.as(plain(e.value), x, depth+1); err != nil {
			return fmt.Errorf("element %.50q: %w", e.key.String(), err)
		}
		made.SetMapIndex(k, x)
	}
	v.Set(made)
	return nil
}

func setKey(v reflect.Value, k Key) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(k.String())
		return nil
	case v.Kind() == reflect.Interface && v.NumMethod() == 0:
		v.Set(reflect.ValueOf(k.String()))
		return nil
	case k.integer:
		return setInt(v, k.number)
	}
	return mismatch(k.text, v)
}

func (c *converter) object(o *Object, v reflect.Value, depth int) error {
	switch {
	case o.properties == nil: // opaque
	case v.Kind() == reflect.Map:
		return c.toMap(o.properties.t, v, depth)
	case v.Kind() == reflect.Struct:
		return c.toStruct(func(name string) (any, bool) {
			i := o.property(name)
			if i < 0 {
				return nil, false
			}
			return plain(o.properties.t.elements[i].value), true
		}, v, depth)
	}
	return mismatch(o, v)
}

func (c *converter) toStruct(get func(string) (any, bool), v reflect.Value, depth int) error {
	for _, f := range fieldsOf(v.Type()) {
		value, ok := get(f.name)
		if !ok {
			continue
		}
		if err := c.as(value, v.Field(f.index), depth+1); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	return nil
}
