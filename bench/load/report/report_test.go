package report

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/bench/load"
)

const ms = load.Millis(time.Millisecond)

func sample() *load.Result {
	return &load.Result{
		Config: load.Config{URL: "http://172.16.1.11/count", Users: 1500, Requests: 20, Rate: 5000, Concurrency: 1000},
		Ended:  load.Complete, Elapsed: 6123 * ms, Proven: true,
		Planned: 30000, Attempts: 30000, Acknowledged: 30000, Connections: 30000, Throughput: 4899.6, Sessions: 1500,
		Latency: load.Percentiles{Count: 30000, Min: ms / 2, Mean: 2 * ms, P50: ms, P75: ms, P90: 3 * ms, P99: 12 * ms, P999: 100 * ms, P9999: 1234 * ms, Max: 1300 * ms},
		Shares: []load.Share{
			{Server: "web1", Weight: 3, Answers: 22500, Actual: 0.75, Expected: 0.75},
			{Server: "web2", Weight: 1, Answers: 7500, Actual: 0.25, Expected: 0.25},
		},
	}
}

func TestTextOfProof(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, sample()); err != nil {
		t.Fatal(err)
	}
	const want = `http://172.16.1.11/count: 1,500 users, 20 requests each, open load of 5,000 requests/s
a connection for each request, at most 1,000 in flight

requests  planned  acknowledged  errors  retries  connections  seconds  acknowledged/s
number     30,000        30,000       0        0       30,000     6.12           4,900

milliseconds                  min  mean   p50   p75   p90    p99   p99.9    p99.99       max
latency from intended start  0.50  2.00  1.00  1.00  3.00  12.00  100.00  1,234.00  1,300.00
service from actual start    0.00  0.00  0.00  0.00  0.00   0.00    0.00      0.00      0.00
lateness of vipbench itself  0.00  0.00  0.00  0.00  0.00   0.00    0.00      0.00      0.00

server  weight  answers   share  expected  deviation
web1         3   22,500  75.00%    75.00%      +0.00
web2         1    7,500  25.00%    25.00%      +0.00

PROVEN: 1,500 sessions, 30,000 acknowledged requests, each counted exactly once;
no visit lost, nobody logged out, nobody in another's session.
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTextOfFailure(t *testing.T) {
	r := sample()
	r.Proven, r.Reason, r.Ended, r.Interrupted, r.Held = false, "4 violations", load.Interrupted, 7, 11
	r.ErrorsTotal, r.Unknown, r.Landed, r.LandedLate = 9, 8, 3, 1
	r.ErrorsByClass = map[load.Class]int64{load.Reset: 8, load.Refused: 1}
	for i := range 8 {
		r.Errors = append(r.Errors, load.Error{At: load.Millis(100+i) * ms, User: "u3", Class: load.Reset, Detail: "\x1b[2Jreceive: \"x\""})
	}
	r.ViolationsTotal = 4
	r.ViolationsByKind = map[load.Kind]int64{load.Over: 3, load.Foreign: 1}
	for range 3 {
		r.Violations = append(r.Violations, load.Violation{Kind: load.Over, User: "u5", At: 250 * ms, Amount: 1, Detail: "count 3 after 1, expected 2", History: []load.Event{
			{At: 200 * ms, Server: "web1\n", ID: "5d41402a", Count: 1, User: "u5"},
			{At: 220 * ms, Class: load.Refused},
			{At: 250 * ms, Server: "web2", ID: "5d41402a", Count: 3, User: "u5"},
		}})
	}
	var b bytes.Buffer
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"The load was interrupted; requests cut in flight: 7.\n",
		"11 due requests waited for a place",
		"errors   count  first at s  last at s\nrefused      1       0.000      0.000\nreset        8       0.100      0.107\n",
		"  0.100s  u3  reset  \\x1b[2Jreceive: \"x\"\n",
		"  ... (--json lists more)\n",
		"Only the first 8 errors have their times noted.\n",
		"may have been counted: 8. That were, as later counts show: 3, of these late: 1.\n",
		"violations  count\nover            3\nforeign         1\n",
		"u5 over at 0.250s: count 3 after 1, expected 2\n" +
			"  at s    server   session  count  user\n" +
			"  0.200   web1\\n  5d41402a      1    u5\n" +
			"  0.220  refused         -      -     -\n" +
			"  0.250     web2  5d41402a      3    u5\n",
		"Here are the first 2 of each kind; --json lists more.\n",
		"NOT PROVEN: 4 violations.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b") || strings.Count(got, "u5 over") != 2 {
		t.Errorf("escape sequences, or too many violations:\n%s", got)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestTextReturnsErrors(t *testing.T) {
	if Text(brokenPipe{}, sample()) == nil {
		t.Error("no error from a broken pipe")
	}
}

func TestProgressOnTerminal(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, func() int { return 110 })
	p.Show(load.Snapshot{Elapsed: time.Second, Planned: 1000, Done: 250, Acknowledged: 250, InFlight: 9, P50: 2 * time.Millisecond, P99: 5 * time.Millisecond})
	p.Show(load.Snapshot{Elapsed: 2 * time.Second, Planned: 1000, Done: 1000, Acknowledged: 990, Errors: 10})
	p.Done()
	lines := strings.Split(b.String(), "\r\x1b[J")
	if len(lines) != 4 || lines[0] != "" || lines[3] != "" {
		t.Fatalf("%q", lines)
	}
	if want := "25%    1s      250/s  p50 2.00 p99 5.00 ms  in flight 9  errors 0  violations 0"; !strings.HasSuffix(lines[1], want) || !strings.HasPrefix(lines[1], "[####") {
		t.Errorf("%q lacks %q", lines[1], want)
	}
	if !strings.Contains(lines[2], "100%") || !strings.Contains(lines[2], "740/s") || strings.Contains(lines[2], ".]") {
		t.Errorf("%q", lines[2])
	}
}

func TestProgressShowsTheLastSecond(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, func() int { return 80 })
	second := load.Second{Begun: 400, Acknowledged: 400, P99: 7 * ms, Servers: map[string]int64{"web2": 100, "web1\x1b": 300}}
	kill := load.Fault{FaultPlan: load.FaultPlan{Name: "kill web1"}, Began: 250 * ms, Ended: 500 * ms}
	for range 4 { // the same second is counted once
		p.Show(load.Snapshot{Elapsed: time.Second, Phase: "rush", Fault: kill, Second: second})
	}
	second.At, second.Servers = load.Millis(time.Second), map[string]int64{"web2": 200}
	p.Show(load.Snapshot{Elapsed: 2 * time.Second, Phase: "rush", Fault: kill, Second: second})
	frames := strings.Split(b.String(), "\x1b[5A\r\x1b[J")
	if len(frames) != 5 || strings.Contains(frames[4], "\x1b") {
		t.Fatalf("%q", frames)
	}
	lines := strings.Split(frames[4], "\n")
	if len(lines) != 6 || !strings.HasSuffix(lines[1], "violations 0") || lines[2] != "fault: kill web1 at 0.250 s, ended at 0.500 s" ||
		!strings.HasPrefix(lines[3], "phase rush, last second:  begun 400  acknowledged 400") || !strings.HasPrefix(lines[4], "  p50 ") ||
		lines[5] != `servers:  web1\x1b 50.00%  web2 50.00%` {
		t.Errorf("%q", lines)
	}
	for _, l := range lines {
		if len(l) > 79 {
			t.Errorf("%d columns: %q", len(l), l)
		}
	}
}

// However the terminal's width changes, each frame begins where the one before began, and no line is wider than the terminal.
func TestProgressOnResizedTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		width := 80
		p := NewProgress(&b, func() int { return width })
		second := load.Second{Begun: 400, Servers: map[string]int64{}}
		for i := range rapid.IntRange(0, 30).Draw(t, "servers") {
			second.Servers[fmt.Sprintf("web%d", i)] = 7
		}
		shown := 0 // rows of the frame before, as this width breaks them
		for range 5 {
			b.Reset()
			p.Show(load.Snapshot{Elapsed: time.Second, Phase: "wörk", Second: second, InFlight: rapid.Int64Range(0, 1e9).Draw(t, "in flight")})
			before, frame, _ := strings.Cut(b.String(), "\r\x1b[J")
			if want := fmt.Sprintf("\x1b[%dA", shown-1); shown > 1 && before != want || shown < 2 && before != "" {
				t.Fatalf("%q, want %q", before, want)
			}
			width = rapid.IntRange(1, 150).Draw(t, "width")
			shown = 0
			for _, l := range strings.Split(frame, "\n") {
				shown += max(1, (utf8.RuneCountInString(l)+width-1)/width)
			}
		}
	})
}

func TestProgressElsewhere(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, nil)
	for i := range 49 { // 12 s
		p.Show(load.Snapshot{Elapsed: time.Duration(i) * 250 * time.Millisecond, Planned: 100, Done: int64(i)})
	}
	p.Done()
	if got := b.String(); strings.Count(got, "\n") != 2 || strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("12 s of progress: %q", got)
	}
}

func TestBarFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(-1, 250).Draw(t, "width")
		planned := rapid.Int64Range(0, 1e6).Draw(t, "planned")
		s := load.Snapshot{Planned: planned, Done: rapid.Int64Range(0, planned).Draw(t, "done")}
		p := NewProgress(nil, nil)
		if line := bar(s, p.status(s), width); len(line) > max(width, 0) {
			t.Fatalf("%d bytes on %d columns: %q", len(line), width, line)
		}
	})
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	if got := decimal(1234.567, 2); got != "1,234.57" {
		t.Errorf("got %q", got)
	}
}
