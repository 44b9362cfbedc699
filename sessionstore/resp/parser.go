package resp

import (
	"bytes"
	"fmt"
)

// Bounds of what a client may send, whatever the limits of its namespace.
const (
	maxLine     = 64 << 10 // an inline command, or the header of anything
	maxArgs     = 16 << 10 // arguments of one command
	maxEarly    = 16 << 10 // a command before AUTH, in bytes
	maxEarlyArg = 16       // arguments of such a command
	keepArgs    = 64       // capacity kept from one command to the next
)

// errProtocol is an error after which nothing that follows on the connection can be understood.
const errProtocol answer = "Protocol error"

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errProtocol, fmt.Sprintf(format, args...))
}

// limits bound one command.
type limits struct {
	arg   int // bytes of one argument
	args  int // number of arguments
	total int // bytes of the whole command
}

// parser finds commands at the front of a buffer. It remembers how far it came, so that a command which arrives byte by
// byte costs no more than one that arrives at once.
type parser struct {
	at    int    // where the command goes on; all before belongs to it
	sawTo int    // no line end before here
	left  int    // arguments still to come, if begun
	size  int    // of the argument that has begun, or -1
	begun bool   // an array has begun
	args  []span // arguments found
}

// span is a part of the buffer. Offsets outlive a buffer that grows.
type span struct{ from, to int }

func (p *parser) reset() {
	args := p.args[:0]
	if cap(args) > keepArgs {
		args = nil
	}
	*p = parser{args: args, size: -1}
}

// next looks for a whole command at the front of buf. It returns its arguments and length, or a length of 0 if more must
// arrive. Arguments of an array are parts of buf. A command without arguments, an empty line say, is returned like any
// other. The error wraps errProtocol.
//
// Between two calls that return 0, buf may only have grown at its end.
func (p *parser) next(buf []byte, lim limits) (args [][]byte, n int, err error) {
	if !p.begun {
		line, ok, err := p.line(buf)
		if err != nil || !ok {
			return nil, 0, err
		}
		if len(line) == 0 || line[0] != '*' {
			args, err := splitInline(line, lim)
			n := p.at
			p.reset()
			return args, n, err
		}
		count, ok := parseInt(line[1:])
		if !ok || count > int64(lim.args) {
			if ok && lim.args < maxArgs {
				return nil, 0, protocolError("unauthenticated multibulk length")
			}
			return nil, 0, protocolError("invalid multibulk length")
		}
		p.begun, p.left = true, int(max(0, count))
	}
	for ; p.left > 0; p.left-- {
		ok, err := p.bulk(buf, lim)
		if err != nil || !ok {
			return nil, 0, err
		}
	}
	args = make([][]byte, len(p.args))
	for i, s := range p.args {
		args[i] = buf[s.from:s.to:s.to]
	}
	n = p.at
	p.reset()
	return args, n, nil
}

// bulk reads one argument: a line with its length, then that many bytes and a line end.
func (p *parser) bulk(buf []byte, lim limits) (ok bool, err error) {
	if p.size < 0 {
		line, ok, err := p.line(buf)
		if err != nil || !ok {
			return false, err
		}
		if len(line) == 0 || line[0] != '$' {
			return false, protocolError("expected '$', got %q", firstOf(line))
		}
		size, ok := parseInt(line[1:])
		switch {
		case !ok || size < 0 || size > int64(lim.arg):
			if ok && size > 0 && lim.args < maxArgs {
				return false, protocolError("unauthenticated bulk length")
			}
			return false, protocolError("invalid bulk length")
		case p.at+int(size) > lim.total:
			return false, protocolError("too big a command")
		}
		p.size = int(size)
	}
	if len(buf) < p.at+p.size+2 {
		return false, nil
	}
	if buf[p.at+p.size] != '\r' || buf[p.at+p.size+1] != '\n' {
		return false, protocolError("an argument does not end with its length")
	}
	p.args = append(p.args, span{p.at, p.at + p.size})
	p.at += p.size + 2
	p.sawTo, p.size = p.at, -1
	return true, nil
}

// line returns the next line without its end, "\r\n" or "\n", and moves past it; ok is false if it has not arrived.
func (p *parser) line(buf []byte) (line []byte, ok bool, err error) {
	from := max(p.at, p.sawTo)
	i := bytes.IndexByte(buf[from:], '\n')
	if i < 0 {
		p.sawTo = len(buf)
		if len(buf)-p.at > maxLine {
			return nil, false, protocolError("too big inline request")
		}
		return nil, false, nil
	}
	line = buf[p.at : from+i]
	if len(line) > maxLine {
		return nil, false, protocolError("too big inline request")
	}
	p.at = from + i + 1
	p.sawTo = p.at
	return bytes.TrimSuffix(line, []byte{'\r'}), true, nil
}

func firstOf(line []byte) string {
	if len(line) == 0 {
		return ""
	}
	return string(line[:1])
}

// parseInt reads a decimal number as Redis does: no sign but minus, no blanks, no leading zero.
func parseInt(b []byte) (n int64, ok bool) {
	negative := len(b) > 1 && b[0] == '-'
	digits := b
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	var u uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), true
	case !negative && u < 1<<63:
		return int64(u), true
	}
	return 0, false
}
