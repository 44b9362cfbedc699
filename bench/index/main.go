// Command index makes one page of the sheets that the benchmarks wrote into a folder, and the table in README.md.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/page"
)

func main() {
	readme := flag.String("readme", "", "put the table into this `FILE`, too, between its two marks")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: index [--readme README.md] FOLDER\n\nWrites FOLDER/index.html from the benchmarks' FOLDER/*.json.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *readme); err != nil {
		fmt.Fprintf(os.Stderr, "index: %v\n", err)
		os.Exit(1)
	}
}

func run(folder, readme string) error {
	sheets, err := read(folder)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := overview(sheets).Write(&b); err != nil {
		return err
	}
	file := filepath.Join(folder, "index.html")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil || readme == "" {
		return err
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	changed, err := replace(string(text), summary(sheets))
	if err != nil {
		return fmt.Errorf("%s: %w", readme, err)
	}
	return os.WriteFile(readme, []byte(changed), 0o644)
}

// read returns the sheets of a folder in order of their files' names.
func read(folder string) ([]figures.Sheet, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no sheets (*.json)", folder)
	}
	slices.Sort(files)
	var sheets []figures.Sheet
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var s figures.Sheet
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if s.Name == "" {
			return nil, fmt.Errorf("%s is no sheet of a benchmark", name)
		}
		sheets = append(sheets, s)
	}
	return sheets, nil
}

// overview is the page of all sheets: the machine, the aims, and each sheet.
func overview(sheets []figures.Sheet) page.Page {
	first := sheets[0]
	p := page.Page{
		Title: "lvsession, measured",
		Lead:  []string{machine(first), "Begun " + first.Began.Format(time.RFC1123) + ". Figures are medians over rounds in which all sides take turns, with the least and the most in parentheses."},
	}
	if list := aims(sheets); len(list) > 0 {
		p.Sections = append(p.Sections, aimsSection(list))
	}
	for _, s := range sheets {
		section := page.SheetSection(s)
		if machine(s) != machine(first) {
			section.Text = append(section.Text, "On another machine or commit: "+machine(s))
		}
		p.Sections = append(p.Sections, section)
	}
	return p
}

// aimsSection has the aims in two tables: those that were missed come first.
func aimsSection(list []aim) page.Section {
	head := []string{"what", "ratio (least–most)", "aim", "benchmark"}
	missed, met := page.Table{Caption: "Missed", Head: head, Words: true}, page.Table{Caption: "Met", Head: head, Words: true}
	for _, a := range list {
		t := &missed
		if a.ratio.Met() {
			t = &met
		}
		t.Rows = append(t.Rows, []string{a.what, a.bare().String(), a.bound(), a.sheet.Name})
	}
	s := page.Section{Title: "Aims", Anchor: "aims", Text: []string{fmt.Sprintf("%d of %d are met.", len(met.Rows), len(list))}}
	for _, t := range []page.Table{missed, met} {
		if len(t.Rows) > 0 {
			s.Tables = append(s.Tables, t)
		}
	}
	return s
}

func machine(s figures.Sheet) string {
	m := s.Machine
	return fmt.Sprintf("%s, %d cores, %.1f GiB, %s, %s, commit %s", m.Processor, m.Cores, float64(m.MemoryMiB)/1024, m.System, m.Go, m.Commit)
}

// aim is a ratio that has one.
type aim struct {
	sheet figures.Sheet
	what  string
	ratio figures.Ratio
}

func aims(sheets []figures.Sheet) []aim {
	var list []aim
	for _, s := range sheets {
		for _, t := range s.Tables {
			for _, r := range t.Rows {
				for i, c := range r.Cells {
					if c.Ratio != nil && (c.Ratio.AtLeast != 0 || c.Ratio.AtMost != 0) && i < len(t.Figures) {
						list = append(list, aim{s, what(t, r, t.Figures[i]), *c.Ratio})
					}
				}
			}
		}
	}
	return list
}

func what(t figures.Table, r figures.Row, figure string) string {
	words := slices.DeleteFunc(append(append([]string{t.Title}, r.Labels...), figure), func(s string) bool { return s == "" })
	return strings.Join(words, ", ")
}

// The marks in README.md between which the table stands.
const (
	begin = "<!-- begin: table of go run ./bench/index -->\n"
	end   = "<!-- end: table of go run ./bench/index -->\n"
)

var errMarks = errors.New("it lacks the two marks of the table, or has them more than once: " + strings.TrimSpace(begin))

// replace puts a table between the marks.
func replace(text, table string) (string, error) {
	before, rest, found := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed || strings.Contains(after, begin) {
		return "", errMarks
	}
	return before + begin + table + end + after, nil
}

// summary is the table in Markdown: every ratio that has an aim, for each benchmark with its command and machine.
func summary(sheets []figures.Sheet) string {
	var b strings.Builder
	for _, s := range sheets {
		list := aims([]figures.Sheet{s})
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n`%s`, measured on %s; %s:\n\n%s", escape(s.Command), s.Began.Format(time.DateOnly), escape(machine(s)), head)
		for _, a := range list {
			fmt.Fprintln(&b, a.row())
		}
	}
	return b.String() + "\n"
}

// row is the aim's row in Markdown.
func (a aim) row() string {
	verdict := "missed"
	if a.ratio.Met() {
		verdict = "met"
	}
	return fmt.Sprintf("| %s | %s | %s: %s |", escape(a.what), a.bare(), a.bound(), verdict)
}

// bare is the ratio without its aim.
func (a aim) bare() figures.Ratio {
	r := a.ratio
	r.AtLeast, r.AtMost = 0, 0
	return r
}

func (a aim) bound() string {
	if a.ratio.AtLeast != 0 {
		return fmt.Sprintf("≥ %.2f ×", a.ratio.AtLeast)
	}
	return fmt.Sprintf("≤ %.2f ×", a.ratio.AtMost)
}

const head = "| what | ratio, with the least and the most of the rounds | aim |\n|---|---|---|\n"

// escape keeps a text within its cell.
func escape(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "`", "'", "<", "&lt;").Replace(s)
}
