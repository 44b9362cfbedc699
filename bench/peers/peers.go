// Package peers has the configurations that the benchmarks hold against each other, as files that anyone can argue with.
package peers

import (
	"bufio"
	"embed"
	"fmt"
	"io"
	"path"
	"strings"
	"text/template"
)

//go:embed fronts php
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
	lines := bufio.NewScanner(strings.NewReader(text.String()))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, ";") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found {
			return nil, fmt.Errorf("%s: %q is no setting", name, line)
		}
		ini[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return ini, lines.Err()
}
