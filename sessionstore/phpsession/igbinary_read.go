package phpsession

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Types of igbinary. Those of three come for lengths of one, two and four bytes.
const (
	igNull        = 0x00
	igArrayID     = 0x01 // 3; of an array before, or of a reference
	igFalse       = 0x04
	igTrue        = 0x05
	igInt         = 0x06 // positive, negative; 3 of each
	igFloat       = 0x0c
	igEmpty       = 0x0d
	igStringID    = 0x0e // 3
	igString      = 0x11 // 3
	igArray       = 0x14 // 3
	igObject      = 0x17 // 3
	igObjectOfID  = 0x1a // 3; the class's name is a string before
	igCustom      = 0x1d // 3
	igInt64       = 0x20 // positive, negative
	igObjectID    = 0x22 // 3; of an object before
	igReference   = 0x25
	igEnumCase    = 0x27
	igVersion     = 2
	igHeaderBytes = 4
)

// igReader reads igbinary (igbinary: src/php7/igbinary.c).
type igReader struct {
	b       []byte
	pos     int
	depth   int
	strings []string
	values  []any // arrays, objects and references, in the order in which they are numbered
}

func decodeIgbinary(payload []byte) (*Array, error) {
	r := &igReader{b: payload}
	version, err := r.number(igHeaderBytes)
	if err != nil {
		return nil, err
	}
	if version != igVersion && version != 1 {
		return nil, fmt.Errorf("%w: not igbinary of version 1 or 2", ErrFormat)
	}
	v, err := r.value(false)
	if err != nil {
		return nil, err
	}
	// Like the extension, this reads over whatever follows.
	values, ok := v.(*Array)
	if !ok {
		return nil, fmt.Errorf("%w: not an array", ErrFormat)
	}
	return values, nil
}

func (r *igReader) fail(format string, args ...any) error {
	return fmt.Errorf("%w: %s at byte %d", ErrFormat, fmt.Sprintf(format, args...), r.pos)
}

// of tells which of three a type is, as a number of bytes: 1, 2 or 4; 0 for none.
func of(kind byte, first byte) int {
	if kind < first || kind > first+2 {
		return 0
	}
	return 1 << (kind - first)
}

// value reads a value, a reference if wantRef is set.
func (r *igReader) value(wantRef bool) (any, error) {
	kind, err := r.byte()
	if err != nil {
		return nil, err
	}
	switch {
	case kind == igReference && !wantRef:
		return r.reference()
	case of(kind, igArrayID) > 0:
		return r.known(of(kind, igArrayID), wantRef)
	case of(kind, igObjectID) > 0:
		return r.known(of(kind, igObjectID), wantRef)
	case of(kind, igArray) > 0:
		return r.array(of(kind, igArray), wantRef)
	case of(kind, igObject) > 0, of(kind, igObjectOfID) > 0:
		return r.object(kind, wantRef)
	}
	return r.scalar(kind)
}

// reference reads a value that others share.
func (r *igReader) reference() (any, error) {
	v, err := r.value(true)
	if err != nil {
		return nil, err
	}
	if shared, ok := v.(*ref); ok {
		return shared, nil
	}
	shared := &ref{value: v}
	r.values = append(r.values, shared) // arrays and objects have their number already
	return shared, nil
}

// known reads the number of an array, an object or a reference.
func (r *igReader) known(size int, wantRef bool) (any, error) {
	n, err := r.number(size)
	if err != nil {
		return nil, err
	}
	if n >= uint64(len(r.values)) {
		return nil, r.fail("a reference to value %d of %d", n, len(r.values))
	}
	v := r.values[n]
	shared, isRef := v.(*ref)
	if wantRef && isRef {
		return shared, nil
	}
	v = plain(v)
	if a, ok := v.(*Array); ok {
		if a.t.open {
			return nil, fmt.Errorf("%w: an array that contains itself", ErrUnsupported)
		}
		v = a.Clone()
	}
	if wantRef {
		shared = &ref{value: v}
		r.values[n] = shared
		return shared, nil
	}
	return v, nil
}

func (r *igReader) array(size int, wantRef bool) (any, error) {
	n, err := r.count(size)
	if err != nil {
		return nil, err
	}
	a := NewArray()
	var v any = a
	if wantRef {
		v = &ref{value: a}
	}
	r.values = append(r.values, v)
	return v, r.elements(a.t, n)
}

func (r *igReader) object(kind byte, wantRef bool) (any, error) {
	class, err := r.class(kind)
	if err != nil {
		return nil, err
	}
	o := &Object{class: class} // igbinary takes any bytes for a name
	var v any = o
	if wantRef {
		v = &ref{value: o}
	}
	r.values = append(r.values, v)
	content, err := r.byte()
	if err != nil {
		return nil, err
	}
	switch {
	case of(content, igArray) > 0:
		n, err := r.count(of(content, igArray))
		if err != nil {
			return nil, err
		}
		o.properties = NewArray()
		return v, r.elements(o.properties.t, n)
	case of(content, igCustom) > 0:
		o.kind = customObject
		o.data, err = r.counted(of(content, igCustom))
		return v, err
	case content == igEnumCase:
		o.kind = enumCase
		o.data, err = r.text()
		return v, err
	}
	return nil, r.fail("an object of type %#02x", content)
}

func (r *igReader) class(kind byte) (string, error) {
	if size := of(kind, igObject); size > 0 {
		return r.newString(size)
	}
	return r.knownString(of(kind, igObjectOfID))
}

// elements reads n elements. Strings that look like integers stay strings: PHP wrote them so for a reason.
func (r *igReader) elements(t *table, n int) error {
	if r.depth++; r.depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrUnsupported, MaxDepth)
	}
	t.open = true
	defer func() {
		r.depth--
		t.open = false
	}()
	for ; n > 0; n-- {
		kind, err := r.byte()
		if err != nil {
			return err
		}
		if kind == igNull { // an element that is not there
			continue
		}
		k, err := r.scalar(kind)
		if err != nil {
			return err
		}
		var key Key
		switch k := k.(type) {
		case int64:
			key = IntKey(k)
		case string:
			key = Key{text: k}
		default:
			return r.fail("a key of type %#02x", kind)
		}
		i := t.add(key)
		v, err := r.value(false)
		if err != nil {
			return err
		}
		t.elements[i].value = v
	}
	return nil
}

func (r *igReader) scalar(kind byte) (any, error) {
	switch {
	case kind == igNull:
		return nil, nil
	case kind == igFalse || kind == igTrue:
		return kind == igTrue, nil
	case kind == igFloat:
		n, err := r.number(8)
		return math.Float64frombits(n), err
	case kind == igEmpty:
		return "", nil
	case of(kind, igStringID) > 0:
		return r.knownString(of(kind, igStringID))
	case of(kind, igString) > 0:
		return r.newString(of(kind, igString))
	case kind >= igInt && kind < igFloat:
		n, err := r.number(1 << ((kind - igInt) / 2))
		if kind%2 == 1 {
			return -int64(n), err
		}
		return int64(n), err
	case kind == igInt64 || kind == igInt64+1:
		return r.int64(kind != igInt64)
	}
	return nil, r.fail("there is no type %#02x here", kind)
}

func (r *igReader) int64(negative bool) (int64, error) {
	n, err := r.number(8)
	if err != nil {
		return 0, err
	}
	if n > 1<<63 || n == 1<<63 && !negative {
		return 0, r.fail("an int out of range")
	}
	if negative {
		return int64(-n), nil
	}
	return int64(n), nil
}

// text reads a string, new or known.
func (r *igReader) text() (string, error) {
	kind, err := r.byte()
	if err != nil {
		return "", err
	}
	v, err := r.scalar(kind)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", r.fail("type %#02x in place of a string", kind)
	}
	return s, nil
}

func (r *igReader) newString(size int) (string, error) {
	s, err := r.counted(size)
	if err == nil {
		r.strings = append(r.strings, s)
	}
	return s, err
}

func (r *igReader) knownString(size int) (string, error) {
	n, err := r.number(size)
	if err != nil {
		return "", err
	}
	if n >= uint64(len(r.strings)) {
		return "", r.fail("string %d of %d", n, len(r.strings))
	}
	return r.strings[n], nil
}

// counted reads a length and that many bytes.
func (r *igReader) counted(size int) (string, error) {
	n, err := r.count(size)
	if err != nil {
		return "", err
	}
	s := string(r.b[r.pos : r.pos+n])
	r.pos += n
	return s, nil
}

// count reads a number of bytes or elements. No more than what is left can be true.
func (r *igReader) count(size int) (int, error) {
	n, err := r.number(size)
	if err != nil {
		return 0, err
	}
	if n > uint64(len(r.b)-r.pos) {
		return 0, r.fail("the payload ends before %d more", n)
	}
	return int(n), nil
}

func (r *igReader) byte() (byte, error) {
	n, err := r.number(1)
	return byte(n), err
}

// number reads a number of so many bytes.
func (r *igReader) number(size int) (uint64, error) {
	if len(r.b)-r.pos < size {
		return 0, r.fail("the payload ends")
	}
	var n [8]byte
	copy(n[8-size:], r.b[r.pos:])
	r.pos += size
	return binary.BigEndian.Uint64(n[:]), nil
}
