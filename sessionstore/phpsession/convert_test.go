package phpsession

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type item struct {
	Name  string  `php:"name"`
	Price float64 `php:"price"`
	Tags  []string
	More  *item
	Skip  int `php:"-"`
}

func TestStructs(t *testing.T) {
	want := []item{{Name: "pen", Price: 1.5, Tags: []string{"a"}, More: &item{Name: "cap"}}, {Name: "ink", Price: 2}}
	values := NewArray()
	if err := values.Set(want, "items"); err != nil {
		t.Fatal(err)
	}
	wants(t, values, `items|a:2:{i:0;a:4:{s:4:"name";s:3:"pen";s:5:"price";d:1.5;s:4:"Tags";a:1:{i:0;s:1:"a";}s:4:"More";a:4:{s:4:"name";s:3:"cap";s:5:"price";d:0;s:4:"Tags";N;s:4:"More";N;}}`+
		`i:1;a:4:{s:4:"name";s:3:"ink";s:5:"price";d:2;s:4:"Tags";N;s:4:"More";N;}}`)
	v, _ := values.Get("items")
	var got []item
	if err := As(v, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	o, _ := decode(t, `o|O:1:"A":2:{s:7:"`+"\x00A\x00"+`name";s:1:"x";s:5:"other";i:1;}`).Get("o")
	var one item
	if err := As(o, &one); err != nil || one.Name != "x" {
		t.Errorf("of an object: %+v, %v", one, err)
	}
}

func TestAsRefuses(t *testing.T) {
	var (
		n8    int8
		u     uint
		n     int
		s     string
		list  []int
		byInt map[int]string
		f     float32
	)
	values := decode(t, `big|i:300;neg|i:-1;half|d:0.5;huge|d:1e300;s|s:1:"5";map|a:1:{s:1:"x";i:1;}o|O:1:"A":0:{}e|E:3:"S:H";`)
	for _, c := range []struct {
		name string
		into any
	}{
		{"big", &n8}, {"neg", &u}, {"half", &n}, {"huge", &f}, {"huge", &n}, {"s", &n}, {"big", &s}, {"map", &list}, {"map", &byInt}, {"o", &s}, {"e", &item{}},
		{"big", n}, {"big", nil}, {"big", (*int)(nil)},
	} {
		v, _ := values.Get(c.name)
		if err := As(v, c.into); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s into a %T: %v", c.name, c.into, err)
		}
	}
	if err := As(int64(3), &f); err != nil || f != 3 {
		t.Errorf("an int into a float: %v, %v", f, err)
	}
	if err := As(3.0, &n); err != nil || n != 3 {
		t.Errorf("a whole float into an int: %v, %v", n, err)
	}
}

func TestPlain(t *testing.T) {
	values := decode(t, `l|a:2:{i:0;i:1;i:1;s:1:"x";}m|a:2:{i:17;N;s:1:"k";b:1;}e|a:0:{}f|d:-0;r|R:6;`)
	got, err := values.Map()
	want := map[string]any{
		"l": []any{1, "x"}, "m": map[string]any{"17": nil, "k": true}, "e": []any{}, "f": math.Copysign(0, -1), "r": true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v", got, err)
	}
}

// A payload of a few kilobytes may stand for more values than there are atoms, or for itself.
func TestExpansionIsBounded(t *testing.T) {
	deep := NewArray()
	for range 100 {
		r := &ref{value: deep}
		deep = NewArray()
		deep.t.put(IntKey(0), r)
		deep.t.put(IntKey(1), r)
	}
	self := decode(t, `s|a:1:{i:0;R:1;}`)
	for _, values := range []*Array{deep, self} {
		if _, err := values.Map(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Map: %v", err)
		}
		var into any
		if err := As(values, &into); !errors.Is(err, ErrUnsupported) {
			t.Errorf("As: %v", err)
		}
		if err := values.Update(nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Update: %v", err)
		}
	}
}

func TestUpdateLeavesTheRestAlone(t *testing.T) {
	const before = `f|d:0.10000000000000001;cart|a:3:{i:9;a:2:{s:1:"z";d:1.0E+1;s:1:"a";i:1;}i:3;i:4;s:1:"x";i:5;}l|a:3:{i:0;i:1;i:1;i:2;i:2;i:3;}o|O:1:"A":1:{s:1:"p";i:1;}p|r:12;r|i:1;q|R:15;gone|i:1;`
	values := decode(t, before)
	m, err := values.Map()
	if err != nil {
		t.Fatal(err)
	}
	if err := values.Update(m); err != nil {
		t.Fatal(err)
	}
	wants(t, values, before)
	m["cart"].(map[string]any)["9"].(map[string]any)["a"] = "new"
	m["cart"].(map[string]any)["1"] = true
	delete(m["cart"].(map[string]any), "3")
	m["l"] = append(m["l"].([]any)[:1], "end")
	m["q"] = "through"
	m["new"] = map[string]int{"k": 1, "2": 2}
	delete(m, "gone")
	if err := values.Update(m); err != nil {
		t.Fatal(err)
	}
	wants(t, values, `f|d:0.10000000000000001;cart|a:3:{i:9;a:2:{s:1:"z";d:1.0E+1;s:1:"a";s:3:"new";}s:1:"x";i:5;i:1;b:1;}l|a:2:{i:0;i:1;i:1;s:3:"end";}`+
		`o|O:1:"A":1:{s:1:"p";i:1;}p|r:11;r|s:7:"through";q|R:14;new|a:2:{i:2;i:2;s:1:"k";i:1;}`)
}

// What a custom object holds cannot be renumbered.
func TestCustomObjects(t *testing.T) {
	const payload = `a|a:1:{i:0;i:1;}c|C:3:"Old":4:{R:1;}n|i:1;`
	values := decode(t, payload)
	if err := values.Set(2, "n"); err != nil {
		t.Fatal(err)
	}
	if err := values.Set("x", "a", "0"); err != nil {
		t.Fatal(err)
	}
	wants(t, values, `a|a:1:{i:0;s:1:"x";}c|C:3:"Old":4:{R:1;}n|i:2;`)
	if err := values.Set(3, "a", "1"); err != nil {
		t.Fatal(err)
	}
	for _, f := range formats {
		if _, err := Encode(f, values); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := Decode(PHP, []byte(`c|C:3:"Old":4:{i:1;}n|i:1;m|R:2;`)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a reference behind a custom object: %v", err)
	}
}

func TestNamesThatHaveNoPlace(t *testing.T) {
	for f, name := range map[Format]string{PHP: "a|b", PHPBinary: strings.Repeat("x", 128)} {
		for _, name := range []string{name, "17"} {
			values := NewArray()
			if err := values.Set(1, name); err != nil {
				t.Fatal(err)
			}
			if _, err := Encode(f, values); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s, %.10q: %v", f, name, err)
			}
		}
	}
	if _, err := Decode("json", nil); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

// What goes into a session comes out again.
func TestFromAndAs(t *testing.T) {
	type all struct {
		B bool
		I int64
		F float64
		S string
		L []uint16
		M map[string]int8
		N map[int]string
		P *bool
	}
	number := rapid.Custom(func(t *rapid.T) all {
		return all{
			B: rapid.Bool().Draw(t, "b"), I: rapid.Int64().Draw(t, "i"), F: rapid.Float64().Draw(t, "f"), S: rapid.String().Draw(t, "s"),
			L: rapid.SliceOf(rapid.Uint16()).Draw(t, "l"), M: rapid.MapOf(rapid.String(), rapid.Int8()).Draw(t, "m"),
			N: rapid.MapOf(rapid.Int(), rapid.String()).Draw(t, "n"), P: rapid.Ptr(rapid.Bool(), true).Draw(t, "p"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := number.Draw(t, "value")
		v, err := From(want)
		if err != nil {
			t.Fatal(err)
		}
		var got all
		if err := As(v, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("put in %+v\ngot out %+v, %v", want, got, err)
		}
	})
}
