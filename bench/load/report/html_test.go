package report

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/internal/page/pagetest"
	"github.com/lvsession/lvsession/bench/load"
)

// full is a result that has everything.
func full() *load.Result {
	r := sample()
	r.Proven, r.Reason, r.Target = false, "1 violations", load.Counter
	r.Config.Name = "a sale <b>"
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"warm", "rush"} {
		r.Phases = append(r.Phases, load.Phase{PhasePlan: load.PhasePlan{Name: name, Rate: 10, RateTo: 20}})
	}
	for i := range 6 {
		s := load.Second{At: load.Millis(time.Duration(i) * time.Second), Acknowledged: int64(1000 * i), Begun: int64(1000 * i), P50: ms, P99: 3 * ms, Max: load.Millis(i) * 1000 * ms}
		r.Series = append(r.Series, s)
	}
	for range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(2*time.Millisecond))
		r.Histogram.Record(d)
		r.Phases[random.IntN(2)].Histogram.Record(d)
	}
	r.Faults = []load.Fault{{FaultPlan: load.FaultPlan{Name: "stop sessiond"}, Began: 2000 * ms, Ended: 2010 * ms, Disturbed: true, Recovered: true, Recovery: 1500 * ms, Definition: "recovered when calm"}}
	r.Servers = []load.ServerLatency{{Server: "web1", Histogram: r.Histogram}, {Server: "web2", Histogram: r.Histogram}}
	r.ErrorsTotal, r.ErrorsByClass = 1, map[load.Class]int64{load.Reset: 1}
	r.Errors = []load.Error{{At: 2100 * ms, User: "u3", Class: load.Reset, Detail: "\x1b[2J<script>"}}
	r.ViolationsTotal, r.ViolationsByKind = 1, map[load.Kind]int64{load.Over: 1}
	r.Violations = []load.Violation{{Kind: load.Over, User: "u5", At: 250 * ms, Amount: 1, Detail: "count 3 after 1", Earlier: 2, History: []load.Event{
		{At: 200 * ms, Server: "web1", ID: "5d41402a", Count: 1, User: "u5"}, {At: 220 * ms, Class: load.Refused}}}}
	r.Generator.Reasons = []string{"it used 2 of 2 cores"}
	return r
}

func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, full()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"vipbench: a sale &lt;b&gt;", "NOT PROVEN: 1 violations", "1  stop sessiond", "1.500", "u5 over at 0.250 s: count 3 after 1", "2 earlier events are not kept",
		"5d41402a", "refused", "it used 2 of 2 cores", "The whole configuration", "&#34;users&#34;: 1500", "<td>rush</td>", "\\x1b[2J&lt;script&gt;", "75.00% of 75.00%", "99.9%",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	pagetest.Check(t, b.String())
}

// A load of which nothing came still has a page.
func TestHTMLOfNothing(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, &load.Result{Ended: load.Interrupted, Reason: "interrupted"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "nothing to show") || !strings.Contains(b.String(), "NOT PROVEN: interrupted") {
		t.Error(b.String())
	}
	pagetest.Check(t, b.String())
	if HTML(brokenPipe{}, full()) == nil {
		t.Error("no error from a broken pipe")
	}
}

func TestCompareHTML(t *testing.T) {
	other := full()
	other.Throughput, other.Config.Users, other.Config.URL = 2*other.Throughput, 9, "http://172.16.1.12/count"
	var b bytes.Buffer
	if err := CompareHTML(&b, []Side{{"HAProxy", []*load.Result{full(), full()}}, {"lvsproxy", []*load.Result{other, other}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"lvsproxy : HAProxy", "2.00 × (2.00–2.00)", "lvsproxy, round 1: another load than the first, 9 users", "not proven: 1 violations", "172.16.1.12"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	pagetest.Check(t, b.String())
}
