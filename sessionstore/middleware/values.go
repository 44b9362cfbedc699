package middleware

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

// values are a session's named values.
type values interface {
	// get decodes a value into the variable that into points to.
	get(name string, into any) (found bool, err error)
	// set encodes a value, or changes nothing.
	set(name string, value any) error
	delete(name string)
	// names returns all names, sorted.
	names() []string
	// encode makes a payload. No values make no bytes; equal values make equal bytes.
	encode() ([]byte, error)
}

func decodeValues(f phpsession.Format, payload []byte) (values, error) {
	if f == "" {
		return decodeJSON(payload)
	}
	return decodePHP(f, payload)
}

// jsonValues are JSON, each on its own.
type jsonValues map[string]json.RawMessage

func decodeJSON(payload []byte) (values, error) {
	v := jsonValues{}
	if len(payload) > 0 {
		if err := json.Unmarshal(payload, &v); err != nil {
			return nil, fmt.Errorf("decode session: the payload is no JSON object: %w", err)
		}
	}
	if v == nil { // the payload is null
		v = jsonValues{}
	}
	return v, nil
}

func (v jsonValues) get(name string, into any) (bool, error) {
	raw, found := v[name]
	if !found {
		return false, nil
	}
	return true, json.Unmarshal(raw, into)
}

func (v jsonValues) set(name string, value any) error {
	raw, err := json.Marshal(value)
	if err == nil {
		v[name] = raw
	}
	return err
}

func (v jsonValues) delete(name string) { delete(v, name) }

func (v jsonValues) names() []string { return slices.Sorted(maps.Keys(v)) }

func (v jsonValues) encode() ([]byte, error) {
	if len(v) == 0 {
		return nil, nil
	}
	return json.Marshal(map[string]json.RawMessage(v))
}

// phpValues are those of a PHP session.
type phpValues struct {
	format  phpsession.Format
	array   *phpsession.Array
	payload []byte // as it was, while nothing is changed
	changed bool
}

func decodePHP(f phpsession.Format, payload []byte) (values, error) {
	array, err := phpsession.Decode(f, payload)
	if err != nil {
		return nil, fmt.Errorf("decode session: %w", err)
	}
	return &phpValues{format: f, array: array, payload: payload}, nil
}

func (v *phpValues) get(name string, into any) (bool, error) {
	value, found := v.array.Get(name)
	if !found {
		return false, nil
	}
	return true, phpsession.As(value, into)
}

func (v *phpValues) set(name string, value any) error {
	alone := phpsession.NewArray()
	if err := alone.Set(value, name); err != nil {
		return err
	}
	if _, err := phpsession.Encode(v.format, alone); err != nil { // the format has no place for it
		return err
	}
	v.changed = true
	return v.array.Set(value, name)
}

func (v *phpValues) delete(name string) {
	v.changed = v.array.Delete(name) || v.changed
}

func (v *phpValues) names() []string {
	var names []string
	for k := range v.array.All() {
		names = append(names, k.String())
	}
	return slices.Sorted(slices.Values(names))
}

func (v *phpValues) encode() ([]byte, error) {
	switch {
	case !v.changed:
		return v.payload, nil
	case v.array.Len() == 0:
		return nil, nil
	}
	return phpsession.Encode(v.format, v.array)
}
