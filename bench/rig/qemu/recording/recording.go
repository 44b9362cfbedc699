// Package recording reads and writes recordings: what the real IPVS, ipvsadm and ldirectord did, as text that people
// read and tests compare with. lvsproxy/testdata/ipvs holds them, and its README.md describes the format; the commands of
// package record make them anew.
package recording

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// File is a file of recordings.
type File struct {
	Comment   []string // its first lines
	Scenarios []Scenario
}

// Scenario is a sequence of commands that begins with nothing: no services, no connections.
type Scenario struct {
	Name  string
	Steps []Step
}

// Step is a command and how it ended.
type Step struct {
	Comment []string
	Command string
	Stdin   string
	Stdout  string
	Stderr  string
	Code    int // exit code
}

// Args splits the command at spaces. The argument ” is an empty one; there is no other quoting.
func (s Step) Args() []string {
	args := strings.Fields(s.Command)
	for i, arg := range args {
		if arg == "''" {
			args[i] = ""
		}
	}
	return args
}

// Read reads a file.
func Read(path string) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Parse reads the text of a file.
func Parse(text []byte) (*File, error) {
	p := parser{file: &File{}}
	number := 0
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
		number++
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if p.comment != nil {
		return nil, fmt.Errorf("a comment at the end belongs to nothing")
	}
	return p.file, nil
}

type parser struct {
	file    *File
	comment []string
	output  *string // what the last line was part of
}

func (p *parser) line(line string) error {
	mark, text := line, ""
	if i := strings.IndexByte(line, ' '); i >= 0 {
		mark, text = line[:i], line[i+1:]
	}
	switch mark {
	case "":
		if line != "" {
			return fmt.Errorf("a line begins with a blank")
		}
		if len(p.file.Scenarios) == 0 && p.comment != nil {
			p.file.Comment, p.comment = append(p.file.Comment, p.comment...), nil
		}
		return nil
	case "#":
		p.comment = append(p.comment, text)
		return nil
	case "==":
		if p.comment != nil {
			return fmt.Errorf("a comment before a scenario belongs below its name")
		}
		p.file.Scenarios = append(p.file.Scenarios, Scenario{Name: text})
		return nil
	}
	if len(p.file.Scenarios) == 0 {
		return fmt.Errorf("%q before the first scenario", line)
	}
	scenario := &p.file.Scenarios[len(p.file.Scenarios)-1]
	if mark == "$" {
		scenario.Steps = append(scenario.Steps, Step{Comment: p.comment, Command: text})
		p.comment, p.output = nil, nil
		return nil
	}
	if len(scenario.Steps) == 0 || p.comment != nil {
		return fmt.Errorf("%q belongs to no command", line)
	}
	return p.result(&scenario.Steps[len(scenario.Steps)-1], mark, text)
}

func (p *parser) result(step *Step, mark, text string) error {
	switch mark {
	case "<":
		p.output = &step.Stdin
	case "|":
		p.output = &step.Stdout
	case "!":
		p.output = &step.Stderr
	case "?":
		var err error
		step.Code, err = strconv.Atoi(text)
		return err
	case `\`:
		if p.output == nil || *p.output == "" {
			return fmt.Errorf("no line to take the end from")
		}
		*p.output = strings.TrimSuffix(*p.output, "\n")
		return nil
	default:
		return fmt.Errorf("unknown mark %q", mark)
	}
	*p.output += text + "\n"
	return nil
}

// Format writes a file's text.
func Format(f *File) []byte {
	var b bytes.Buffer
	block(&b, "#", strings.Join(f.Comment, "\n"))
	for i, scenario := range f.Scenarios {
		if i > 0 || len(f.Comment) > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "== %s\n", scenario.Name)
		for _, step := range scenario.Steps {
			for _, line := range step.Comment {
				put(&b, "#", line)
			}
			put(&b, "$", step.Command)
			output(&b, "<", step.Stdin)
			output(&b, "|", step.Stdout)
			output(&b, "!", step.Stderr)
			if step.Code != 0 {
				put(&b, "?", strconv.Itoa(step.Code))
			}
		}
	}
	return b.Bytes()
}

// output writes each line of text behind a mark, and a line of its own if the last has no end.
func output(b *bytes.Buffer, mark, text string) {
	if text == "" {
		return
	}
	block(b, mark, strings.TrimSuffix(text, "\n"))
	if !strings.HasSuffix(text, "\n") {
		b.WriteString("\\\n")
	}
}

func block(b *bytes.Buffer, mark, text string) {
	if text == "" && mark == "#" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		put(b, mark, line)
	}
}

func put(b *bytes.Buffer, mark, line string) {
	if line != "" {
		mark += " " + line
	}
	b.WriteString(mark + "\n")
}
