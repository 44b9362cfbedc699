// Package chart draws figures as SVG that stands inside an HTML page: no script, no outside resource. Colours come from the
// page's style sheet by class, so that they follow its light and dark forms; package page has it.
package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Size of a chart in its own units, and the room around the plot.
const (
	width, height = 560.0, 270.0
	left, right   = 62.0, 22.0
	bottom        = 44.0
	legendLine    = 18.0
)

// Bounds of what is drawn, so that no input makes a page too large to read.
const (
	maxLines  = 12
	maxMarks  = 100
	maxPoints = 1000 // of a line; of more, the least and the most of each stretch are drawn
	maxName   = 24   // characters of a line's name
)

// Point is one figure. A point that its axes cannot show, such as NaN or, on a logarithmic axis, zero, interrupts its line.
type Point struct{ X, Y float64 }

// Line is a named series of points, in order of X.
type Line struct {
	Name   string
	Points []Point
}

// Mark is an instant or a stretch on the x axis, such as a fault. To is not above From for an instant.
type Mark struct {
	From, To float64
	Label    string // a few characters
}

// Axis is one axis of a chart.
type Axis struct {
	Label string
	Scale Scale
}

// Chart is a diagram of lines over a common x axis.
type Chart struct {
	Title string
	About string // what it shows, for those who cannot see it
	X, Y  Axis
	Lines []Line
	Marks []Mark
}

// SVG draws the chart. It is well-formed and bounded for any input.
func (c Chart) SVG() string {
	lines := c.Lines[:min(len(c.Lines), maxLines)]
	xs, ys := []float64{}, []float64{}
	for _, l := range lines {
		for _, p := range l.Points {
			if c.X.Scale.shows(p.X) && c.Y.Scale.shows(p.Y) {
				xs, ys = append(xs, p.X), append(ys, p.Y)
			}
		}
	}
	d := &drawing{}
	d.open(c.Title, c.About, height)
	if len(xs) == 0 {
		d.text(width/2, height/2, "middle", "label", "nothing to show")
		return d.close()
	}
	top := 8 + legendLine*float64(d.legend(lines))
	x := newSpan(c.X.Scale, xs, left, width-right)
	y := newSpan(c.Y.Scale, ys, height-bottom, top+8)
	d.marks(c.Marks, x, top)
	d.grid(c.X, c.Y, x, y, top)
	for i, l := range lines {
		d.line(i, l, x, y)
	}
	return d.close()
}

// drawing gathers the elements of one SVG.
type drawing struct{ strings.Builder }

func (d *drawing) open(title, about string, high float64) {
	fmt.Fprintf(d, `<svg class="chart" role="img" viewBox="0 0 %g %g" xmlns="http://www.w3.org/2000/svg">`+
		"<title>%s</title><desc>%s</desc>\n", width, high, escape(title), escape(about))
}

func (d *drawing) close() string {
	d.WriteString("</svg>\n")
	return d.String()
}

func (d *drawing) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, escape(s))
}

func (d *drawing) rule(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(d, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// legend writes the names of the lines above the plot and returns how many rows they take.
func (d *drawing) legend(lines []Line) int {
	x, row := left, 1
	for i, l := range lines {
		name := shorten(l.Name, maxName)
		wide := 34 + 7.5*float64(len([]rune(name)))
		if x+wide > width-right && x > left {
			x, row = left, row+1
		}
		y := legendLine*float64(row) - 4
		d.rule(x, y-4, x+16, y-4, fmt.Sprintf("line s%d", i))
		d.text(x+20, y, "start", "label", name)
		x += wide
	}
	return row
}

func (d *drawing) grid(xa, ya Axis, x, y span, top float64) {
	for _, t := range y.ticks() {
		at := y.at(t)
		d.rule(left, at, width-right, at, "grid")
		d.text(left-6, at+4, "end", "tick", ya.Scale.label(t))
	}
	for _, t := range x.ticks() {
		at := x.at(t)
		d.rule(at, height-bottom, at, height-bottom+4, "axis")
		d.text(at, height-bottom+17, "middle", "tick", xa.Scale.label(t))
	}
	d.rule(left, height-bottom, width-right, height-bottom, "axis")
	d.text((left+width-right)/2, height-8, "middle", "label", shorten(xa.Label, 55))
	fmt.Fprintf(d, `<text transform="translate(14 %.1f) rotate(-90)" text-anchor="middle" class="label">%s</text>`+"\n",
		(top+height-bottom)/2, escape(shorten(ya.Label, maxName)))
}

func (d *drawing) marks(marks []Mark, x span, top float64) {
	for _, m := range marks[:min(len(marks), maxMarks)] {
		if !x.scale.shows(m.From) || m.From < x.min || m.From > x.max {
			continue
		}
		from := x.at(m.From)
		if m.To > m.From && x.scale.shows(m.To) {
			fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="mark"/>`+"\n", from, top, x.at(min(m.To, x.max))-from, height-bottom-top)
		}
		d.rule(from, top, from, height-bottom, "fault")
		d.text(min(from+3, width-right-8), top+10, "start", "fault-label", shorten(m.Label, 12))
	}
}

func (d *drawing) line(i int, l Line, x, y span) {
	var path strings.Builder
	inside, alone := false, Point{}
	dot := func() {
		if inside && alone != (Point{}) {
			fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="2" class="dot s%d"/>`+"\n", alone.X, alone.Y, i)
		}
		inside, alone = false, Point{}
	}
	for _, p := range thin(l.Points, maxPoints) {
		if !x.scale.shows(p.X) || !y.scale.shows(p.Y) {
			dot()
			continue
		}
		at := Point{x.at(p.X), y.at(p.Y)}
		step := "L"
		if alone = (Point{}); !inside {
			step, alone = "M", at
		}
		inside = true
		fmt.Fprintf(&path, "%s%.1f %.1f", step, at.X, at.Y)
	}
	dot()
	if path.Len() > 0 {
		fmt.Fprintf(d, `<path d="%s" class="line s%d"/>`+"\n", path.String(), i)
	}
}

// thin returns at most so many points: of each stretch the least and the most, in their order, so that no peak is lost.
func thin(points []Point, most int) []Point {
	if len(points) <= most {
		return points
	}
	stretch := (2*len(points) + most - 1) / most
	thinned := make([]Point, 0, most)
	for from := 0; from < len(points); from += stretch {
		part := points[from:min(from+stretch, len(points))]
		low, high := 0, 0
		for i, p := range part {
			if p.Y < part[low].Y || math.IsNaN(part[low].Y) {
				low = i
			}
			if p.Y > part[high].Y || math.IsNaN(part[high].Y) {
				high = i
			}
		}
		thinned = append(thinned, part[min(low, high)])
		if low != high {
			thinned = append(thinned, part[max(low, high)])
		}
	}
	return thinned
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// escape makes a text safe within XML, which has no control characters.
func escape(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0xFFFE || r == 0xFFFF {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return html.EscapeString(clean)
}
