// Package report shows what package load found: progress while it runs, and the result as text.
package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lvsession/lvsession/bench/load"
)

// Bounds of the lists in a text; JSON has more.
const (
	maxErrorsShown     = 5
	maxViolationsShown = 2 // of each kind
)

// Text writes a result for people. It returns the first error of w.
func Text(w io.Writer, r *load.Result) error {
	p := &printer{w: w}
	p.head(r)
	p.requests(r)
	p.latency(r)
	p.generator(r)
	p.phases(r)
	p.shares(r)
	p.faults(r)
	p.errors(r)
	p.violations(r)
	p.verdict(r)
	return p.err
}

// printer remembers the first error of its writer.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// table writes rows of cells in aligned columns: the first column flush left, all others flush right.
func (p *printer) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", widths[i+1], cell)
		}
		p.printf("%s\n", strings.TrimRight(line, " "))
	}
}

func (p *printer) head(r *load.Result) {
	c := r.Config
	model := "closed load"
	switch {
	case len(c.Phases) > 0:
		model = fmt.Sprintf("%s load in %d phases", openness(c.Phases), len(c.Phases))
	case c.Rate > 0:
		model = fmt.Sprintf("open load of %s requests/s", decimal(c.Rate, 0))
	}
	if !c.Think.IsZero() {
		model += ", thinking " + c.Think.String()
	}
	connections := "a connection for each request"
	if c.KeepAlive {
		connections = "connections kept"
	}
	p.printf("%s: %s users, %s, %s\n", c.URL, thousands(int64(c.Users)), turns(c), model)
	p.printf("%s, at most %s in flight\n\n", connections, thousands(int64(min(c.Users, c.Concurrency))))
}

// turns tells how many requests each user makes.
func turns(c load.Config) string {
	if c.Users > 0 && c.Requests == load.MaxRequests/c.Users { // the default of a load that time ends
		span := c.Duration
		for _, p := range c.Phases {
			span += time.Duration(p.Duration)
		}
		return "for " + span.String()
	}
	return thousands(int64(c.Requests)) + " requests each"
}

func (p *printer) requests(r *load.Result) {
	rows := [][]string{
		{"requests", "planned", "acknowledged", "errors", "retries", "connections", "seconds", "acknowledged/s"},
		{"number", planned(r), thousands(r.Acknowledged), thousands(r.ErrorsTotal), thousands(r.Retries),
			thousands(r.Connections), decimal(time.Duration(r.Elapsed).Seconds(), 2), decimal(r.Throughput, 0)},
	}
	p.table(rows)
	switch r.Ended {
	case load.OutOfTime:
		p.printf("The load ended because its duration was over.\n")
	case load.Interrupted:
		p.printf("The load was interrupted; requests cut in flight: %s.\n", thousands(r.Interrupted))
	}
	p.printf("\n")
}

// planned is how many requests were to be made, if anything but the load's duration bounds them.
func planned(r *load.Result) string {
	if r.Config.Duration > 0 && r.Planned > load.MaxRequests-load.MaxUsers {
		return "no limit"
	}
	return thousands(r.Planned)
}

func (p *printer) latency(r *load.Result) {
	rows := [][]string{{"milliseconds", "min", "mean", "p50", "p75", "p90", "p99", "p99.9", "p99.99", "max"}}
	add := func(name string, d load.Percentiles) {
		row := []string{name}
		for _, v := range []load.Millis{d.Min, d.Mean, d.P50, d.P75, d.P90, d.P99, d.P999, d.P9999, d.Max} {
			row = append(row, millis(v))
		}
		rows = append(rows, row)
	}
	add("latency from intended start", r.Latency)
	due := r.Config.Rate > 0 || r.Lag.Count > 0 // requests fell due at times of their own
	if due || r.Config.Retries > 0 {            // else they are the same
		add("service from actual start", r.Service)
	}
	if due {
		add("lateness of vipbench itself", r.Lag)
	}
	p.table(rows)
	if r.Held > 0 {
		p.printf("%s due requests waited for a place: raise --concurrency, or the target cannot keep up.\n", thousands(r.Held))
	}
	p.printf("\n")
}

func (p *printer) shares(r *load.Result) {
	if len(r.Shares) == 0 {
		return
	}
	rows := [][]string{{"server", "weight", "answers", "share", "expected", "deviation"}}
	for _, s := range r.Shares {
		rows = append(rows, []string{
			printable(s.Server), strconv.Itoa(s.Weight), thousands(s.Answers),
			percent(s.Actual), percent(s.Expected), fmt.Sprintf("%+.2f", 100*s.Deviation()),
		})
	}
	p.table(rows)
	if t := r.ShareTest; t.Enough {
		p.printf("chi-squared of the shares %s, degrees of freedom %d, p %.2g\n", decimal(t.ChiSquared, 2), t.Freedom, t.P)
	}
	p.printf("\n")
}

func (p *printer) errors(r *load.Result) {
	if r.ErrorsTotal == 0 {
		return
	}
	first, last := map[load.Class]load.Millis{}, map[load.Class]load.Millis{}
	for _, e := range r.Errors {
		if _, seen := first[e.Class]; !seen {
			first[e.Class] = e.At
		}
		last[e.Class] = e.At
	}
	rows := [][]string{{"errors", "count", "first at s", "last at s"}}
	for _, class := range slices.Sorted(maps.Keys(r.ErrorsByClass)) {
		rows = append(rows, []string{string(class), thousands(r.ErrorsByClass[class]), seconds(first[class]), seconds(last[class])})
	}
	p.table(rows)
	if int64(len(r.Errors)) < r.ErrorsTotal {
		p.printf("Only the first %s errors have their times noted.\n", thousands(int64(len(r.Errors))))
	}
	for i, e := range r.Errors {
		if i == maxErrorsShown {
			p.printf("  ... (--json lists more)\n")
			break
		}
		p.printf("  %ss  %s  %s  %s\n", seconds(e.At), e.User, e.Class, printable(e.Detail))
	}
	p.printf("Visits that may have been counted: %s. That were, as later counts show: %s, of these late: %s.\n\n",
		thousands(r.Unknown), thousands(r.Landed), thousands(r.LandedLate))
}

func (p *printer) violations(r *load.Result) {
	if r.ViolationsTotal == 0 {
		return
	}
	rows := [][]string{{"violations", "count"}}
	for _, kind := range load.Kinds {
		if n := r.ViolationsByKind[kind]; n > 0 {
			rows = append(rows, []string{string(kind), thousands(n)})
		}
	}
	p.table(rows)
	shown := map[load.Kind]int{}
	for _, v := range r.Violations {
		if shown[v.Kind]++; shown[v.Kind] > maxViolationsShown {
			continue
		}
		p.printf("\n%s %s at %ss: %s\n", v.User, v.Kind, seconds(v.At), printable(v.Detail))
		p.history(v)
	}
	if r.ViolationsTotal > maxViolationsShown {
		p.printf("\nHere are the first %d of each kind; --json lists more.\n", maxViolationsShown)
	}
	p.printf("\n")
}

func (p *printer) history(v load.Violation) {
	rows := [][]string{{"  at s", "server", "session", "count", "user", ""}}
	for _, e := range v.History {
		if e.Class != "" {
			rows = append(rows, []string{"  " + seconds(e.At), string(e.Class), "-", "-", "-", e.Action})
			continue
		}
		rows = append(rows, []string{"  " + seconds(e.At), printable(e.Server), e.ID, thousands(e.Count), printable(e.User), e.Action})
	}
	p.table(rows)
}

func (p *printer) verdict(r *load.Result) {
	if !r.Proven {
		p.printf("NOT PROVEN: %s.\n", r.Reason)
		return
	}
	if !r.Target.Verified() {
		p.printf("ANSWERED: %s requests. This kind of target has no sessions that could be checked.\n", thousands(r.Acknowledged))
		return
	}
	p.printf("PROVEN: %s sessions, %s acknowledged requests, each counted exactly once;\n"+
		"no visit lost, nobody logged out, nobody in another's session.\n", thousands(int64(r.Sessions)), thousands(r.Acknowledged))
}

// printable keeps control characters from a server away from the terminal.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

func millis(m load.Millis) string  { return decimal(float64(m)/float64(time.Millisecond), 2) }
func seconds(m load.Millis) string { return decimal(time.Duration(m).Seconds(), 3) }
func percent(part float64) string  { return decimal(100*part, 2) + "%" }
func thousands(n int64) string     { return group(strconv.FormatInt(n, 10)) }
func decimal(f float64, n int) string {
	whole, fraction, found := strings.Cut(strconv.FormatFloat(f, 'f', n, 64), ".")
	if !found {
		return group(whole)
	}
	return group(whole) + "." + fraction
}

// group puts commas between the thousands of a whole number.
func group(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}
