// Package settings fills a program's flags from the command line, the environment and a file, in that order of
// precedence, and prints them. A flag --lock-wait of the program sessiond is SESSIOND_LOCK_WAIT in the environment and
// a line "lock-wait = 30s" in the file.
package settings

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// Redactor is a flag value that can show itself without its secrets.
type Redactor interface {
	Redacted() []string
}

// Fill parses args into the flags, then sets each flag that they leave alone from the environment, then from the file
// that the flag --config names, if there is one. Errors name the variable, or the file and line.
//
// It prints nothing: for flag.ErrHelp the program calls [Help].
func Fill(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: options begin with --", flags.Arg(0))
	}
	set := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := fromEnvironment(flags, set); err != nil {
		return err
	}
	if f := flags.Lookup("config"); f != nil && f.Value.String() != "" {
		return fromFile(flags, f.Value.String(), set)
	}
	return nil
}

// Variable returns the name of the environment variable of a flag.
func Variable(program, name string) string {
	return strings.ToUpper(strings.ReplaceAll(program+"_"+name, "-", "_"))
}

func fromEnvironment(flags *flag.FlagSet, set map[string]bool) (err error) {
	flags.VisitAll(func(f *flag.Flag) {
		name := Variable(flags.Name(), f.Name)
		text, ok := os.LookupEnv(name)
		if !ok || set[f.Name] || err != nil {
			return
		}
		values := []string{text}
		if _, repeatable := f.Value.(*Strings); repeatable {
			values = strings.Fields(text)
		}
		for _, v := range values {
			if e := flags.Set(f.Name, v); e != nil {
				err = fmt.Errorf("environment variable %s: %w", name, e)
			}
		}
		set[f.Name] = true
	})
	return err
}

// fromFile reads lines "name = value"; # begins a comment line. A repeatable flag has a line for each value.
func fromFile(flags *flag.FlagSet, path string, set map[string]bool) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	defer file.Close()
	return fromLines(flags, path, file, set)
}

func fromLines(flags *flag.FlagSet, path string, r io.Reader, set map[string]bool) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch f := flags.Lookup(name); {
		case !ok:
			return fmt.Errorf("%s:%d: expected name = value", path, n)
		case f == nil || name == "config" || name == "print-config":
			return fmt.Errorf("%s:%d: unknown setting %q", path, n, name)
		case set[name]:
			// the command line or the environment has said otherwise
		default:
			if err := flags.Set(name, value); err != nil {
				return fmt.Errorf("%s:%d: %s: %w", path, n, name, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Print writes the flags as a file that Fill reads, without secrets.
func Print(w io.Writer, flags *flag.FlagSet) {
	flags.VisitAll(func(f *flag.Flag) {
		if f.Name == "config" || f.Name == "print-config" {
			return
		}
		values := []string{f.Value.String()}
		if r, ok := f.Value.(Redactor); ok {
			values = r.Redacted()
		}
		for _, v := range values {
			fmt.Fprintf(w, "%s = %s\n", f.Name, v)
		}
	})
}

// Help describes the flags, two dashes to each, as people type them.
func Help(w io.Writer, flags *flag.FlagSet) {
	flags.VisitAll(func(f *flag.Flag) {
		kind, text := flag.UnquoteUsage(f)
		head := "  --" + f.Name
		if kind != "" {
			head += " " + strings.ToUpper(kind)
		}
		if f.DefValue != "" && f.DefValue != "false" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(w, "%s\n        %s\n", head, text)
	})
}

// Strings is the value of a flag that may be given several times. In the environment its values are separated by
// whitespace.
type Strings struct {
	Values []string
	// Redact, if set, hides what a value must not show.
	Redact func(string) string
}

// String implements flag.Value.
func (s *Strings) String() string {
	if s == nil {
		return ""
	}
	return strings.Join(s.Redacted(), " ")
}

// Set implements flag.Value: it adds a value.
func (s *Strings) Set(v string) error {
	if v == "" {
		return fmt.Errorf("an empty value")
	}
	s.Values = append(s.Values, v)
	return nil
}

// Redacted implements [Redactor].
func (s *Strings) Redacted() []string {
	list := make([]string, 0, len(s.Values))
	for _, v := range s.Values {
		if s.Redact != nil {
			v = s.Redact(v)
		}
		list = append(list, v)
	}
	return list
}
