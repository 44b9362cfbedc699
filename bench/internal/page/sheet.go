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
	mostCharts = 2  // of one table
)

// SheetSection shows what one benchmark measured: each table, with its first figures as bars and their spread.
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
	shown := Table{Caption: t.Title, Head: slices.Concat(t.Labels, t.Figures)}
	for _, r := range t.Rows {
		row := slices.Clone(r.Labels)
		for _, c := range r.Cells {
			row = append(row, c.String())
		}
		shown.Rows = append(shown.Rows, row)
	}
	return shown
}

func charts(t figures.Table) []Chart {
	var list []Chart
	for column, name := range t.Figures {
		b := chart.Bars{Title: name}
		if t.Title != "" {
			b.Title = t.Title + ": " + name
		}
		b.About = "Medians, with a line from the least to the most."
		for _, r := range t.Rows {
			if column >= len(r.Cells) || len(r.Cells[column].Samples) == 0 {
				continue
			}
			s := r.Cells[column].Samples
			b.Bars = append(b.Bars, chart.Bar{Name: strings.Join(r.Labels, " "), Value: s.Median(), Text: figures.Number(s.Median()), Whisker: [2]float64{slices.Min(s), slices.Max(s)}})
			b.About += fmt.Sprintf(" %s: %s.", strings.Join(r.Labels, " "), s)
		}
		if len(b.Bars) > 1 && len(b.Bars) <= mostBars && len(list) < mostCharts {
			list = append(list, Chart{Title: b.Title, SVG: b.SVG()})
		}
	}
	return list
}
