package phpsession

import (
	"fmt"
	"strconv"

	"github.com/lvsession/lvsession/sessionstore"
)

// writer writes what serialize() writes (php-src: php_var_serialize_intern).
type writer struct {
	b      []byte
	depth  int
	n      int         // values so far
	seen   map[any]int // numbers of references and objects
	custom int         // number of the first custom object, or 0
}

func (w *writer) value(v any) error {
	w.n++
	r, isRef := v.(*ref)
	if isRef {
		v = r.value
	}
	object, isObject := v.(*Object)
	if isRef || isObject {
		var id any = r
		if isObject { // references to objects count as the object
			id = object
		}
		if n := w.seen[id]; n != 0 {
			return w.reference(isRef, n)
		}
		if w.seen == nil {
			w.seen = map[any]int{}
		}
		w.seen[id] = w.n
	}
	switch v := v.(type) {
	case *Array:
		w.b = append(w.b, "a:"...)
		return w.elements(v.t)
	case *Object:
		return w.object(v)
	case literal:
		w.b = append(w.b, v.text...)
	default:
		w.b = appendScalar(w.b, v)
	}
	return w.check()
}

func (w *writer) reference(isRef bool, n int) error {
	if w.custom != 0 && n > w.custom {
		return fmt.Errorf("%w: a reference to what follows an object with a format of its own", ErrUnsupported)
	}
	kind := "r:"
	if isRef {
		kind = "R:"
		w.n-- // it has no number of its own
	}
	w.b = append(strconv.AppendInt(append(w.b, kind...), int64(n), 10), ';')
	return w.check()
}

func (w *writer) object(o *Object) error {
	if !isClass(o.class) {
		return fmt.Errorf("%w: an object of class %.100q", ErrUnsupported, o.class)
	}
	switch o.kind {
	case enumCase:
		w.b = append(appendQuoted(append(w.b, "E:"...), o.class+":"+o.data), ';')
		return w.check()
	case customObject:
		return w.customObject(o)
	}
	w.b = append(appendQuoted(append(w.b, "O:"...), o.class), ':')
	return w.elements(o.properties.t)
}

func (w *writer) customObject(o *Object) error {
	if holdsReferences(o.data) && o.slot != w.n {
		return fmt.Errorf("%w: an object of class %.100q may hold references and would move", ErrUnsupported, o.class)
	}
	if w.custom == 0 {
		w.custom = w.n
	}
	w.b = append(appendQuoted(append(w.b, "C:"...), o.class), ':')
	w.b = append(strconv.AppendInt(w.b, int64(len(o.data)), 10), ":{"...)
	w.b = append(append(w.b, o.data...), '}')
	return w.check()
}

// elements writes a count and that many elements in braces.
func (w *writer) elements(t *table) error {
	if w.depth++; w.depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrUnsupported, MaxDepth)
	}
	defer func() { w.depth-- }()
	w.b = append(strconv.AppendInt(w.b, int64(len(t.elements)), 10), ":{"...)
	for _, e := range t.elements {
		if e.key.integer {
			w.b = appendScalar(w.b, e.key.number)
		} else {
			w.b = appendScalar(w.b, e.key.text)
		}
		if err := w.value(e.value); err != nil {
			return err
		}
	}
	w.b = append(w.b, '}')
	return w.check()
}

// check ends the work on what no store takes: a small payload of igbinary can name the same string many times.
func (w *writer) check() error { return checkSize(len(w.b)) }

func checkSize(n int) error {
	if n > sessionstore.MaxPayload {
		return fmt.Errorf("%w: a PHP session of more than %d bytes", sessionstore.ErrTooLarge, sessionstore.MaxPayload)
	}
	return nil
}

// appendScalar writes a scalar as PHP does by default.
func appendScalar(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, "b:1;"...)
		}
		return append(b, "b:0;"...)
	case int64:
		return append(strconv.AppendInt(append(b, "i:"...), v, 10), ';')
	case float64:
		return append(appendFloat(append(b, "d:"...), v), ';')
	case string:
		return append(appendQuoted(append(b, "s:"...), v), ';')
	default: // nil
		return append(b, "N;"...)
	}
}

func appendQuoted(b []byte, s string) []byte {
	b = append(strconv.AppendInt(b, int64(len(s)), 10), `:"`...)
	return append(append(b, s...), '"')
}
