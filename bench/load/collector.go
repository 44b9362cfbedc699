package load

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// maxServers bounds how many server names are told apart; answers of all others count for otherServers. Only the first
// maxServerLatencies have a histogram of their own: each takes 190 KB.
const (
	maxServers         = 1024
	maxServerLatencies = 64
	otherServers       = "(others)"
)

// collector gathers what all users meet. Its methods may be called concurrently.
type collector struct {
	start time.Time

	mu       sync.Mutex
	r        Result    // counters and lists only
	end      time.Time // of the last outcome
	requests int64     // done, with their retries
	servers  map[string]*serverTally
	others   Histogram // latency of the servers beyond maxServerLatencies
	latency  Histogram
	service  Histogram
	lag      Histogram
	phases   phases
	series   series
	watch    watch
	cpu      time.Duration // of this process at the start
}

// serverTally counts the answers of one server and holds the one copy of its name that all histories share.
type serverTally struct {
	name    string
	answers int64
	latency *Histogram
}

func newCollector(start time.Time, plans []PhasePlan, faults []FaultPlan) *collector {
	cpu := ownCPU()
	return &collector{
		start: start, end: start,
		r: Result{
			ErrorsByClass: map[Class]int64{}, Errors: []Error{},
			ViolationsByKind: map[Kind]int64{}, Violations: []Violation{},
		},
		servers: map[string]*serverTally{},
		phases:  newPhases(plans),
		watch:   newWatch(faults),
		series:  series{cpu: cpu},
		cpu:     cpu,
	}
}

func (c *collector) since(t time.Time) Millis { return Millis(t.Sub(c.start)) }

// acknowledged notes an answer and returns the shared copy of its server's name.
func (c *collector) acknowledged(server string, e *exchange) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reached(e.end)
	c.r.Acknowledged++
	latency := e.end.Sub(e.due)
	c.latency.Record(latency)
	c.service.Record(e.end.Sub(e.begin))
	p := c.phases.at(c.since(e.due))
	p.Acknowledged++
	p.Histogram.Record(latency)
	t := c.tally(server)
	t.answers++
	t.latency.Record(latency)
	c.series.acknowledged(t.name, latency)
	c.watch.outcome(c.since(e.due), c.since(e.end), false)
	return t.name
}

// tally returns the tally of a server.
func (c *collector) tally(server string) *serverTally {
	if t := c.servers[server]; t != nil {
		return t
	}
	if len(c.servers) >= maxServers {
		server = otherServers
	}
	t := c.servers[server]
	if t == nil {
		t = &serverTally{name: server, latency: new(Histogram)}
		if len(c.servers) >= maxServerLatencies {
			t.latency = &c.others
		}
		c.servers[server] = t
	}
	return t
}

func (c *collector) failed(user string, e *exchange, unknown bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reached(e.end)
	c.r.ErrorsTotal++
	c.r.ErrorsByClass[e.class]++
	c.series.now.Errors++
	c.watch.outcome(c.since(e.due), c.since(e.end), true)
	c.phases.at(c.since(e.due)).Errors++
	if unknown {
		c.r.Unknown++
	}
	if len(c.r.Errors) < MaxErrors {
		c.r.Errors = append(c.r.Errors, Error{
			At: c.since(e.end), Sent: c.since(e.begin), User: user, Class: e.class, Detail: e.detail, Unknown: unknown,
		})
	}
}

func (c *collector) faultBegan(i int, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch.begin(i, c.since(at), c.latency, c.r.ErrorsTotal)
}

func (c *collector) faultEnded(i int, at time.Time, output string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &c.watch.faults[i]
	f.Ended, f.Output = c.since(at), output
	if err != nil {
		f.Error = err.Error()
	}
}

func (c *collector) violated(v *Violation, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.series.now.Violations++
	c.phases.at(c.since(due)).Violations++
	c.r.ViolationsTotal++
	c.r.ViolationsByKind[v.Kind]++
	if len(c.r.Violations) < MaxViolations {
		c.r.Violations = append(c.r.Violations, *v)
	}
}

// began notes that an attempt begins.
func (c *collector) began(at time.Time, retry bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.series.to(at.Sub(c.start), c.inFlight())
	c.r.Attempts++
	c.series.now.Begun++
	if retry {
		c.r.Retries++
	}
}

// done notes that a request is over, with its retries.
func (c *collector) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
}

func (c *collector) interrupted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Interrupted++
}

func (c *collector) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Connections++
}

// late notes how long after its due time a request of an open load was woken.
func (c *collector) late(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lag.Record(d)
	c.series.lag = max(c.series.lag, d)
}

func (c *collector) held() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Held++
}

// leave notes what a user who is through has seen.
func (c *collector) leave(v *Verifier) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, late := v.Landed()
	c.r.Landed += all
	c.r.LandedLate += late
	c.r.Sessions += v.sessions
}

// reached notes how far the load has come.
func (c *collector) reached(t time.Time) {
	if t.After(c.end) {
		c.end = t
		c.series.to(t.Sub(c.start), c.inFlight())
	}
}

func (c *collector) inFlight() int64 {
	return c.r.Attempts - c.r.Acknowledged - c.r.ErrorsTotal - c.r.Interrupted
}

func (c *collector) result(cfg Config, why Ended) *Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.r
	r.Version, r.Name, r.Target, r.Machine = ResultVersion, cfg.Name, cfg.Target(), ThisMachine()
	r.Config, r.Started, r.Ended = cfg, c.start, why
	r.Elapsed = c.since(c.end)
	r.Planned = cfg.plannedRequests()
	if s := time.Duration(r.Elapsed).Seconds(); s > 0 {
		r.Throughput = float64(r.Acknowledged) / s
	}
	r.Latency, r.Service, r.Lag = c.latency.Percentiles(), c.service.Percentiles(), c.lag.Percentiles()
	r.Histogram = c.latency
	r.Phases = c.phases.result(r.Elapsed)
	if rest := r.Elapsed - c.series.now.At; rest > 0 || len(c.series.list) == 0 {
		c.series.close(c.inFlight(), max(time.Duration(rest), time.Millisecond))
	}
	r.Series, r.Faults = c.series.list, c.watch.result(r.Elapsed)
	r.Shares, r.Servers = shares(c.answers(), cfg.Weights), c.serverLatencies()
	r.ShareTest = testShares(r.Shares)
	slices.SortStableFunc(r.Errors, func(a, b Error) int { return int(a.At - b.At) })
	r.judgeGenerator(ownCPU() - c.cpu)
	r.judge()
	return &r
}

func (c *collector) answers() map[string]int64 {
	answers := make(map[string]int64, len(c.servers))
	for name, t := range c.servers {
		answers[name] = t.answers
	}
	return answers
}

func (c *collector) serverLatencies() []ServerLatency {
	list := []ServerLatency{}
	for name, t := range c.servers {
		if t.latency != &c.others {
			list = append(list, ServerLatency{name, t.latency.Percentiles(), *t.latency})
		}
	}
	if c.others.Count() > 0 {
		list = append(list, ServerLatency{otherServers, c.others.Percentiles(), c.others})
	}
	slices.SortFunc(list, func(a, b ServerLatency) int { return strings.Compare(a.Server, b.Server) })
	return list
}

// snapshot returns the state of the load now.
func (c *collector) snapshot(planned int64) Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.inFlight() > 0 {
		c.series.to(now.Sub(c.start), c.inFlight()) // seconds in which nothing ends are seconds, too
	}
	s := Snapshot{
		Elapsed: now.Sub(c.start), Planned: planned,
		Done: c.requests, Acknowledged: c.r.Acknowledged,
		Errors: c.r.ErrorsTotal, Violations: c.r.ViolationsTotal,
		InFlight: c.inFlight(),
		P50:      c.latency.At(50), P99: c.latency.At(99),
		Phase: c.phases.at(c.since(now)).Name, Fault: c.watch.latest(),
	}
	if n := len(c.series.list); n > 0 {
		s.Second = c.series.list[n-1]
	}
	return s
}
