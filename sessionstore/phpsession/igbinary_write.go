package phpsession

import (
	"encoding/binary"
	"fmt"
	"math"
)

// igWriter writes igbinary as the extension does with its default settings.
type igWriter struct {
	b       []byte
	depth   int
	uses    map[*ref]int // how often a reference is used: once means that nobody shares it
	strings map[string]int
	values  map[any]int // numbers of tables, objects and references
	n       int         // of them, the session itself included
}

func encodeIgbinary(values *Array) ([]byte, error) {
	w := &igWriter{uses: map[*ref]int{}, strings: map[string]int{}, values: map[any]int{}}
	if err := w.count(values.t, map[any]bool{}, 0); err != nil {
		return nil, err
	}
	w.b = binary.BigEndian.AppendUint32(w.b, igVersion)
	w.n++ // nothing refers to the session itself
	if err := w.elements(values.t, igArray); err != nil {
		return nil, err
	}
	return w.b, nil
}

// count counts the uses of references.
func (w *igWriter) count(t *table, done map[any]bool, depth int) error {
	if depth >= MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrUnsupported, MaxDepth)
	}
	if done[t] {
		return nil
	}
	done[t] = true
	for _, e := range t.elements {
		v := e.value
		if r, ok := v.(*ref); ok {
			w.uses[r]++
			v = r.value
		}
		switch v := v.(type) {
		case *Array:
			if err := w.count(v.t, done, depth+1); err != nil {
				return err
			}
		case *Object:
			if v.properties != nil {
				if err := w.count(v.properties.t, done, depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *igWriter) value(v any) error {
	var id any
	if r, ok := v.(*ref); ok {
		v = r.value
		if w.uses[r] > 1 {
			w.b = append(w.b, igReference)
			id = r
		}
	}
	if l, ok := v.(literal); ok {
		v = l.value
	}
	switch v := v.(type) {
	case *Array:
		if id == nil {
			id = v.t
		}
		if w.known(id, igArrayID) {
			return w.check()
		}
		return w.elements(v.t, igArray)
	case *Object:
		return w.object(v)
	}
	if id != nil && w.known(id, igArrayID) {
		return w.check()
	}
	w.scalar(v)
	return w.check()
}

// known writes the number of a value that was written before, or else gives it one.
func (w *igWriter) known(id any, kind byte) bool {
	if n, ok := w.values[id]; ok {
		w.sized(kind, n)
		return true
	}
	w.values[id] = w.n
	w.n++
	return false
}

func (w *igWriter) object(o *Object) error {
	if w.known(o, igObjectID) {
		return w.check()
	}
	if n, ok := w.strings[o.class]; ok {
		w.sized(igObjectOfID, n)
	} else {
		w.strings[o.class] = len(w.strings)
		w.sized(igObject, len(o.class))
		w.b = append(w.b, o.class...)
	}
	switch o.kind {
	case enumCase:
		w.b = append(w.b, igEnumCase)
		w.text(o.data)
		return w.check()
	case customObject:
		if o.slot != 0 {
			return fmt.Errorf("%w: an object of class %.100q may hold references and would move", ErrUnsupported, o.class)
		}
		w.sized(igCustom, len(o.data))
		w.b = append(w.b, o.data...)
		return w.check()
	}
	return w.elements(o.properties.t, igArray)
}

func (w *igWriter) elements(t *table, kind byte) error {
	if w.depth++; w.depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrUnsupported, MaxDepth)
	}
	defer func() { w.depth-- }()
	w.sized(kind, len(t.elements))
	for _, e := range t.elements {
		if e.key.integer {
			w.int(e.key.number)
		} else {
			w.text(e.key.text)
		}
		if err := w.value(e.value); err != nil {
			return err
		}
	}
	return w.check()
}

func (w *igWriter) scalar(v any) {
	switch v := v.(type) {
	case bool:
		if v {
			w.b = append(w.b, igTrue)
			return
		}
		w.b = append(w.b, igFalse)
	case int64:
		w.int(v)
	case float64:
		w.b = binary.BigEndian.AppendUint64(append(w.b, igFloat), math.Float64bits(v))
	case string:
		w.text(v)
	default: // nil
		w.b = append(w.b, igNull)
	}
}

func (w *igWriter) int(n int64) {
	sign, size := byte(0), uint64(n)
	if n < 0 {
		sign, size = 1, -size
	}
	switch {
	case size <= math.MaxUint8:
		w.b = append(w.b, igInt+sign, byte(size))
	case size <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, igInt+2+sign), uint16(size))
	case size <= math.MaxUint32:
		w.b = binary.BigEndian.AppendUint32(append(w.b, igInt+4+sign), uint32(size))
	default:
		w.b = binary.BigEndian.AppendUint64(append(w.b, igInt64+sign), size)
	}
}

func (w *igWriter) text(s string) {
	if s == "" {
		w.b = append(w.b, igEmpty)
		return
	}
	if n, ok := w.strings[s]; ok {
		w.sized(igStringID, n)
		return
	}
	w.strings[s] = len(w.strings)
	w.sized(igString, len(s))
	w.b = append(w.b, s...)
}

// sized writes a type, by how many bytes the number after it takes, and the number.
func (w *igWriter) sized(kind byte, n int) {
	switch {
	case n <= math.MaxUint8:
		w.b = append(w.b, kind, byte(n))
	case n <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, kind+1), uint16(n))
	default:
		w.b = binary.BigEndian.AppendUint32(append(w.b, kind+2), uint32(n))
	}
}

func (w *igWriter) check() error { return checkSize(len(w.b)) }
