package resp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
)

// value is what the payload of a plain key holds: a mark that hardly any session's payload begins with, one byte that
// tells its type, the length of its key's prefix in another, the prefix, and then a string as it is, or a hash as pairs of field and value, each after its length as a
// uvarint. The payload of a session is its value as it is.
type value struct {
	typ    valueType
	prefix string
	str    []byte
	hash   []field
}

type valueType byte

// Types of values. Their numbers are in stores and stay.
const (
	absent  valueType = 0 // also what DEL leaves for a moment
	stringy valueType = 1
	hashy   valueType = 2
)

func (t valueType) String() string {
	switch t {
	case stringy:
		return "string"
	case hashy:
		return "hash"
	}
	return "none"
}

const (
	mark      = "\x00\xf5"
	markSize  = len(mark)
	valueHead = markSize + 2
)

// field is one of a hash. Order is that in which they came.
type field struct{ name, value []byte }

var errValue = errors.New("the stored value is not of this protocol")

func (v *value) append(b []byte) []byte {
	b = append(append(b, mark...), byte(v.typ), byte(len(v.prefix)))
	b = append(b, v.prefix...)
	switch v.typ {
	case stringy:
		b = append(b, v.str...)
	case hashy:
		for _, f := range v.hash {
			b = append(binary.AppendUvarint(b, uint64(len(f.name))), f.name...)
			b = append(binary.AppendUvarint(b, uint64(len(f.value))), f.value...)
		}
	}
	return b
}

// encode returns the payload.
func (v *value) encode() []byte {
	size := valueHead + len(v.prefix) + len(v.str)
	for _, f := range v.hash {
		size += len(f.name) + len(f.value) + 2*binary.MaxVarintLen32
	}
	return v.append(make([]byte, 0, size))
}

// decodeValue undoes encode. The parts of the value are parts of the payload.
func decodeValue(payload []byte) (v value, err error) {
	head, ok := bytes.CutPrefix(payload, []byte(mark))
	if !ok || len(head) < 2 || head[1] > maxPrefix || len(head) < 2+int(head[1]) {
		return value{}, errValue
	}
	v.typ = valueType(head[0])
	v.prefix = string(head[2 : 2+head[1]])
	rest := head[2+head[1]:]
	switch v.typ {
	case stringy:
		v.str = rest
		return v, nil
	case absent:
		if len(rest) == 0 {
			return v, nil
		}
	case hashy:
		v.hash, err = decodeFields(rest)
		return v, err
	}
	return value{}, errValue
}

func decodeFields(b []byte) (fields []field, err error) {
	for len(b) > 0 {
		var f field
		if f.name, b, err = decodePart(b); err != nil {
			return nil, err
		}
		if f.value, b, err = decodePart(b); err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	if len(fields) == 0 {
		return nil, errValue // a hash that loses its last field is no more
	}
	return fields, nil
}

func decodePart(b []byte) (part, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, errValue
	}
	return b[n : n+int(size) : n+int(size)], b[n+int(size):], nil
}

// find returns where a field is, or -1.
func (v *value) find(name []byte) int {
	return slices.IndexFunc(v.hash, func(f field) bool { return string(f.name) == string(name) })
}

// set sets a field and tells whether it is a new one.
func (v *value) set(name, val []byte) bool {
	if i := v.find(name); i >= 0 {
		v.hash[i].value = val
		return false
	}
	v.hash = append(v.hash, field{name, val})
	return true
}
