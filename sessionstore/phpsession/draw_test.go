package phpsession

import (
	"math"

	"pgregory.net/rapid"
)

// samples are sessions as PHP writes them.
var samples = map[Format][]string{
	PHP: {
		"",
		`count|i:7;user|s:4:"anna";`,
		`a|i:1;b|R:1;c|d:0.1;d|b:1;e|N;`,
		`u|O:5:"Point":3:{s:1:"x";i:1;s:4:"` + "\x00*\x00" + `y";d:2.5;s:8:"` + "\x00Point\x00" + `z";a:2:{i:0;i:1;i:1;i:2;}}v|r:1;`,
		`cart|a:2:{i:17;a:2:{s:1:"n";i:2;s:5:"price";d:9.99;}s:5:"total";d:19.98;}`,
		`s|E:11:"Suit:Hearts";t|r:1;m|O:6:"Modern":2:{i:0;s:1:"a";s:1:"k";a:0:{}}`,
		`old|C:3:"Old":5:{a|b:c}n|i:1;`,
	},
}

func init() {
	samples[PHP] = samples[PHP][1:]
	for _, f := range formats[1:] {
		for _, s := range samples[PHP] {
			values, err := Decode(PHP, []byte(s))
			if err != nil {
				panic(err)
			}
			payload, err := Encode(f, values)
			if err != nil {
				panic(err)
			}
			samples[f] = append(samples[f], string(payload))
		}
	}
}

// session draws a session and what in it can be referred to.
type session struct {
	*rapid.T
	left    int
	refs    []*ref
	objects []*Object
	arrays  []*Array
}

func drawSession(t *rapid.T, f Format) *Array {
	s := &session{T: t, left: 30}
	values := NewArray()
	for range rapid.IntRange(1, 6).Draw(t, "values") {
		name := rapid.StringMatching(`[a-z_ \x00-\x1f]{0,5}`).Draw(t, "name")
		if f == PHPSerialize {
			values.t.put(s.key(), s.value(0))
			continue
		}
		values.t.put(Key{text: name}, s.value(0))
	}
	return values
}

func (s *session) key() Key {
	return rapid.OneOf(
		rapid.Map(rapid.Int64Range(-3, 20), IntKey),
		rapid.Map(rapid.Int64(), IntKey),
		rapid.Map(rapid.String(), KeyOf),
		rapid.Map(rapid.SampledFrom([]string{"0", "-0", "-5", "01", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "", "1.5"}), KeyOf),
	).Draw(s.T, "key")
}

func (s *session) value(depth int) any {
	s.left--
	kinds := 8
	if depth > 4 || s.left < 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds-1).Draw(s.T, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(s.T, "bool")
	case 2:
		return rapid.Int64().Draw(s.T, "int")
	case 3:
		return rapid.OneOf(rapid.Float64(), rapid.Float64Range(-100, 100), rapid.SampledFrom(
			[]float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 1e15, 1e16, 1e17, 1e18, 1e-4, 1e-5, 0.1, 5e-324})).Draw(s.T, "float")
	case 4:
		return string(rapid.SliceOf(rapid.Byte()).Draw(s.T, "string"))
	case 5:
		return s.array(depth)
	case 6:
		return s.object(depth)
	default:
		return s.reference(depth)
	}
}

func (s *session) array(depth int) *Array {
	if len(s.arrays) > 0 && rapid.IntRange(0, 3).Draw(s.T, "shared array") == 0 {
		return rapid.SampledFrom(s.arrays).Draw(s.T, "array").Clone()
	}
	a := NewArray()
	for range rapid.IntRange(0, 4).Draw(s.T, "elements") {
		v := s.value(depth + 1)
		a.t.put(s.key(), v)
	}
	s.arrays = append(s.arrays, a)
	return a
}

func (s *session) object(depth int) *Object {
	if len(s.objects) > 0 && rapid.Bool().Draw(s.T, "known") {
		return rapid.SampledFrom(s.objects).Draw(s.T, "object")
	}
	o := &Object{class: rapid.SampledFrom([]string{"stdClass", `App\User`, "Modern", "Suit", "Old"}).Draw(s.T, "class")}
	switch o.class {
	case "Suit":
		o.kind, o.data = enumCase, rapid.SampledFrom([]string{"Hearts", "Spades"}).Draw(s.T, "case")
		for _, known := range s.objects { // there is one of each
			if known.kind == enumCase && known.data == o.data {
				return known
			}
		}
	case "Old":
		o.kind, o.data = customObject, rapid.StringMatching(`[a-q{}|;"]{0,9}`).Draw(s.T, "data")
	default:
		o.properties = NewArray()
		for range rapid.IntRange(0, 3).Draw(s.T, "properties") {
			v := s.value(depth + 1)
			o.properties.t.put(Key{text: rapid.StringMatching(`[a-z]{1,5}`).Draw(s.T, "property")}, v)
		}
	}
	s.objects = append(s.objects, o)
	return o
}

func (s *session) reference(depth int) any {
	if len(s.refs) > 0 && rapid.Bool().Draw(s.T, "known") {
		return rapid.SampledFrom(s.refs).Draw(s.T, "reference")
	}
	v := s.value(depth + 1)
	if r, ok := v.(*ref); ok {
		return r
	}
	r := &ref{value: v}
	s.refs = append(s.refs, r)
	return r
}
