package resp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var roomy = limits{arg: 1 << 20, args: maxArgs, total: 4 << 20}

// parseAll feeds the input in pieces and returns all commands found before its end or the first error.
func parseAll(input []byte, piece int, lim limits) (commands [][]string, err error) {
	p := &parser{}
	p.reset()
	var buf []byte
	for len(input) > 0 {
		n := min(piece, len(input))
		buf = append(buf, input[:n]...)
		input = input[n:]
		for {
			args, n, err := p.next(buf, lim)
			if err != nil {
				return commands, err
			}
			if n == 0 {
				break
			}
			one := []string{}
			for _, a := range args {
				one = append(one, string(a))
			}
			commands = append(commands, one)
			buf = append([]byte(nil), buf[n:]...)
		}
	}
	return commands, nil
}

func TestParser(t *testing.T) {
	for _, c := range []struct {
		name, input, want string // want: arguments separated by |, commands by /
		fails             string
	}{
		{"array", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "GET|k", ""},
		{"two", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n", "PING/QUIT", ""},
		{"empty argument", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "ECHO|", ""},
		{"line ends inside", "*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", "ECHO|\r\n\r\n", ""},
		{"no arguments", "*0\r\n*-1\r\nPING\r\n", "//PING", ""},
		{"inline", "set  k\t'a b'\r\n", "set|k|a b", ""},
		{"inline, bare line end", "PING\n", "PING", ""},
		{"inline escapes", `set k "\x41\n\"\q" 'it\'s'` + "\r\n", "set|k|A\n\"q|it's", ""},
		{"incomplete", "*2\r\n$3\r\nGET\r\n$5\r\nab", "", ""},
		{"unbalanced", "get \"k\r\n", "", "unbalanced quotes"},
		{"glued quotes", "get \"k\"x\r\n", "", "unbalanced quotes"},
		{"bad count", "*x\r\n", "", "invalid multibulk length"},
		{"count with zero", "*01\r\n", "", "invalid multibulk length"},
		{"many", "*99999\r\n", "", "invalid multibulk length"},
		{"no bulk", "*1\r\n:3\r\n", "", "expected '$'"},
		{"negative bulk", "*1\r\n$-1\r\n", "", "invalid bulk length"},
		{"long bulk", "*1\r\n$1048577\r\n", "", "invalid bulk length"},
		{"wrong end", "*1\r\n$3\r\nPINGPING", "", "does not end"},
		{"overflow", "*1\r\n$99999999999999999999\r\n", "", "invalid bulk length"},
		{"nested", "*1\r\n*1\r\n", "", "expected '$'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{1, 3, len(c.input)} {
				commands, err := parseAll([]byte(c.input), piece, roomy)
				var got []string
				for _, args := range commands {
					got = append(got, strings.Join(args, "|"))
				}
				if joined := strings.Join(got, "/"); joined != c.want {
					t.Errorf("in pieces of %d: %q, want %q", piece, joined, c.want)
				}
				if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Errorf("in pieces of %d: error %v, want %q", piece, err, c.fails)
				}
			}
		})
	}
}

func TestParserLimits(t *testing.T) {
	early := limits{arg: maxEarly, args: maxEarlyArg, total: maxEarly}
	for name, c := range map[string]struct {
		input string
		lim   limits
	}{
		"endless line":               {strings.Repeat("x", maxLine+2), roomy},
		"long line":                  {strings.Repeat("x", maxLine+2) + "\r\n", roomy},
		"many before AUTH":           {"*17\r\n", early},
		"long before AUTH":           {"*1\r\n$16385\r\n", early},
		"many long":                  {"*5\r\n" + strings.Repeat("$1048576\r\n"+strings.Repeat("x", 1<<20)+"\r\n", 5), roomy},
		"many inline before AUTH":    {strings.Repeat("x ", 17) + "\r\n", early},
		"long header of a bulk":      {"*1\r\n$" + strings.Repeat("1", maxLine+2), roomy},
		"the second is the long one": {"PING\r\n" + strings.Repeat("x", maxLine+2), roomy},
	} {
		if _, err := parseAll([]byte(c.input), 8192, c.lim); !errors.Is(err, errProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a client sends is what the parser finds, in whatever pieces it arrives.
func TestParserFindsWhatWasSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOfN(rapid.SliceOfN(rapid.String(), 1, 5), 0, 8).Draw(t, "commands")
		var b bytes.Buffer
		for _, args := range sent {
			fmt.Fprintf(&b, "*%d\r\n", len(args))
			for _, a := range args {
				fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
			}
		}
		got, err := parseAll(b.Bytes(), rapid.IntRange(1, 64).Draw(t, "piece"), roomy)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(append([][]string(nil), sent...)) {
			t.Fatalf("%q, %v, want %q", got, err, sent)
		}
	})
}

func FuzzParser(f *testing.F) {
	for _, seed := range []string{"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "PING\r\n", "set k \"\\x4", "*1\r\n$0\r\n\r\n*0\r\n", "'\\''\n"} {
		f.Add([]byte(seed))
	}
	small := limits{arg: 64, args: 8, total: 256}
	f.Fuzz(func(t *testing.T, input []byte) {
		whole, err := parseAll(input, len(input)+1, small)
		split, errSplit := parseAll(input, 1, small)
		if fmt.Sprint(whole) != fmt.Sprint(split) || (err == nil) != (errSplit == nil) {
			t.Fatalf("at once %q, %v; byte by byte %q, %v", whole, err, split, errSplit)
		}
		for _, args := range whole {
			if len(args) > small.args {
				t.Fatalf("%d arguments", len(args))
			}
		}
	})
}
