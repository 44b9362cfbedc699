package figures

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lvsession/lvsession/bench/internal/machine"
)

// Sheet is what one benchmark measured, in the form that its text, its JSON and the page of all benchmarks are made from.
type Sheet struct {
	Name    string        `json:"name"`              // of the benchmark
	Command string        `json:"command,omitempty"` // that measured it
	About   string        `json:"about"`             // how it was measured, in one line
	Began   time.Time     `json:"began"`
	Took    float64       `json:"took_s"`
	Machine machine.Facts `json:"machine"`
	Tables  []Table       `json:"tables"`
	Notes   []string      `json:"notes,omitempty"`
}

// Table has a row for each side that was measured, and for each comparison of two.
type Table struct {
	Title   string   `json:"title,omitempty"`
	Labels  []string `json:"labels"`  // names of the columns that say what a row is about; the last one names the side
	Figures []string `json:"figures"` // names of the columns with figures, and their units
	Rows    []Row    `json:"rows"`
}

// Row is one side's figures, or the ratios of two sides.
type Row struct {
	Labels []string `json:"labels"`
	Cells  []Cell   `json:"cells"`
}

// Cell is one figure. Only one of its fields is set, or none.
type Cell struct {
	Samples Samples `json:"samples,omitempty"`
	Ratio   *Ratio  `json:"ratio,omitempty"`
	Text    string  `json:"text,omitempty"`
}

// String is the cell's text: of samples the median with the least and the most.
func (c Cell) String() string {
	switch {
	case c.Ratio != nil:
		return c.Ratio.String()
	case c.Samples != nil:
		return c.Samples.String()
	}
	return c.Text
}

// Add adds a row, whose cells are [Samples], a [Ratio], or anything else as its text; nil leaves one out.
func (t *Table) Add(labels []string, cells ...any) {
	row := Row{Labels: labels}
	for _, c := range cells {
		switch c := c.(type) {
		case nil:
			row.Cells = append(row.Cells, Cell{})
		case Samples:
			row.Cells = append(row.Cells, Cell{Samples: slices.Clone(c)})
		case Ratio:
			row.Cells = append(row.Cells, Cell{Ratio: &c})
		default:
			row.Cells = append(row.Cells, Cell{Text: fmt.Sprint(c)})
		}
	}
	t.Rows = append(t.Rows, row)
}

// Note adds a line below the tables.
func (s *Sheet) Note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// Text writes the sheet for people: tables in aligned columns, in which a label that the row above has too is left out.
func (s *Sheet) Text(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores; %s\n", s.Machine.Go, s.Machine.Cores, s.About)
	for _, t := range s.Tables {
		t.text(&b)
	}
	if len(s.Notes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(s.Notes, "\n"))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (t *Table) text(b *strings.Builder) {
	b.WriteByte('\n')
	if t.Title != "" {
		fmt.Fprintf(b, "%s\n", t.Title)
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(append(slices.Clone(t.Labels), t.Figures...), "\t"))
	var above []string
	for _, r := range t.Rows {
		fields := Unrepeated(above, r.Labels)
		above = r.Labels
		for _, c := range r.Cells {
			fields = append(fields, c.String())
		}
		fmt.Fprintln(w, strings.Join(fields, "\t"))
	}
	w.Flush()
}

// Unrepeated returns a row's labels without those that it has in common with the row above, but for the last one.
func Unrepeated(above, labels []string) []string {
	shown := slices.Clone(labels)
	for i := 0; i < len(labels)-1 && i < len(above) && above[i] == labels[i]; i++ {
		shown[i] = ""
	}
	return shown
}
