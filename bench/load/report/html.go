package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/lvsession/lvsession/bench/internal/chart"
	"github.com/lvsession/lvsession/bench/internal/page"
	"github.com/lvsession/lvsession/bench/load"
)

// Bounds of the lists in an HTML page; JSON has more.
const (
	maxErrorRows  = 200
	maxHistories  = 100
	maxCurves     = 8
	curveSteps    = 40 // points of a percentile curve for each nine
	curveMaxNines = 7
)

// HTML writes a result as one page that needs nothing else. It returns the first error of w.
func HTML(w io.Writer, r *load.Result) error {
	p := page.Page{
		Title:   title(r),
		Verdict: page.Verdict{Good: r.Proven, Text: verdict(r)},
		Lead:    []string{fmt.Sprintf("%s, started %s. %s.", printable(r.Config.URL), r.Started.Format(time.RFC1123), endings[r.Ended])},
		Tiles:   tiles(r),
	}
	p.Sections = append(p.Sections, overTime(r), distribution(r))
	for _, part := range []func(*load.Result) (page.Section, bool){faultSection, phaseSection, serverSection, violationSection, errorSection} {
		if s, has := part(r); has {
			p.Sections = append(p.Sections, s)
		}
	}
	s, err := originSection(r)
	if err != nil {
		return err
	}
	p.Sections = append(p.Sections, s)
	return p.Write(w)
}

var endings = map[load.Ended]string{
	load.Complete:    "Every user made every request",
	load.OutOfTime:   "The load ended when its time was over",
	load.Interrupted: "The load was interrupted",
}

func title(r *load.Result) string {
	if r.Config.Name != "" {
		return "vipbench: " + printable(r.Config.Name)
	}
	return "vipbench: " + printable(r.Config.URL)
}

func verdict(r *load.Result) string {
	switch {
	case !r.Proven:
		return "NOT PROVEN: " + r.Reason
	case !r.Target.Verified():
		return fmt.Sprintf("ANSWERED: %s requests; this kind of target has no sessions to check", thousands(r.Acknowledged))
	}
	return fmt.Sprintf("PROVEN: %s sessions, %s acknowledged requests; no visit lost, nobody logged out, nobody in another's session",
		thousands(int64(r.Sessions)), thousands(r.Acknowledged))
}

func tiles(r *load.Result) []page.Tile {
	return []page.Tile{
		{Figure: thousands(int64(r.Config.Users)), Label: "users"},
		{Figure: thousands(r.Acknowledged), Label: "acknowledged requests"},
		{Figure: decimal(r.Throughput, 0), Label: "of them a second"},
		{Figure: millis(r.Latency.P50) + " ms", Label: "latency, median"},
		{Figure: millis(r.Latency.P99) + " ms", Label: "latency, 99 %"},
		{Figure: millis(r.Latency.Max) + " ms", Label: "latency, worst"},
		{Figure: thousands(r.ErrorsTotal), Label: "errors"},
		{Figure: thousands(r.ViolationsTotal), Label: "violations"},
	}
}

func overTime(r *load.Result) page.Section {
	lines := map[string][]chart.Point{}
	add := func(name string, at, v float64) { lines[name] = append(lines[name], chart.Point{X: at, Y: v}) }
	for _, s := range r.Series {
		at := time.Duration(s.At).Seconds() + 0.5 // the middle of the second
		for name, v := range map[string]load.Millis{"median": s.P50, "90 %": s.P90, "99 %": s.P99, "worst": s.Max} {
			add(name, at, inMillis(v)) // 0 of a second without answers interrupts the line
		}
		add("acknowledged", at, float64(s.Acknowledged))
		add("begun", at, float64(s.Begun))
		add("errors", at, float64(s.Errors))
		add("violations", at, float64(s.Violations))
		add("in flight", at, float64(s.InFlight))
	}
	if n := len(r.Series); n > 1 && r.Elapsed-r.Series[n-1].At < load.Millis(time.Second) {
		for _, name := range []string{"acknowledged", "begun"} { // a part of a second looks like a breakdown
			lines[name] = lines[name][:n-1]
		}
	}
	draw := func(title, about, unit string, scale chart.Scale, names ...string) page.Chart {
		c := chart.Chart{Title: title, About: about, X: chart.Axis{Label: "seconds since the start"}, Y: chart.Axis{Label: unit, Scale: scale}, Marks: faultMarks(r)}
		for _, name := range names {
			c.Lines = append(c.Lines, chart.Line{Name: name, Points: lines[name]})
		}
		return page.Chart{Title: title, SVG: c.SVG()}
	}
	s := page.Section{Title: "Over time", Charts: []page.Chart{
		draw("Latency", fmt.Sprintf("Latency by second. Over the whole load the median is %s ms and the 99th percentile %s ms.", millis(r.Latency.P50), millis(r.Latency.P99)),
			"ms, from intended start", chart.Log, "median", "90 %", "99 %", "worst"),
		draw("Throughput", fmt.Sprintf("Requests by second, on average %s acknowledged a second.", decimal(r.Throughput, 0)),
			"requests a second", chart.Linear, "acknowledged", "begun"),
		draw("Errors and violations", fmt.Sprintf("%s errors and %s violations, by second.", thousands(r.ErrorsTotal), thousands(r.ViolationsTotal)),
			"in each second", chart.Linear, "errors", "violations"),
		draw("In flight", "Requests under way at the end of each second.", "requests", chart.Linear, "in flight"),
	}}
	if len(r.Faults) > 0 {
		s.Notes = append(s.Notes, "A dashed red line is where a fault began, with its number below; the shade lasts until the load had recovered.")
	}
	return s
}

// faultMarks are the faults that began, numbered as in the table of faults.
func faultMarks(r *load.Result) []chart.Mark {
	var marks []chart.Mark
	for i, f := range r.Faults {
		if f.Began == 0 && f.Ended == 0 && f.Error != "" { // it did not begin
			continue
		}
		from := time.Duration(f.Began).Seconds()
		marks = append(marks, chart.Mark{From: from, To: from + time.Duration(f.Recovery).Seconds(), Label: strconv.Itoa(i + 1)})
	}
	return marks
}

func distribution(r *load.Result) page.Section {
	s := page.Section{Title: "Latency"}
	s.Charts = append(s.Charts, curves("Percentiles", []load.Histogram{r.Histogram}, []string{"all requests"}))
	if len(r.Phases) > 1 {
		var hs []load.Histogram
		var names []string
		for _, p := range r.Phases {
			hs, names = append(hs, p.Histogram), append(names, p.Name)
		}
		s.Charts = append(s.Charts, curves("By phase", hs, names))
	}
	if len(r.Servers) > 1 {
		var hs []load.Histogram
		var names []string
		for _, v := range r.Servers {
			hs, names = append(hs, v.Histogram), append(names, printable(v.Server))
		}
		s.Charts = append(s.Charts, curves("By real server", hs, names))
	}
	t := page.Table{Head: []string{"milliseconds", "min", "mean", "50 %", "75 %", "90 %", "99 %", "99.9 %", "99.99 %", "max"}}
	t.Rows = [][]string{percentileRow("latency, from the intended start", r.Latency), percentileRow("service, from the actual start", r.Service)}
	if r.Lag.Count > 0 {
		t.Rows = append(t.Rows, percentileRow("lateness of vipbench itself", r.Lag))
	}
	s.Tables = append(s.Tables, t)
	for _, reason := range r.Generator.Reasons {
		s.Text = append(s.Text, "vipbench itself was at its limit, so that these figures may be its own and not the target's: "+printable(reason)+".")
	}
	s.Notes = append(s.Notes, "Latency runs from the moment a request was due, so that waiting behind a slow one counts. Each step of the percentile axis is ten times rarer than the one before.")
	return s
}

func percentileRow(name string, d load.Percentiles) []string {
	row := []string{name}
	for _, v := range []load.Millis{d.Min, d.Mean, d.P50, d.P75, d.P90, d.P99, d.P999, d.P9999, d.Max} {
		row = append(row, millis(v))
	}
	return row
}

// curves draws percentiles with an axis on which each nine has the same length.
func curves(title string, hs []load.Histogram, names []string) page.Chart {
	c := chart.Chart{Title: title, About: "Latency by percentile.", X: chart.Axis{Label: "percentile", Scale: chart.Nines}, Y: chart.Axis{Label: "ms", Scale: chart.Log}}
	for i, h := range hs[:min(len(hs), maxCurves)] {
		c.Lines = append(c.Lines, chart.Line{Name: names[i], Points: curve(h)})
		c.About += fmt.Sprintf(" %s: median %s ms, 99th %s ms.", names[i], millis(load.Millis(h.At(50))), millis(load.Millis(h.At(99))))
	}
	return page.Chart{Title: title, SVG: c.SVG()}
}

// curve ends where less than one of the durations would lie beyond.
func curve(h load.Histogram) []chart.Point {
	nines := min(math.Log10(float64(max(h.Count(), 1))), curveMaxNines)
	var points []chart.Point
	for i := 0; i <= int(nines*curveSteps); i++ {
		percent := 100 * (1 - math.Pow(10, -float64(i)/curveSteps))
		points = append(points, chart.Point{X: percent, Y: float64(h.At(percent)) / float64(time.Millisecond)})
	}
	return points
}

func faultSection(r *load.Result) (page.Section, bool) {
	if len(r.Faults) == 0 {
		return page.Section{}, false
	}
	t := page.Table{Head: []string{"fault", "began at s", "action ended at s", "errors", "recovered after s"}}
	s := page.Section{Title: "Faults"}
	for i, f := range r.Faults {
		t.Rows = append(t.Rows, []string{fmt.Sprintf("%d  %s", i+1, printable(f.Name)), seconds(f.Began), seconds(f.Ended), thousands(f.Errors), recovery(f)})
		if f.Error != "" {
			s.Text = append(s.Text, fmt.Sprintf("%s failed: %s %s", printable(f.Name), printable(f.Error), printable(f.Output)))
		}
	}
	s.Tables = append(s.Tables, t)
	s.Notes = append(s.Notes, r.Faults[0].Definition+".")
	return s, true
}

func phaseSection(r *load.Result) (page.Section, bool) {
	if len(r.Phases) < 2 {
		return page.Section{}, false
	}
	t := page.Table{Head: []string{"phase", "from s", "to s", dueHead(r.Config.Phases), "acknowledged", "a second", "errors", "violations", "50 % ms", "99 % ms", "99.9 % ms", "max ms"}}
	for _, p := range r.Phases {
		t.Rows = append(t.Rows, []string{printable(p.Name), seconds(p.From), seconds(p.To), due(p.PhasePlan), thousands(p.Acknowledged), decimal(p.Throughput, 0),
			thousands(p.Errors), thousands(p.Violations), millis(p.Latency.P50), millis(p.Latency.P99), millis(p.Latency.P999), millis(p.Latency.Max)})
	}
	return page.Section{Title: "Phases", Tables: []page.Table{t}}, true
}

func serverSection(r *load.Result) (page.Section, bool) {
	if len(r.Shares) == 0 {
		return page.Section{}, false
	}
	latencies := map[string]load.Percentiles{}
	for _, v := range r.Servers {
		latencies[v.Server] = v.Latency
	}
	b := chart.Bars{Title: "Shares of the real servers", About: "Each real server's part of the answers, with a tick where its weight puts it."}
	t := page.Table{Head: []string{"real server", "weight", "answers", "share", "expected", "deviation", "50 % ms", "99 % ms", "max ms"}}
	for _, v := range r.Shares {
		b.Bars = append(b.Bars, chart.Bar{Name: printable(v.Server), Value: 100 * v.Actual, Expect: 100 * v.Expected, Text: percent(v.Actual) + " of " + percent(v.Expected)})
		l := latencies[v.Server]
		t.Rows = append(t.Rows, []string{printable(v.Server), strconv.Itoa(v.Weight), thousands(v.Answers), percent(v.Actual), percent(v.Expected),
			fmt.Sprintf("%+.2f", 100*v.Deviation()), millis(l.P50), millis(l.P99), millis(l.Max)})
	}
	s := page.Section{Title: "Real servers", Charts: []page.Chart{{Title: "Share of the answers, and what the weights ask for", SVG: b.SVG()}}, Tables: []page.Table{t}}
	if x := r.ShareTest; x.Enough {
		s.Notes = append(s.Notes, fmt.Sprintf("Chi-squared is %s with %d degrees of freedom: by chance alone, shares this far off come with probability %.2g.", decimal(x.ChiSquared, 2), x.Freedom, x.P))
	}
	return s, true
}

func violationSection(r *load.Result) (page.Section, bool) {
	if r.ViolationsTotal == 0 {
		return page.Section{}, false
	}
	s := page.Section{Title: "Violations"}
	t := page.Table{Head: []string{"kind", "count"}}
	for _, kind := range load.Kinds {
		if n := r.ViolationsByKind[kind]; n > 0 {
			t.Rows = append(t.Rows, []string{string(kind), thousands(n)})
		}
	}
	s.Tables = append(s.Tables, t)
	for _, v := range r.Violations[:min(len(r.Violations), maxHistories)] {
		s.Folds = append(s.Folds, page.Fold{Title: fmt.Sprintf("%s %s at %s s: %s", printable(v.User), v.Kind, seconds(v.At), printable(v.Detail)), Table: historyTable(v)})
	}
	if n := int64(len(s.Folds)); n < r.ViolationsTotal {
		s.Notes = append(s.Notes, fmt.Sprintf("The first %s of %s are here; --json lists more.", thousands(n), thousands(r.ViolationsTotal)))
	}
	return s, true
}

func historyTable(v load.Violation) page.Table {
	t := page.Table{Head: []string{"at s", "asked for", "real server", "session", "count", "user", "error"}, Words: true}
	if v.Earlier > 0 {
		t.Caption = fmt.Sprintf("%d earlier events are not kept", v.Earlier)
	}
	for _, e := range v.History {
		action := e.Action
		if action == "" {
			action = "visit"
		}
		if e.Class != "" {
			t.Rows = append(t.Rows, []string{seconds(e.At), action, "", "", "", "", string(e.Class)})
			continue
		}
		t.Rows = append(t.Rows, []string{seconds(e.At), action, printable(e.Server), printable(e.ID), thousands(e.Count), printable(e.User), ""})
	}
	return t
}

func errorSection(r *load.Result) (page.Section, bool) {
	if r.ErrorsTotal == 0 {
		return page.Section{}, false
	}
	s := page.Section{Title: "Errors"}
	t := page.Table{Head: []string{"class", "count"}}
	for _, class := range slices.Sorted(maps.Keys(r.ErrorsByClass)) {
		t.Rows = append(t.Rows, []string{string(class), thousands(r.ErrorsByClass[class])})
	}
	s.Tables = append(s.Tables, t)
	list := page.Table{Head: []string{"at s", "sent at s", "user", "class", "detail"}, Words: true}
	for _, e := range r.Errors[:min(len(r.Errors), maxErrorRows)] {
		list.Rows = append(list.Rows, []string{seconds(e.At), seconds(e.Sent), printable(e.User), string(e.Class), printable(e.Detail)})
	}
	s.Folds = append(s.Folds, page.Fold{Title: fmt.Sprintf("The first %d errors", len(list.Rows)), Table: list})
	s.Notes = append(s.Notes, fmt.Sprintf("Requests without an answer that the server may have counted: %s. That were, as later counts show: %s, of these late: %s.",
		thousands(r.Unknown), thousands(r.Landed), thousands(r.LandedLate)))
	return s, true
}

// originSection tells where the figures come from: machine, generator, configuration.
func originSection(r *load.Result) (page.Section, error) {
	config, err := json.MarshalIndent(r.Config, "", "  ")
	if err != nil {
		return page.Section{}, fmt.Errorf("write the configuration: %w", err)
	}
	m := r.Machine
	rows := [][]string{
		{"machine of vipbench", fmt.Sprintf("%s, %d cores, %s GiB", m.CPU, m.Cores, decimal(float64(m.Memory)/(1<<30), 1))},
		{"system", fmt.Sprintf("%s, Linux %s", m.OS, m.Kernel)},
		{"built with", fmt.Sprintf("%s, commit %s", m.Go, orNone(m.Commit))},
		{"CPU that vipbench used", fmt.Sprintf("%s of %d cores on average, %s at most", decimal(r.Generator.CPU, 2), r.Generator.Cores, decimal(r.Generator.PeakCPU, 2))},
		{"requests", fmt.Sprintf("%s begun, %s acknowledged, %s errors, %s repeated, %s interrupted", thousands(r.Attempts), thousands(r.Acknowledged),
			thousands(r.ErrorsTotal), thousands(r.Retries), thousands(r.Interrupted))},
		{"connections", thousands(r.Connections)},
		{"lasted", seconds(r.Elapsed) + " s"},
	}
	return page.Section{
		Title:  "Where this comes from",
		Tables: []page.Table{{Head: []string{"fact", ""}, Rows: rows, Words: true}},
		Folds:  []page.Fold{{Title: "The whole configuration", Text: string(config)}},
	}, nil
}

func orNone(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func inMillis(m load.Millis) float64 { return float64(m) / float64(time.Millisecond) }
