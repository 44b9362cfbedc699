package resp

import (
	"strconv"
	"strings"
)

// reply collects the answers to a command, as RESP2 or RESP3.
type reply struct {
	b      []byte
	v3     bool
	failed bool // an error is among them
}

func (r *reply) ok()             { r.simple("OK") }
func (r *reply) simple(s string) { r.line('+', s) }
func (r *reply) bulk(v []byte)   { r.head('$', len(v)); r.b = append(append(r.b, v...), "\r\n"...) }
func (r *reply) text(s string)   { r.head('$', len(s)); r.b = append(append(r.b, s...), "\r\n"...) }
func (r *reply) array(n int)     { r.head('*', n) }
func (r *reply) integer(n int64) { r.b = append(strconv.AppendInt(append(r.b, ':'), n, 10), "\r\n"...) }
func (r *reply) head(c byte, n int) {
	r.b = append(strconv.AppendInt(append(r.b, c), int64(n), 10), "\r\n"...)
}

func (r *reply) line(c byte, s string) {
	r.b = append(append(append(r.b, c), s...), "\r\n"...)
}

// fail answers with an error: a word in capitals for the client's program, then text for people. Line ends and control
// characters, which only a client's own words can bring in, become blanks.
func (r *reply) fail(s string) {
	r.failed = true
	r.line('-', strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s))
}

// null answers that there is no value.
func (r *reply) null() {
	if r.v3 {
		r.b = append(r.b, "_\r\n"...)
		return
	}
	r.b = append(r.b, "$-1\r\n"...)
}

// pairs begins n pairs of name and value.
func (r *reply) pairs(n int) {
	if r.v3 {
		r.head('%', n)
		return
	}
	r.array(2 * n)
}

// verbatim answers with text for people.
func (r *reply) verbatim(s string) {
	if !r.v3 {
		r.text(s)
		return
	}
	r.head('=', len(s)+4)
	r.b = append(append(append(r.b, "txt:"...), s...), "\r\n"...)
}

func (r *reply) yes(b bool) {
	if b {
		r.integer(1)
		return
	}
	r.integer(0)
}
