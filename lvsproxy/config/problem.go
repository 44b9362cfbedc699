package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is an error or a warning about one line of a file.
type Problem struct {
	File string
	Line int // counted from 1
	// Message says what is wrong and what was expected. It never repeats a password.
	Message string
}

// Error returns "file:line: message".
func (p Problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message) }

// Problems are all errors of a file, by line. It is the error of [Parse] and of [File.Unsupported].
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// err returns the problems sorted by line as an error, or nil if there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	ps.sort()
	return ps
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.Line - b.Line })
}
