package phpsession

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parser reads what serialize() wrote (php-src: ext/standard/var_unserializer.re).
type parser struct {
	b     []byte
	pos   int
	depth int
	// slots are all values so far, in the order in which references number them, from 1.
	slots  []place
	custom int // number of the first custom object, or 0; it may hold more values, so later numbers are uncertain
}

// place is where a value stands: slices move when they grow, so it is no pointer.
type place struct {
	in *table
	at int
}

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("%w: %s at byte %d", ErrFormat, fmt.Sprintf(format, args...), p.pos)
}

// value reads a value into its place.
func (p *parser) value(to place) error {
	if p.pos+1 >= len(p.b) {
		return p.fail("the payload ends")
	}
	kind := p.b[p.pos]
	if kind != 'R' {
		p.slots = append(p.slots, to)
	}
	element := &to.in.elements[to.at]
	switch kind {
	case 'a', 'O', 'C', 'E':
		return p.compound(kind, to)
	case 'R', 'r':
		v, err := p.reference(kind)
		element.value = v
		return err
	}
	start := p.pos
	v, err := p.scalar(kind)
	if err != nil {
		return err
	}
	element.value = v
	if text := p.b[start:p.pos]; !bytes.Equal(appendScalar(nil, v), text) {
		element.value = literal{value: v, text: string(text)}
	}
	return nil
}

func (p *parser) scalar(kind byte) (any, error) {
	switch kind {
	case 'N':
		return nil, p.expect("N;")
	case 'b':
		text, err := p.until("b:", ';')
		if err == nil && text != "0" && text != "1" {
			err = p.fail("%.20q is no bool", text)
		}
		return text == "1", err
	case 'i':
		return p.integer()
	case 'd':
		text, err := p.until("d:", ';')
		if err != nil {
			return nil, err
		}
		f, ok := parseFloat(text)
		if !ok {
			return nil, p.fail("%.20q is no float", text)
		}
		return f, nil
	case 's', 'S':
		return p.str(kind)
	}
	return nil, p.fail("there is no type %q", kind)
}

// integer reads an integer; one out of range becomes the nearest, as in PHP.
func (p *parser) integer() (int64, error) {
	text, err := p.until("i:", ';')
	if err != nil {
		return 0, err
	}
	digits := unsigned(text)
	if digits == "" || digitsOf(digits) != len(digits) {
		return 0, p.fail("%.20q is no int", text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil && n != math.MaxInt64 && n != math.MinInt64 {
		return 0, p.fail("%.20q is no int", text)
	}
	return n, nil
}

// str reads s:LENGTH:"…"; or, with a backslash and two hexadecimal digits for some bytes, S:LENGTH:"…";
func (p *parser) str(kind byte) (string, error) {
	s, err := p.quoted(kind)
	if err != nil {
		return "", err
	}
	return s, p.expect(";")
}

func (p *parser) quoted(kind byte) (string, error) {
	n, err := p.length(string(kind) + ":")
	if err != nil {
		return "", err
	}
	if err := p.expect(`"`); err != nil {
		return "", err
	}
	var s string
	if kind == 'S' {
		s, err = p.escaped(n)
	} else {
		s, err = p.take(n)
	}
	if err != nil {
		return "", err
	}
	return s, p.expect(`"`)
}

// escaped reads n bytes of which some are escaped.
func (p *parser) escaped(n int) (string, error) {
	var s strings.Builder
	for ; n > 0; n-- {
		c, err := p.take(1)
		if err != nil {
			return "", err
		}
		if c == `\` {
			hex, err := p.take(2)
			if err != nil {
				return "", err
			}
			b, err := strconv.ParseUint(hex, 16, 8)
			if err != nil {
				return "", p.fail("%q is no byte in hexadecimal", hex)
			}
			c = string([]byte{byte(b)})
		}
		s.WriteString(c)
	}
	return s.String(), nil
}

// reference reads R:NUMBER; or r:NUMBER; and returns what belongs in its place.
func (p *parser) reference(kind byte) (any, error) {
	n, err := p.count(string(kind)+":", ';')
	if err != nil {
		return nil, err
	}
	last := len(p.slots)
	if kind == 'r' {
		last-- // itself
	}
	if n < 1 || n > last {
		return nil, p.fail("a reference to value %d of %d", n, last)
	}
	if p.custom != 0 && n > p.custom {
		return nil, fmt.Errorf("%w: a reference to what follows an object with a format of its own", ErrUnsupported)
	}
	target := p.slots[n-1]
	value := &target.in.elements[target.at].value
	shared, isRef := (*value).(*ref)
	if kind == 'R' {
		if !isRef {
			shared = &ref{value: *value}
			*value = shared
		}
		return shared, nil
	}
	object, ok := plain(*value).(*Object)
	if !ok {
		return nil, p.fail("value %d, which is to be an object, is none", n)
	}
	return object, nil
}

func (p *parser) compound(kind byte, to place) error {
	if p.depth++; p.depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrUnsupported, MaxDepth)
	}
	defer func() { p.depth-- }()
	switch kind {
	case 'a':
		n, err := p.length("a:")
		if err != nil {
			return err
		}
		a := NewArray()
		to.in.elements[to.at].value = a
		return p.elements(a.t, n, true)
	case 'O':
		return p.object(to)
	case 'C':
		return p.customObject(to)
	}
	name, err := p.str('E')
	if err != nil {
		return err
	}
	class, enumName, ok := strings.Cut(name, ":")
	if !ok || class == "" || enumName == "" {
		return p.fail("%.50q is no enum's case", name)
	}
	to.in.elements[to.at].value = &Object{class: class, kind: enumCase, data: enumName}
	return nil
}

func (p *parser) object(to place) error {
	class, err := p.class('O')
	if err != nil {
		return err
	}
	n, err := p.signedLength()
	if err != nil {
		return err
	}
	o := &Object{class: class, properties: NewArray()}
	to.in.elements[to.at].value = o
	return p.elements(o.properties.t, n, false)
}

func (p *parser) customObject(to place) error {
	class, err := p.class('C')
	if err != nil {
		return err
	}
	n, err := p.signedLength()
	if err != nil {
		return err
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	data, err := p.take(n)
	if err != nil {
		return err
	}
	o := &Object{class: class, kind: customObject, data: data}
	if holdsReferences(data) {
		o.slot = len(p.slots)
	}
	if p.custom == 0 {
		p.custom = len(p.slots)
	}
	to.in.elements[to.at].value = o
	return p.expect("}")
}

func (p *parser) class(kind byte) (string, error) {
	class, err := p.quoted(kind)
	if err == nil && !isClass(class) {
		err = p.fail("%.50q is no name of a class", class)
	}
	return class, err
}

// isClass tells whether PHP takes a text for the name of a class.
func isClass(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c < 0x7f && c != '_' && c != '\\' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}

// elements reads n elements in braces. Keys of arrays are normal ones, names of properties are as they are.
func (p *parser) elements(t *table, n int, normal bool) error {
	if err := p.expect("{"); err != nil {
		return err
	}
	for ; n > 0; n-- {
		k, err := p.key(normal)
		if err != nil {
			return err
		}
		if err := p.value(place{t, t.add(k)}); err != nil {
			return err
		}
	}
	return p.expect("}")
}

func (p *parser) key(normal bool) (Key, error) {
	if p.pos >= len(p.b) {
		return Key{}, p.fail("the payload ends")
	}
	switch kind := p.b[p.pos]; kind {
	case 'i':
		n, err := p.integer()
		return IntKey(n), err
	case 's', 'S':
		s, err := p.str(kind)
		if normal {
			return KeyOf(s), err
		}
		return Key{text: s}, err
	default:
		return Key{}, p.fail("a key is an int or a string, not %q", kind)
	}
}

// expect reads a text that must be there.
func (p *parser) expect(text string) error {
	if !bytes.HasPrefix(p.b[p.pos:], []byte(text)) {
		return p.fail("%q is missing", text)
	}
	p.pos += len(text)
	return nil
}

// take reads n bytes.
func (p *parser) take(n int) (string, error) {
	if n > len(p.b)-p.pos {
		return "", p.fail("the payload ends within %d bytes", n)
	}
	s := string(p.b[p.pos : p.pos+n])
	p.pos += n
	return s, nil
}

// until reads a text that begins with prefix, and returns what stands between it and the byte end.
func (p *parser) until(prefix string, end byte) (string, error) {
	if err := p.expect(prefix); err != nil {
		return "", err
	}
	const longest = 1100 // PHP writes a float in at most that many bytes, with serialize_precision at its highest
	rest := p.b[p.pos:min(len(p.b), p.pos+longest)]
	n := bytes.IndexByte(rest, end)
	if n < 0 {
		return "", p.fail("%q is missing", end)
	}
	p.pos += n + 1
	return string(rest[:n]), nil
}

// count reads a number without a sign.
func (p *parser) count(prefix string, end byte) (int, error) {
	text, err := p.until(prefix, end)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, p.fail("%.20q is no count", text)
	}
	return int(n), nil
}

// length reads a number of bytes or elements and the colon after it. No more than what is left can be true.
func (p *parser) length(prefix string) (int, error) {
	n, err := p.count(prefix, ':')
	if err == nil && n > len(p.b)-p.pos {
		err = p.fail("the payload ends before %d more", n)
	}
	return n, err
}

// signedLength is the length that follows a class: PHP reads a plus there, and only there.
func (p *parser) signedLength() (int, error) {
	if bytes.HasPrefix(p.b[p.pos:], []byte(":+")) {
		return p.length(":+")
	}
	return p.length(":")
}
