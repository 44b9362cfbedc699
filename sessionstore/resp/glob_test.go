package resp

import (
	"strings"
	"testing"
	"time"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "x", true}, {"sess:*", "sess:#1", true}, {"sess:*", "cart:#1", false}, {"h?llo", "hello", true},
		{"h[ae]llo", "hallo", true}, {"h[^e]llo", "hello", false}, {"h[a-b]llo", "hbllo", true}, {"h[b-a]llo", "hallo", true},
		{`h\?llo`, "h?llo", true}, {`h\?llo`, "hello", false}, {"a*b*c", "aXbYbZc", true}, {"a*b", "ab", true}, {"a*b", "abc", false},
		{"", "", true}, {"", "x", false}, {"[ab", "a", true}, {"[", "[", false}, {`\`, `\`, true}, {"a**", "a", true}, {"?", "", false},
	} {
		if got := glob([]byte(c.pattern), []byte(c.text)); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.text, got)
		}
	}
}

func FuzzGlob(f *testing.F) {
	f.Add([]byte("a*[b-c]?\\*"), []byte("aab*"))
	f.Fuzz(func(t *testing.T, pattern, text []byte) {
		glob(pattern, text)
		if !glob([]byte("*"), text) {
			t.Fatalf("* does not match %q", text)
		}
	})
}

func TestGlobDoesNotExplode(t *testing.T) {
	done := make(chan bool)
	go func() { done <- glob([]byte(strings.Repeat("a*", 100)+"b"), []byte(strings.Repeat("a", 1000))) }()
	select {
	case got := <-done:
		if got {
			t.Error("matched")
		}
	case <-time.After(time.Minute):
		t.Fatal("still at it")
	}
}
