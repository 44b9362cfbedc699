package recording

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	const text = `# About the file.
#
# More.

== the first
# Why.
$ ipvsadm -A -t '' 1
! one

== the second
$ cat
< a
<
| a
|
|   b
\
? 3
`
	want := &File{Comment: []string{"About the file.", "", "More."}, Scenarios: []Scenario{
		{Name: "the first", Steps: []Step{{Comment: []string{"Why."}, Command: "ipvsadm -A -t '' 1", Stderr: "one\n"}}},
		{Name: "the second", Steps: []Step{{Command: "cat", Stdin: "a\n\n", Stdout: "a\n\n  b", Code: 3}}},
	}}
	got, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if again := string(Format(got)); again != text {
		t.Errorf("written again:\n%s", again)
	}
	if args := got.Scenarios[0].Steps[0].Args(); !reflect.DeepEqual(args, []string{"ipvsadm", "-A", "-t", "", "1"}) {
		t.Errorf("args %q", args)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"$ command", "== a\n| output", "== a\n$ b\n? x", "== a\n$ b\n\\", "== a\n$ b\n% c", " a",
		"== a\n# to nothing", "== a\n$ b\n# c\n| d", "== a\n# b\n== c"} {
		if f, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q gave %+v", text, f)
		}
	}
}

func TestFormatThenParse(t *testing.T) {
	line := rapid.Map(rapid.StringMatching(`[a-z|!?\\<$=#-]*( [a-z ]*[a-z])?`), strings.TrimSpace)
	output := rapid.OneOf(rapid.Just(""), rapid.Map(rapid.SliceOfN(line, 1, 3), func(l []string) string { return strings.Join(l, "\n") + "\n" }),
		rapid.StringMatching(`[a-z]+`))
	step := rapid.Custom(func(t *rapid.T) Step {
		return Step{Command: rapid.StringMatching(`[a-z]+( [a-z']+)*`).Draw(t, "command"), Stdin: output.Draw(t, "stdin"),
			Stdout: output.Draw(t, "stdout"), Stderr: output.Draw(t, "stderr"), Code: rapid.IntRange(0, 255).Draw(t, "code")}
	})
	rapid.Check(t, func(t *rapid.T) {
		f := &File{Scenarios: []Scenario{{Name: "a", Steps: rapid.SliceOfN(step, 1, 4).Draw(t, "steps")}}}
		got, err := Parse(Format(f))
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("%v\n%s\ngave %+v\nwant %+v", err, Format(f), got, f)
		}
	})
}
