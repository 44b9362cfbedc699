package phpsession

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func decode(t testing.TB, payload string) *Array {
	t.Helper()
	values, err := Decode(PHP, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// wants compares the session's payload.
func wants(t testing.TB, values *Array, payload string) {
	t.Helper()
	got, err := Encode(PHP, values)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != payload {
		t.Errorf("the session is\n%q, want\n%q", got, payload)
	}
}

func TestPaths(t *testing.T) {
	values := decode(t, `user|a:3:{s:4:"name";s:4:"anna";i:7;d:1.5;s:2:"ok";b:1;}n|N;o|O:1:"A":2:{s:1:"p";i:1;s:4:"`+"\x00*\x00"+`q";a:1:{i:0;i:2;}}17|i:5;`)
	if s, ok := values.GetString("user", "name"); !ok || s != "anna" {
		t.Errorf("name: %q, %v", s, ok)
	}
	if f, ok := values.GetFloat("user", "7"); !ok || f != 1.5 {
		t.Errorf("7: %v, %v", f, ok)
	}
	if b, ok := values.GetBool("user", "ok"); !ok || !b {
		t.Errorf("ok: %v, %v", b, ok)
	}
	if n, ok := values.GetInt("o", "p"); !ok || n != 1 {
		t.Errorf("public property: %v, %v", n, ok)
	}
	if n, ok := values.GetInt("o", "q", "0"); !ok || n != 2 {
		t.Errorf("in a protected property: %v, %v", n, ok)
	}
	if n, ok := values.GetInt("17"); !ok || n != 5 {
		t.Errorf("a name that looks like an integer: %v, %v", n, ok)
	}
	if v, ok := values.Get("n"); !ok || v != nil {
		t.Errorf("null: %v, %v", v, ok)
	}
	for _, path := range [][]string{{"none"}, {"user", "none"}, {"user", "name", "x"}, {"n", "x"}, {"o", "none"}} {
		if v, ok := values.Get(path...); ok {
			t.Errorf("%v: there is %v", path, v)
		}
	}
	if _, ok := values.GetInt("user", "name"); ok {
		t.Error("a string passed for an int")
	}
}

func TestSet(t *testing.T) {
	values := decode(t, `a|i:1;b|d:0.10000000000000001;o|O:1:"A":1:{s:4:"`+"\x00*\x00"+`q";i:1;}`)
	for _, set := range []struct {
		value any
		path  []string
	}{
		{2, []string{"a"}},
		{"x", []string{"cart", "17", "name"}},
		{[]byte{0}, []string{"cart", "x"}},
		{[]int{1, 2}, []string{"o", "q"}},
	} {
		if err := values.Set(set.value, set.path...); err != nil {
			t.Fatal(err)
		}
	}
	// What was not set is as it was, the float of a site with serialize_precision = 17 among it.
	wants(t, values, `a|i:2;b|d:0.10000000000000001;o|O:1:"A":1:{s:4:"`+"\x00*\x00"+`q";a:2:{i:0;i:1;i:1;i:2;}}cart|a:2:{i:17;a:1:{s:4:"name";s:1:"x";}s:1:"x";s:1:"`+"\x00"+`";}`)

	if !values.Delete("cart", "17", "name") || values.Delete("cart", "17", "name") || values.Delete("none", "x") || values.Delete() {
		t.Error("Delete is wrong about what there is")
	}
	if !values.Delete("o") || !values.Delete("b") {
		t.Error("Delete is wrong about what there is")
	}
	wants(t, values, `a|i:2;cart|a:2:{i:17;a:0:{}s:1:"x";s:1:"`+"\x00"+`";}`)
}

func TestSetRefuses(t *testing.T) {
	values := decode(t, `a|i:1;o|O:1:"A":0:{}e|E:3:"S:H";`)
	for _, set := range []struct {
		value any
		path  []string
	}{
		{1, nil}, {1, []string{"a", "x"}}, {1, []string{"o", "x"}}, {1, []string{"e", "x"}}, {func() {}, []string{"f"}},
		{uint64(1 << 63), []string{"u"}}, {map[float64]int{1: 1}, []string{"m"}}, {make(chan int), []string{"c"}},
		{map[any]any{1: 1, "1": 2}, []string{"twice"}},
	} {
		if err := values.Set(set.value, set.path...); !errors.Is(err, ErrUnsupported) {
			t.Errorf("set %T at %v: %v", set.value, set.path, err)
		}
	}
	wants(t, values, `a|i:1;o|O:1:"A":0:{}e|E:3:"S:H";`)
}

func TestAppend(t *testing.T) {
	values := decode(t, `a|a:2:{i:5;i:1;s:1:"x";i:2;}b|a:0:{}c|a:1:{i:9223372036854775807;i:1;}`)
	for name, want := range map[string]error{"a": nil, "b": nil, "c": ErrUnsupported} {
		in, _ := values.GetArray(name)
		if err := in.Append("new"); !errors.Is(err, want) {
			t.Errorf("append to %s: %v", name, err)
		}
	}
	full, _ := values.GetArray("c")
	if err := full.Set(1, "5"); err != nil {
		t.Fatal(err)
	}
	if err := full.Append(1); !errors.Is(err, ErrUnsupported) || !full.Delete("5") {
		t.Errorf("append where no key is left: %v", err)
	}
	wants(t, values, `a|a:3:{i:5;i:1;s:1:"x";i:2;i:6;s:3:"new";}b|a:1:{i:0;s:3:"new";}c|a:1:{i:9223372036854775807;i:1;}`)
}

// Nothing takes more time for an element because there are many.
func TestManyElements(t *testing.T) {
	const n = 100_000
	values := NewArray()
	for i := range n {
		if err := values.Append(i); err != nil {
			t.Fatal(err)
		}
	}
	m, err := values.Map()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < n; i += 2 {
		delete(m, IntKey(int64(i)).String())
	}
	if err := values.Update(m); err != nil {
		t.Fatal(err)
	}
	if v, ok := values.GetInt("99999"); values.Len() != n/2 || !ok || v != 99999 {
		t.Errorf("%d elements, the last is %v, %v", values.Len(), v, ok)
	}
	for i := n - 1; i > 0; i -= 2 {
		if !values.Delete(IntKey(int64(i)).String()) {
			t.Fatalf("%d is gone", i)
		}
	}
	if err := values.Append(1); err != nil || values.Len() != 1 {
		t.Errorf("%d elements, %v", values.Len(), err)
	}
	if _, ok := values.GetInt("100000"); !ok {
		t.Error("a key was used again") // as in PHP, within one request
	}
}

func TestReferencesAreWrittenThrough(t *testing.T) {
	values := decode(t, `a|i:1;b|R:1;c|a:1:{i:0;R:1;}d|O:1:"A":0:{}e|r:3;`)
	if err := values.Set("x", "c", "0"); err != nil {
		t.Fatal(err)
	}
	if s, ok := values.GetString("a"); !ok || s != "x" {
		t.Errorf("a is %q, %v", s, ok)
	}
	wants(t, values, `a|s:1:"x";b|R:1;c|a:1:{i:0;R:1;}d|O:1:"A":0:{}e|r:3;`)
	values.Delete("a") // what stays is numbered anew
	wants(t, values, `b|s:1:"x";c|a:1:{i:0;R:1;}d|O:1:"A":0:{}e|r:3;`)
	values.Delete("b")
	wants(t, values, `c|a:1:{i:0;s:1:"x";}d|O:1:"A":0:{}e|r:3;`)
}

// Copies are copies as in PHP, also those that igbinary makes of one array.
func TestCopies(t *testing.T) {
	a := decode(t, `in|a:1:{s:1:"x";a:1:{i:0;i:1;}}`)
	b := a.Clone()
	if err := b.Set(2, "in", "x", "0"); err != nil {
		t.Fatal(err)
	}
	c := b.Clone()
	in, _ := c.GetArray("in", "x")
	if err := in.Append(3); err != nil {
		t.Fatal(err)
	}
	wants(t, a, `in|a:1:{s:1:"x";a:1:{i:0;i:1;}}`)
	wants(t, b, `in|a:1:{s:1:"x";a:1:{i:0;i:2;}}`)
	wants(t, c, `in|a:1:{s:1:"x";a:2:{i:0;i:2;i:1;i:3;}}`)
	if err := a.Set(a, "self"); err != nil {
		t.Fatal(err)
	}
	wants(t, a, `in|a:1:{s:1:"x";a:1:{i:0;i:1;}}self|a:1:{s:2:"in";a:1:{s:1:"x";a:1:{i:0;i:1;}}}`)

	shared, err := Decode(Igbinary, []byte("\x00\x00\x00\x02\x14\x02\x11\x01a\x14\x01\x06\x00\x06\x01\x11\x01b\x01\x01"))
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Set(2, "a", "0"); err != nil {
		t.Fatal(err)
	}
	wants(t, shared, `a|a:1:{i:0;i:2;}b|a:1:{i:0;i:1;}`)
}

func TestKeys(t *testing.T) {
	for s, want := range map[string]Key{
		"0": IntKey(0), "17": IntKey(17), "-5": IntKey(-5), "9223372036854775807": IntKey(1<<63 - 1), "-9223372036854775808": IntKey(-1 << 63),
		"": {}, "-0": {text: "-0"}, "017": {text: "017"}, "+1": {text: "+1"}, "1.5": {text: "1.5"}, " 1": {text: " 1"}, "-": {text: "-"},
		"9223372036854775808": {text: "9223372036854775808"}, "1e3": {text: "1e3"}, "1_0": {text: "1_0"},
	} {
		if got := KeyOf(s); got != want {
			t.Errorf("%q: %+v", s, got)
		}
		if got := KeyOf(s).String(); got != s {
			t.Errorf("%q as text: %q", s, got)
		}
	}
}

// An array behaves as a list of keys and a map of values do.
func TestArrayAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, order, model := NewArray(), []string{}, map[string]int64{}
		name := rapid.StringMatching(`[a-d0-9]{1,2}`)
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			n := name.Draw(t, "name")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				v := rapid.Int64().Draw(t, "value")
				if err := a.Set(v, n); err != nil {
					t.Fatal(err)
				}
				if _, known := model[n]; !known {
					order = append(order, n)
				}
				model[n] = v
			case 2:
				_, known := model[n]
				if a.Delete(n) != known {
					t.Fatalf("delete %s: known %v", n, known)
				}
				delete(model, n)
				order = slices.DeleteFunc(order, func(s string) bool { return s == n })
			case 3:
				if rapid.Bool().Draw(t, "drop the copy") {
					a.Clone()
				} else {
					a = a.Clone()
				}
			}
		}
		var got []string
		for k, v := range a.All() {
			got = append(got, k.String())
			if v != model[k.String()] {
				t.Fatalf("%v is %v, want %v", k, v, model[k.String()])
			}
		}
		if !slices.Equal(got, order) && len(got)+len(order) > 0 || a.Len() != len(order) {
			t.Fatalf("keys are %v, want %v", got, order)
		}
	})
}
