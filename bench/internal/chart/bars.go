package chart

import (
	"fmt"
	"unicode/utf8"
)

// Bar is one figure with a name. Whisker is the spread of the figure, drawn if its end is above its begin.
type Bar struct {
	Name    string
	Value   float64
	Text    string     // beside the bar
	Expect  float64    // a tick across the bar where the value was expected; none if not above zero
	Whisker [2]float64 // least and most
}

// Bars is a diagram of horizontal bars from zero.
type Bars struct {
	Title string
	About string
	Bars  []Bar
}

const (
	maxBars   = 64
	barHeight = 26.0
	// Names and texts get the room that they need, within bounds.
	mostName, mostText = 36, 17 // characters
	letter             = 7.3    // how wide one is at most, as a rule
)

// SVG draws the bars. It is well-formed and bounded for any input. Figures that are not above zero have no bar.
func (b Bars) SVG() string {
	bars := b.Bars[:min(len(b.Bars), maxBars)]
	figures := []float64{0}
	for _, r := range bars {
		for _, v := range []float64{r.Value, r.Expect, r.Whisker[1]} {
			if Linear.shows(v) {
				figures = append(figures, max(v, 0))
			}
		}
	}
	barLeft, barRight := margins(bars)
	x := newSpan(Linear, figures, barLeft, width-barRight)
	d := &drawing{}
	d.open(b.Title, b.About, barHeight*float64(max(len(bars), 1))+8)
	for i, r := range bars {
		y := 4 + barHeight*float64(i)
		d.text(barLeft-8, y+17, "end", "label", shorten(r.Name, mostName))
		d.text(width-barRight+8, y+17, "start", "tick", shorten(r.Text, mostText))
		if Linear.shows(r.Value) && r.Value > 0 {
			fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="bar s0"/>`+"\n", barLeft, y+4, x.at(r.Value)-barLeft, barHeight-8)
		}
		if low, high := r.Whisker[0], r.Whisker[1]; low >= 0 && high > low && Linear.shows(high) {
			d.rule(x.at(low), y+barHeight/2, x.at(high), y+barHeight/2, "whisker")
		}
		if r.Expect > 0 && Linear.shows(r.Expect) {
			d.rule(x.at(r.Expect), y+1, x.at(r.Expect), y+barHeight-1, "expect")
		}
	}
	return d.close()
}

// margins are the room that the bars' names and texts need beside them.
func margins(bars []Bar) (left, right float64) {
	name, text := 8, 5
	for _, r := range bars {
		name = max(name, utf8.RuneCountInString(r.Name))
		text = max(text, utf8.RuneCountInString(r.Text))
	}
	return letter*float64(min(name, mostName)) + 12, letter*float64(min(text, mostText)) + 12
}
