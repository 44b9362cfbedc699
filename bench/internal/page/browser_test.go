package page_test

import (
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/internal/chart"
	"github.com/lvsession/lvsession/bench/internal/page"
	"github.com/lvsession/lvsession/bench/internal/page/pagetest"
)

// The widest contents that a page can have stay where they belong.
func TestNothingOverflows(t *testing.T) {
	long := strings.Repeat("Wörter-ohne-Ende_", 12)
	lines := chart.Chart{Title: long, X: chart.Axis{Label: long}, Y: chart.Axis{Label: long}, Marks: []chart.Mark{{From: 9, To: 9, Label: "99"}}}
	bars := chart.Bars{Title: long}
	for i := range 12 {
		lines.Lines = append(lines.Lines, chart.Line{Name: long, Points: []chart.Point{{X: 0, Y: 1}, {X: 10, Y: 123_456_789 * float64(i)}}})
		bars.Bars = append(bars.Bars, chart.Bar{Name: long, Value: float64(i), Text: long})
	}
	row := []string{long, long, "<script>bad</script>", "1"}
	p := page.Page{Title: long, Verdict: page.Verdict{Text: long}, Lead: []string{long}, Tiles: []page.Tile{{Figure: "123,456,789.00 ms", Label: long}}, Sections: []page.Section{{
		Title: long, Text: []string{long}, Charts: []page.Chart{{Title: long, SVG: lines.SVG()}, {SVG: bars.SVG()}},
		Tables: []page.Table{{Caption: long, Head: row, Rows: [][]string{row, row}}}, Folds: []page.Fold{{Title: long, Text: long, Table: page.Table{Head: row, Rows: [][]string{row}}}}, Notes: []string{long},
	}}}
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<script>") {
		t.Error("a text became an element")
	}
	pagetest.Check(t, b.String())
}
