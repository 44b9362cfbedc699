package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lvsession/lvsession/bench/internal/chart"
	"github.com/lvsession/lvsession/bench/internal/figures"
)

// Bounds of the charts of a sheet.
const (
	mostBars   = 16 // in one chart; a longer table has none
	mostCharts = 12 // of one table
)

// SheetSection shows what one benchmark measured: each table, with its first column of figures as bars and their spread.
func SheetSection(s figures.Sheet) Section {
	section := Section{Title: s.Name, Anchor: s.Name, Notes: s.Notes}
	if s.About != "" {
		section.Text = append(section.Text, s.About)
	}
	if s.Command != "" {
		section.Text = append(section.Text, "Measured by: "+s.Command)
	}
	for _, t := range s.Tables {
		section.Charts = append(section.Charts, charts(t)...)
		section.Tables = append(section.Tables, table(t))
	}
	return section
}

func table(t figures.Table) Table {
	shown := Table{Caption: t.Title, Head: slices.Concat(t.Labels, t.Figures), Labels: len(t.Labels)}
	var above []string
	for _, r := range t.Rows {
		row := figures.Unrepeated(above, r.Labels)
		above = r.Labels
		for _, c := range r.Cells {
			row = append(row, c.String())
		}
		for len(row) < len(shown.Head) {
			row = append(row, "")
		}
		shown.Rows = append(shown.Rows, row)
	}
	return shown
}

// charts draws the first column of figures, the sides next to each other for each kind of work.
func charts(t figures.Table) []Chart {
	var list []Chart
	var rows []figures.Row
	for i, r := range t.Rows {
		rows = append(rows, r)
		if i+1 < len(t.Rows) && work(t.Rows[i+1]) == work(r) {
			continue
		}
		if c, worth := bars(t, rows); worth && len(list) < mostCharts {
			list = append(list, c)
		}
		rows = nil
	}
	return list
}

// work is what a row's side did: its labels but for the side's name.
func work(r figures.Row) string {
	return strings.Join(r.Labels[:max(len(r.Labels)-1, 0)], ", ")
}

// bars draws the first column of rows that are about the same work, if there is something to compare.
func bars(t figures.Table, rows []figures.Row) (Chart, bool) {
	for column, name := range t.Figures {
		title := strings.Join(slices.DeleteFunc([]string{t.Title, work(rows[0]), name}, func(s string) bool { return s == "" }), ": ")
		b := chart.Bars{Title: title, About: "Medians, with a line from the least to the most."}
		for _, r := range rows {
			if column >= len(r.Cells) || len(r.Cells[column].Samples) == 0 || len(r.Labels) == 0 {
				continue
			}
			s, side := r.Cells[column].Samples, r.Labels[len(r.Labels)-1]
			b.Bars = append(b.Bars, chart.Bar{Name: side, Value: s.Median(), Text: figures.Number(s.Median()), Whisker: [2]float64{slices.Min(s), slices.Max(s)}})
			b.About += fmt.Sprintf(" %s: %s.", side, s)
		}
		if len(b.Bars) > 1 && len(b.Bars) <= mostBars {
			return Chart{Title: title, SVG: b.SVG()}, true
		}
	}
	return Chart{}, false
}
