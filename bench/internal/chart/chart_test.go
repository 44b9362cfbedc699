package chart

import (
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var coordinate = regexp.MustCompile(` (?:x|y|x1|x2|y1|y2|cx|cy)="([^"]*)"`)

// check holds that an SVG is well-formed, bounded, and has every coordinate inside its picture.
func check(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%.2000s", err, svg)
		}
	}
	if len(svg) > 400_000 {
		t.Errorf("the picture has %d bytes", len(svg))
	}
	for _, m := range coordinate.FindAllStringSubmatch(svg, -1) {
		if v, err := strconv.ParseFloat(m[1], 64); err != nil || math.IsNaN(v) || v < -1 || v > maxBars*barHeight+width {
			t.Errorf("coordinate %s", m[0])
		}
	}
	for _, m := range regexp.MustCompile(` d="([^"]*)"`).FindAllStringSubmatch(svg, -1) {
		if strings.ContainsAny(m[1], "NIa") {
			t.Errorf("path %.200s", m[1])
		}
	}
}

func TestExtremes(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for name, ys := range map[string][]float64{
		"none":        nil,
		"one":         {3},
		"zeros":       {0, 0},
		"equal":       {5, 5, 5},
		"not numbers": {nan, inf, -inf},
		"gaps":        {1, nan, 2, nan, nan, 3, 4},
		"tiny":        {5e-324, 1e-300},
		"huge":        {math.MaxFloat64, -math.MaxFloat64, 1},
		"near":        {1e15, 1e15 - 0.125},
		"wide":        {1e-9, 1e15},
		"negative":    {-3, 4},
	} {
		t.Run(name, func(t *testing.T) {
			var l Line
			for i, y := range ys {
				l.Points = append(l.Points, Point{float64(i), y})
			}
			for _, s := range []Scale{Linear, Log, Nines} {
				c := Chart{Title: "a<b", About: "x\x00&y", Y: Axis{Scale: s}, Lines: []Line{l}, Marks: []Mark{{From: 0, To: inf}, {From: nan}, {From: 0, To: 1, Label: "1"}}}
				check(t, c.SVG())
				for i, p := range l.Points {
					l.Points[i] = Point{p.Y, p.X}
				}
				check(t, Chart{X: Axis{Scale: s}, Lines: []Line{l}}.SVG())
			}
		})
	}
}

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		scale Scale
		from  float64
		to    float64
		want  string
	}{
		{Linear, 0, 10, "0 2 4 6 8 10"},
		{Linear, 0, 57, "0 10 20 30 40 50"},
		{Linear, 0, 0.3, "0 0.05 0.1 0.15 0.2 0.25 0.3"},
		{Linear, 0, 120_000, "0 20k 40k 60k 80k 100k 120k"},
		{Log, 0.2, 40, "0.1 1 10 100"},
		{Log, 2, 40, "1 3 10 30 100"},
		{Nines, 0, 99.95, "0% 50% 90% 99% 99.9%"},
	} {
		p := newSpan(tt.scale, []float64{tt.from, tt.to}, 0, 100)
		var got []string
		for _, v := range p.ticks() {
			got = append(got, tt.scale.label(v))
			if at := p.at(v); at < -0.01 || at > 100.01 {
				t.Errorf("tick %g is at %g", v, at)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v %g to %g has ticks %v, want %s", tt.scale, tt.from, tt.to, got, tt.want)
		}
	}
}

// A long line loses no peak and no trough.
func TestThin(t *testing.T) {
	points := make([]Point, 86_400)
	for i := range points {
		points[i] = Point{float64(i), 10}
	}
	points[4321].Y, points[77_777].Y = 99, 1
	high, low := 0.0, 100.0
	thinned := thin(points, maxPoints)
	for i, p := range thinned {
		high, low = max(high, p.Y), min(low, p.Y)
		if i > 0 && p.X <= thinned[i-1].X {
			t.Fatal("not in order")
		}
	}
	if len(thinned) > maxPoints || high != 99 || low != 1 {
		t.Errorf("%d points from %g to %g", len(thinned), low, high)
	}
}

func TestBars(t *testing.T) {
	b := Bars{Title: "t", Bars: []Bar{
		{"web1", 0.75, "75 %", 0.7, [2]float64{0.6, 0.9}}, {"not", math.NaN(), "", math.Inf(1), [2]float64{-1, math.NaN()}}, {"below", -3, "", 0, [2]float64{}},
	}}
	svg := b.SVG()
	check(t, svg)
	if strings.Count(svg, "<rect") != 1 || strings.Count(svg, "whisker") != 1 || strings.Count(svg, "expect") != 1 {
		t.Error(svg)
	}
}

func FuzzChart(f *testing.F) {
	f.Add(uint8(0), uint8(1), "p99", []byte("\x00\x00\x00\x00\x00\x00\xf0\x7f\x01\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, x, y uint8, name string, raw []byte) {
		l := Line{Name: name}
		for ; len(raw) >= 16; raw = raw[16:] {
			l.Points = append(l.Points, Point{math.Float64frombits(binary.LittleEndian.Uint64(raw)), math.Float64frombits(binary.LittleEndian.Uint64(raw[8:]))})
		}
		c := Chart{Title: name, About: name, X: Axis{name, Scale(x % 3)}, Y: Axis{name, Scale(y % 3)}, Lines: []Line{l, l}}
		b := Bars{Title: name}
		for _, p := range l.Points {
			c.Marks = append(c.Marks, Mark{p.X, p.Y, name})
			b.Bars = append(b.Bars, Bar{name, p.X, name, p.Y, [2]float64{p.X, p.Y}})
		}
		check(t, c.SVG())
		check(t, b.SVG())
	})
}
