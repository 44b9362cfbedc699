package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/lvsession/lvsession/bench/internal/chart"
	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/page"
	"github.com/lvsession/lvsession/bench/load"
)

// Side is what one set-up showed, in one or more rounds of the same load.
type Side struct {
	Name   string
	Rounds []*load.Result
}

// compared are the figures in which sides are compared.
var compared = []struct {
	name string
	of   func(*load.Result) float64
}{
	{"acknowledged/s", func(r *load.Result) float64 { return r.Throughput }},
	{"p50 ms", func(r *load.Result) float64 { return inMillis(r.Latency.P50) }},
	{"p99 ms", func(r *load.Result) float64 { return inMillis(r.Latency.P99) }},
	{"p99.9 ms", func(r *load.Result) float64 { return inMillis(r.Latency.P999) }},
	{"max ms", func(r *load.Result) float64 { return inMillis(r.Latency.Max) }},
}

// Compare makes a sheet of sides, each with at least one round: the figures of each, and the ratios of every other side to the first.
func Compare(sides []Side) figures.Sheet {
	s := figures.Sheet{Name: "vipbench compare", About: "medians over the rounds, with the least and the most; ratios are to " + sides[0].Name + ", with those of each round"}
	t := figures.Table{Labels: []string{"side"}, Figures: []string{"rounds proven", "errors", "violations"}}
	for _, c := range compared {
		t.Figures = append(t.Figures, c.name)
	}
	for _, side := range sides {
		t.Add([]string{side.Name}, append(side.outcome(), side.cells()...)...)
	}
	base := sides[0].samples()
	for _, side := range sides[1:] {
		cells := make([]any, len(side.outcome()), len(t.Figures)) // which have no ratio
		for i, samples := range side.samples() {
			cells = append(cells, samples.Over(base[i]))
		}
		t.Add([]string{side.Name + " : " + sides[0].Name}, cells...)
	}
	s.Tables = []figures.Table{t}
	s.Notes = differences(sides)
	first := sides[0].Rounds[0]
	s.Began, s.Machine.Go, s.Machine.Cores = first.Started, first.Machine.Go, first.Machine.Cores
	return s
}

// CompareJSON writes the sheet of sides as JSON, as bench/index reads it.
func CompareJSON(w io.Writer, sides []Side) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(Compare(sides))
}

func (s Side) samples() []figures.Samples {
	list := make([]figures.Samples, len(compared))
	for i, c := range compared {
		for _, r := range s.Rounds {
			list[i].Add(c.of(r))
		}
	}
	return list
}

func (s Side) cells() []any {
	var cells []any
	for _, samples := range s.samples() {
		cells = append(cells, samples)
	}
	return cells
}

// outcome is how many rounds were proven, and the errors and violations of all.
func (s Side) outcome() []any {
	var proven int
	var errors, violations int64
	for _, r := range s.Rounds {
		errors, violations = errors+r.ErrorsTotal, violations+r.ViolationsTotal
		if r.Proven {
			proven++
		}
	}
	return []any{fmt.Sprintf("%d of %d", proven, len(s.Rounds)), thousands(errors), thousands(violations)}
}

// provenRounds tells whether every round of every side was proven.
func provenRounds(sides []Side) page.Verdict {
	var proven, all int
	for _, s := range sides {
		for _, r := range s.Rounds {
			all++
			if r.Proven {
				proven++
			}
		}
	}
	return page.Verdict{Good: proven == all, Text: fmt.Sprintf("%d of %d rounds proven", proven, all)}
}

// differences tells what makes sides hard to compare, and which rounds the load's own limits may have set.
func differences(sides []Side) []string {
	var notes []string
	first := sides[0].Rounds[0]
	for _, s := range sides {
		for i, r := range s.Rounds {
			who := fmt.Sprintf("%s, round %d", s.Name, i+1)
			if r.Machine.CPU != first.Machine.CPU || r.Machine.Cores != first.Machine.Cores || r.Machine.Kernel != first.Machine.Kernel {
				notes = append(notes, who+": loaded from another machine than the first")
			}
			if a, b := asked(r.Config), asked(first.Config); a != b {
				notes = append(notes, fmt.Sprintf("%s: another load than the first, %s instead of %s", who, a, b))
			}
			if r.Generator.Saturated {
				notes = append(notes, who+": vipbench itself was at its limit")
			}
			if !r.Proven {
				notes = append(notes, who+": not proven: "+printable(r.Reason))
			}
		}
	}
	return notes
}

// asked is what was asked of a set-up, apart from where it was.
func asked(c load.Config) string {
	pace := "closed load"
	if c.Rate > 0 {
		pace = fmt.Sprintf("rate %g", c.Rate)
	}
	text := fmt.Sprintf("%d users, %s, %s, %d in flight", c.Users, turns(c), pace, c.Concurrency)
	if c.KeepAlive {
		text += ", connections kept"
	}
	for _, p := range c.Phases {
		text += fmt.Sprintf(", %s %v at %s %s", p.Name, p.Duration, due(p), dueHead(c.Phases))
	}
	for _, option := range []struct {
		name string
		is   any
		zero bool
	}{{"think", c.Think, c.Think.IsZero()}, {"visits", c.Visits, c.Visits.IsZero()}, {"parallel", c.Parallel, c.Parallel.IsZero()}, {"payload", c.Payload, c.Payload.IsZero()}} {
		if !option.zero {
			text += fmt.Sprintf(", %s %v", option.name, option.is)
		}
	}
	return text
}

// CompareHTML writes a comparison as one page that needs nothing else.
func CompareHTML(w io.Writer, sides []Side) error {
	sheet := Compare(sides)
	section := page.SheetSection(sheet)
	section.Title = "Figures"
	first := sides[0].Rounds[0]
	p := page.Page{Title: "vipbench compare", Verdict: provenRounds(sides), Lead: []string{asked(first.Config),
		"Begun " + first.Started.Format(time.RFC1123) + ", from a machine with " + machineOf(first) + "."}, Sections: []page.Section{section, curvesOf(sides)}}
	where := page.Table{Head: []string{"side", "target", "machine of vipbench"}, Words: true}
	for _, s := range sides {
		r := s.Rounds[0]
		where.Rows = append(where.Rows, []string{s.Name, printable(r.Config.URL), machineOf(r)})
	}
	p.Sections = append(p.Sections, page.Section{Title: "Where this comes from", Tables: []page.Table{where}})
	return p.Write(w)
}

func machineOf(r *load.Result) string {
	return fmt.Sprintf("%s, %d cores, Linux %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel)
}

// leastSeconds is how long a load must be for its course to be worth a picture.
const leastSeconds = 3

// curvesOf draws each side's percentiles over all its rounds.
func curvesOf(sides []Side) page.Section {
	var hs []load.Histogram
	var names []string
	for _, s := range sides {
		var all load.Histogram
		for _, r := range s.Rounds {
			all.Add(r.Histogram)
		}
		hs, names = append(hs, all), append(names, s.Name)
	}
	c := chart.Chart{Title: "Latency over time", About: "The 99th percentile by second, in the first round of each side.", X: chart.Axis{Label: "seconds since the start"}, Y: chart.Axis{Label: "ms, 99 %", Scale: chart.Log}}
	longest := 0
	for _, s := range sides[:min(len(sides), maxCurves)] {
		l := chart.Line{Name: s.Name}
		for _, v := range s.Rounds[0].Series {
			l.Points = append(l.Points, chart.Point{X: float64(v.At)/1e9 + 0.5, Y: inMillis(v.P99)})
		}
		c.Lines = append(c.Lines, l)
		longest = max(longest, len(l.Points))
	}
	section := page.Section{Title: "Latency", Charts: []page.Chart{curves("Percentiles, all rounds", hs, names)}}
	if longest >= leastSeconds {
		section.Charts = append(section.Charts, page.Chart{Title: "The 99th percentile, first round", SVG: c.SVG()})
	}
	return section
}
