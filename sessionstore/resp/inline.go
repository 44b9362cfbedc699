package resp

import "errors"

var errQuotes = errors.New("unbalanced quotes in request")

// splitInline splits a line that a person typed: blanks between arguments; "…" with \n \r \t \b \a \xhh and \ before any
// other byte for itself; '…' with \' only.
func splitInline(line []byte, lim limits) (args [][]byte, err error) {
	for i := 0; ; {
		for i < len(line) && blank(line[i]) {
			i++
		}
		if i == len(line) {
			return args, nil
		}
		if len(args) == lim.args {
			return nil, protocolError("too many arguments")
		}
		var arg []byte
		if arg, i, err = inlineArg(line, i); err != nil {
			return nil, protocolError("%v", err)
		}
		args = append(args, arg)
	}
}

// inlineArg reads the argument at i and returns where it ends.
func inlineArg(line []byte, i int) (arg []byte, end int, err error) {
	arg = []byte{}
	for i < len(line) && !blank(line[i]) {
		if c := line[i]; c != '"' && c != '\'' {
			arg = append(arg, c)
			i++
			continue
		}
		if arg, i, err = quoted(line, i, arg); err != nil {
			return nil, 0, err
		}
		if i < len(line) && !blank(line[i]) {
			return nil, 0, errQuotes
		}
	}
	return arg, i, nil
}

// quoted appends what stands between the quote at i and its partner to arg.
func quoted(line []byte, i int, arg []byte) (_ []byte, end int, err error) {
	quote := line[i]
	for i++; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			return arg, i + 1, nil
		case c != '\\' || i+1 == len(line):
			arg = append(arg, c)
		case quote == '\'':
			if line[i+1] == '\'' {
				i++
			}
			arg = append(arg, line[i])
		default:
			c, n := escaped(line[i+1:])
			arg = append(arg, c)
			i += n
		}
	}
	return nil, 0, errQuotes
}

// escaped reads what follows a backslash.
func escaped(b []byte) (c byte, n int) {
	if b[0] == 'x' && len(b) >= 3 {
		high, low := hexDigit(b[1]), hexDigit(b[2])
		if high >= 0 && low >= 0 {
			return byte(high<<4 | low), 3
		}
	}
	switch b[0] {
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'b':
		return '\b', 1
	case 'a':
		return '\a', 1
	}
	return b[0], 1
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0 }
