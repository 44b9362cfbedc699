package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/page/pagetest"
)

func sheet() figures.Sheet {
	ours, theirs := figures.Samples{90, 100, 110}, figures.Samples{50, 50, 50}
	t := figures.Table{Title: "kept", Labels: []string{"load", "side"}, Figures: []string{"requests/s"}}
	t.Add([]string{"new", "lvsproxy"}, ours)
	t.Add([]string{"new", "HAProxy"}, theirs)
	t.Add([]string{"new", "lvsproxy : HAProxy"}, ours.Over(theirs).Least(1.5))
	return figures.Sheet{Name: "fronts", Command: "go run ./bench/fronts", About: "all in turn", Tables: []figures.Table{t}, Notes: []string{"a note"}}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	text, err := json.Marshal(sheet())
	if err != nil {
		t.Fatal(err)
	}
	readme := filepath.Join(dir, "README.md")
	for name, content := range map[string]string{filepath.Join(dir, "fronts.json"): string(text), readme: "before\n" + begin + "old\n" + end + "after\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time changes nothing
		if err := run(dir, readme); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(readme)
		want := "| kept, new, lvsproxy : HAProxy, requests/s | 2.00 × (1.80–2.20) | ≥ 1.50 ×: met |\n"
		if !strings.Contains(string(got), want) || strings.Contains(string(got), "old") || !strings.HasPrefix(string(got), "before\n"+begin) || !strings.HasSuffix(string(got), end+"after\n") {
			t.Fatalf("%s", got)
		}
		holdFormat(t, string(got))
	}
	html, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2.00 × (1.80–2.20) (target ≥ 1.50: met)", "a note", "all in turn", `id="fronts"`, "class=\"whisker\""} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	pagetest.Check(t, string(html))
}

func TestRunFails(t *testing.T) {
	dir := t.TempDir()
	if run(dir, "") == nil {
		t.Error("a folder without sheets")
	}
	if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if run(dir, "") == nil {
		t.Error("a file that is no sheet")
	}
	for _, text := range []string{"", begin, end + begin, begin + end + begin + end} {
		if _, err := replace(text, "x"); !errors.Is(err, errMarks) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

var (
	source = regexp.MustCompile("^`go run [^`]+`, measured on \\d{4}-\\d\\d-\\d\\d; .+, commit .*:$")
	row    = regexp.MustCompile(`^\| [^|]+ \| (?:-|-?\d+\.\d\d ×(?: \(-?\d+\.\d\d–-?\d+\.\d\d\))?) \| [≤≥] \d+\.\d\d ×: (?:met|missed) \|$`)
)

// holdFormat holds that what stands between the marks is what summary writes: for each benchmark its command and machine, a head,
// and rows.
func holdFormat(t *testing.T, text string) {
	t.Helper()
	_, rest, found := strings.Cut(text, begin)
	table, _, closed := strings.Cut(rest, end)
	parts := strings.Split(strings.TrimSpace(table), "\n\n")
	if !found || !closed || len(parts)%2 != 0 {
		t.Fatalf("marks or parts of the table are not the generator's: %q", table)
	}
	for i := 0; i < len(parts); i += 2 {
		if !source.MatchString(parts[i]) {
			t.Errorf("it does not say what measured it, and where: %s", parts[i])
		}
		rows, said := strings.CutPrefix(parts[i+1]+"\n", head)
		if !said || rows == "" {
			t.Fatalf("no head, or no rows: %s", parts[i+1])
		}
		for line := range strings.SplitSeq(strings.TrimSpace(rows), "\n") {
			if !row.MatchString(line) {
				t.Errorf("no row of the generator: %s", line)
			}
		}
	}
}

func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	holdFormat(t, string(text))
}
