package phpsession

import "strings"

// Object is an object of a PHP class, which Go knows by name only. Objects come from payloads; the same *Object in two
// places is one object in PHP.
type Object struct {
	class      string
	kind       objectKind
	properties *Array // of plain objects, with keys as PHP mangles them
	data       string // of custom objects, or the name of an enum's case
	slot       int    // of a custom object that may hold references: where it stood in a payload of serialize()
}

type objectKind byte

const (
	plainObject objectKind = iota
	customObject
	enumCase
)

// Class returns the class's name, as PHP writes it.
func (o *Object) Class() string { return o.class }

// Enum returns the name of the case, if the object is one of an enum.
func (o *Object) Enum() (name string, ok bool) {
	if o.kind != enumCase {
		return "", false
	}
	return o.data, true
}

// Properties returns the object's properties, or what its __serialize() returned: nil for an enum's case and for a class
// that has a format of its own. Names of properties are mangled: "\x00*\x00name" for a protected one,
// "\x00Class\x00name" for a private one. [Object.Get] knows that.
func (o *Object) Properties() *Array { return o.properties }

// Get returns the value of a property, be it public, protected or private.
func (o *Object) Get(name string) (value any, found bool) {
	i := o.property(name)
	if i < 0 {
		return nil, false
	}
	return o.properties.at(i), true
}

// property returns where a property is, or -1.
func (o *Object) property(name string) int {
	if o.properties == nil {
		return -1
	}
	if i := o.properties.t.named(name); i >= 0 {
		return i
	}
	for i, e := range o.properties.t.elements {
		if strings.HasPrefix(e.key.text, "\x00") && strings.HasSuffix(e.key.text, "\x00"+name) {
			return i
		}
	}
	return -1
}

// holdsReferences tells whether a custom object's data may refer to values outside, or to its own by number.
func holdsReferences(data string) bool {
	for i := 0; i+2 < len(data); i++ {
		if (data[i] == 'R' || data[i] == 'r') && data[i+1] == ':' && data[i+2] >= '0' && data[i+2] <= '9' {
			return true
		}
	}
	return false
}
