package phpsession

import (
	"bytes"
	"fmt"
)

func decodeSerialized(payload []byte) (*Array, error) {
	p := &parser{b: payload}
	root := &table{elements: make([]element, 1)}
	if err := p.value(place{root, 0}); err != nil {
		return nil, err
	}
	// Like PHP, this reads over whatever follows.
	values, ok := root.elements[0].value.(*Array)
	if !ok {
		if _, isRef := root.elements[0].value.(*ref); isRef {
			return nil, fmt.Errorf("%w: a reference to the session itself", ErrUnsupported)
		}
		return nil, fmt.Errorf("%w: not an array", ErrFormat)
	}
	return values, nil
}

func encodeSerialized(values *Array) ([]byte, error) {
	w := &writer{}
	if err := w.value(values); err != nil {
		return nil, err
	}
	return w.b, nil
}

// decodeNamed reads names and values in turn. Names are strings even if they look like integers.
func decodeNamed(payload []byte, name func(*parser) (string, error)) (*Array, error) {
	p, values := &parser{b: payload}, NewArray()
	for p.pos < len(payload) {
		s, err := name(p)
		if err != nil {
			return nil, err
		}
		if err := p.value(place{values.t, values.t.add(Key{text: s})}); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func encodeNamed(values *Array, appendName func([]byte, string) ([]byte, error)) ([]byte, error) {
	w := &writer{}
	for _, e := range values.t.elements {
		if e.key.integer {
			return nil, fmt.Errorf("%w: the name %v is an integer: PHP has no place for it in this format", ErrUnsupported, e.key)
		}
		var err error
		if w.b, err = appendName(w.b, e.key.text); err != nil {
			return nil, err
		}
		if err := w.value(e.value); err != nil {
			return nil, err
		}
	}
	return w.b, nil
}

func barredName(p *parser) (string, error) {
	n := bytes.IndexByte(p.b[p.pos:], '|')
	if n < 0 {
		return "", p.fail("a name without a bar")
	}
	name, err := p.take(n)
	p.pos++
	return name, err
}

func appendBarredName(b []byte, name string) ([]byte, error) {
	if bytes.IndexByte([]byte(name), '|') >= 0 {
		return nil, fmt.Errorf("%w: name %.50q has a bar", ErrUnsupported, name)
	}
	return append(append(b, name...), '|'), nil
}

const maxBinaryName = 127

func binaryName(p *parser) (string, error) {
	n := int(p.b[p.pos]) & maxBinaryName // the eighth bit once marked names without a value
	p.pos++
	return p.take(n)
}

func appendBinaryName(b []byte, name string) ([]byte, error) {
	if len(name) > maxBinaryName {
		return nil, fmt.Errorf("%w: name %.50q has more than %d bytes", ErrUnsupported, name, maxBinaryName)
	}
	return append(append(b, byte(len(name))), name...), nil
}
