package gorilla

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"

	"github.com/gorilla/sessions"
)

// Serializer encodes a session's values. It is redistore's interface, so that one written for it fits here.
type Serializer interface {
	// Serialize returns the encoded values of the session, and changes nothing.
	Serialize(session *sessions.Session) ([]byte, error)
	// Deserialize puts the values that are encoded in payload into the session.
	Deserialize(payload []byte, session *sessions.Session) error
}

// GobSerializer encodes values with encoding/gob. Types other than Go's own need gob.Register.
type GobSerializer struct{}

// Serialize implements [Serializer].
func (GobSerializer) Serialize(session *sessions.Session) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(session.Values); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Deserialize implements [Serializer].
func (GobSerializer) Deserialize(payload []byte, session *sessions.Session) error {
	values := map[any]any{}
	if len(payload) > 0 { // a session that was only touched is empty
		if err := gob.NewDecoder(bytes.NewReader(payload)).Decode(&values); err != nil {
			return err
		}
	}
	session.Values = values
	return nil
}

// JSONSerializer encodes values as a JSON object, for readers other than Go. Keys must be strings. Values come back as
// JSON has them: every number as a float64, a struct as a map, flashes as they were.
type JSONSerializer struct{}

// Serialize implements [Serializer].
func (JSONSerializer) Serialize(session *sessions.Session) ([]byte, error) {
	object := make(map[string]any, len(session.Values))
	for k, v := range session.Values {
		name, ok := k.(string)
		if !ok {
			return nil, fmt.Errorf("json: key %v is a %T, not a string", k, k)
		}
		object[name] = v
	}
	return json.Marshal(object)
}

// Deserialize implements [Serializer].
func (JSONSerializer) Deserialize(payload []byte, session *sessions.Session) error {
	object := map[string]any{}
	if len(payload) > 0 {
		if err := json.Unmarshal(payload, &object); err != nil {
			return err
		}
	}
	values := make(map[any]any, len(object))
	for k, v := range object {
		values[k] = v
	}
	session.Values = values
	return nil
}
