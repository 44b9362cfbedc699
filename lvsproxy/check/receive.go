package check

import (
	"bytes"
	"fmt"
	"regexp"
)

// pattern is a receive pattern. The nil pattern matches everything.
type pattern struct{ *regexp.Regexp }

func newPattern(receive string) (pattern, error) {
	if receive == "" {
		return pattern{}, nil
	}
	p, err := regexp.Compile(receive)
	if err != nil {
		return pattern{}, fmt.Errorf("receive: %w", err)
	}
	return pattern{p}, nil
}

// any reports whether the pattern asks for nothing.
func (p pattern) any() bool { return p.Regexp == nil }

// matches follows Perl where Go differs: there, $ also matches before a line feed that ends the text.
func (p pattern) matches(text []byte) bool {
	return p.any() || p.Match(text) || p.Match(bytes.TrimSuffix(text, []byte("\n")))
}
