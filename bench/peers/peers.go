// Package peers has the configurations that the benchmarks hold against each other, as files that anyone can argue with.
package peers

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"strings"
	"text/template"
)

//go:embed fronts php stores
var files embed.FS

// Write writes a configuration, such as fronts/haproxy.cfg, with settings put in for its {{.Names}}; one that is missing is an error.
func Write(w io.Writer, name string, settings any) error {
	t, err := template.New(path.Base(name)).Option("missingkey=error").ParseFS(files, name)
	if err != nil {
		return err
	}
	if err := t.Execute(w, settings); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// INI returns the settings of a php.ini in the folder php, values as they stand there.
func INI(name string, settings map[string]string) (map[string]string, error) {
	var text strings.Builder
	if err := Write(&text, "php/"+name, settings); err != nil {
		return nil, err
	}
	ini := map[string]string{}
	for line := range said(text.String(), ";") {
		key, value, found := strings.Cut(line, "=")
		if !found {
			return nil, fmt.Errorf("%s: %q is no setting", name, line)
		}
		ini[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return ini, nil
}

// Flags returns the command line that a file in the folder stores has, a flag and its value a line.
func Flags(name string, settings map[string]string) ([]string, error) {
	var text strings.Builder
	if err := Write(&text, "stores/"+name, settings); err != nil {
		return nil, err
	}
	var flags []string
	for line := range said(text.String(), "#") {
		flags = append(flags, strings.Fields(line)...)
	}
	return flags, nil
}

// WriteFile writes a configuration as [Write] does, into a file that it makes.
func WriteFile(file, name string, settings any) error {
	var text bytes.Buffer
	if err := Write(&text, name, settings); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

// said yields the lines that are neither empty nor comments.
func said(text, comment string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, comment) && !yield(line) {
				return
			}
		}
	}
}
