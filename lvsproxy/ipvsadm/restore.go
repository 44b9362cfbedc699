package ipvsadm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxToken is how long a word in the input of -R may be, and maxLine how long a line: ipvsadm's buffer for a word has 4,096
// bytes, and overflows.
const (
	maxToken = 4095
	maxLine  = 1 << 16
)

// Input reads the command lines that -R finds on standard input: words that blanks part, without quotes or comments. The
// word "ipvsadm" means nothing, wherever it stands.
type Input struct {
	r *bufio.Reader
	n int
}

// NewInput returns an Input that reads from r.
func NewInput(r io.Reader) *Input { return &Input{r: bufio.NewReaderSize(r, maxLine)} }

// Line returns how many lines were read.
func (in *Input) Line() int { return in.n }

// Next returns the arguments of the next line that has any, or io.EOF. As in ipvsadm, a last line that ends in two
// blanks and no newline does not count.
func (in *Input) Next() ([]string, error) {
	for {
		line, err := in.r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("line %d is longer than %d bytes", in.n+1, maxLine)
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case err != nil && (len(line) == 0 || endsInBlanks(string(line))):
			return nil, io.EOF
		}
		in.n++
		args, tooLong := words(string(line))
		if tooLong {
			return nil, fmt.Errorf("line %d has a word of more than %d bytes", in.n, maxToken)
		}
		if len(args) > 0 {
			return args, nil
		}
	}
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }

func endsInBlanks(s string) bool { return len(strings.TrimRightFunc(s, isBlank)) <= len(s)-2 }

func words(line string) (words []string, tooLong bool) {
	for _, word := range strings.FieldsFunc(line, isBlank) {
		if len(word) > maxToken {
			return nil, true
		}
		if word != "ipvsadm" {
			words = append(words, word)
		}
	}
	return words, false
}
