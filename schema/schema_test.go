package schema

import (
	"fmt"
	"strings"
	"testing"
)

func TestPrint(t *testing.T) {
	for _, engine := range []string{NDB, InnoDB} {
		text, err := Print(engine)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"schema_version", "session", "chunk", "subject", "lease"} {
			if !strings.Contains(text, "CREATE TABLE IF NOT EXISTS "+table+" (") {
				t.Errorf("%s: no table %s", engine, table)
			}
		}
		if strings.Contains(text, "NDB_TABLE") != (engine == NDB) {
			t.Errorf("%s has the other engine's options", engine)
		}
		if !strings.Contains(text, fmt.Sprintf("VALUES (%d,", Version)) {
			t.Errorf("%s: the script does not record version %d", engine, Version)
		}
	}
	if _, err := Print("myisam"); err == nil || !strings.Contains(err.Error(), "myisam") {
		t.Errorf("an unknown engine gives %v", err)
	}
}

// Both engines must offer the program the same columns.
func TestEnginesHaveTheSameColumns(t *testing.T) {
	columns := func(engine string) (list []string) {
		for v := range Version + 1 {
			text, err := read(engine, v)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range statements(text) {
				for line := range strings.Lines(s) {
					if words := strings.Fields(line); len(words) >= 3 && words[2] == "NOT" || len(words) >= 4 && words[3] == "NOT" {
						list = append(list, strings.Join(words, " "))
					}
				}
			}
		}
		return list
	}
	ndb, innodb := columns(NDB), columns(InnoDB)
	if len(ndb) < 20 || strings.Join(ndb, "\n") != strings.Join(innodb, "\n") {
		t.Errorf("ndb has\n%s\ninnodb has\n%s", strings.Join(ndb, "\n"), strings.Join(innodb, "\n"))
	}
}

func TestStatements(t *testing.T) {
	for text, want := range map[string][]string{
		"":                              nil,
		"-- nothing; here\n":            nil,
		"SELECT 1;\nSELECT\n 2; -- x\n": {"SELECT 1", "SELECT\n2"},
	} {
		if got := statements(text); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
