package load

import (
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxServers bounds how many server names are told apart; answers of all others count for otherServers.
const (
	maxServers   = 1024
	otherServers = "(others)"
)

// collector gathers what all users meet. Its methods may be called concurrently.
type collector struct {
	start time.Time

	mu       sync.Mutex
	r        Result    // counters and lists only
	end      time.Time // of the last outcome
	requests int64     // done, with their retries
	servers  map[string]*serverTally
	latency  *hdrhistogram.Histogram // microseconds, as are the others
	service  *hdrhistogram.Histogram
	lag      *hdrhistogram.Histogram
}

// serverTally counts the answers of one server and holds the one copy of its name that all histories share.
type serverTally struct {
	name    string
	answers int64
}

func newCollector(start time.Time) *collector {
	hist := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, time.Hour.Microseconds(), 3) }
	return &collector{
		start: start, end: start,
		r: Result{
			ErrorsByClass: map[Class]int64{}, Errors: []Error{},
			ViolationsByKind: map[Kind]int64{}, Violations: []Violation{},
		},
		servers: map[string]*serverTally{},
		latency: hist(), service: hist(), lag: hist(),
	}
}

// record adds a duration to a histogram of microseconds, the longest it can hold if it is longer.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue())) // within the range it cannot fail
}

func (c *collector) since(t time.Time) Millis { return Millis(t.Sub(c.start)) }

// acknowledged notes an answer and returns the shared copy of its server's name.
func (c *collector) acknowledged(server string, due time.Time, e *exchange) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Acknowledged++
	record(c.latency, e.end.Sub(due))
	record(c.service, e.end.Sub(e.begin))
	c.ended(e.end)
	t := c.servers[server]
	if t == nil {
		if len(c.servers) >= maxServers {
			server = otherServers
		}
		t = &serverTally{name: server}
		c.servers[server] = t
	}
	t.answers++
	return t.name
}

func (c *collector) failed(user string, e *exchange, unknown bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended(e.end)
	c.r.ErrorsTotal++
	c.r.ErrorsByClass[e.class]++
	if unknown {
		c.r.Unknown++
	}
	if len(c.r.Errors) < MaxErrors {
		c.r.Errors = append(c.r.Errors, Error{
			At: c.since(e.end), Sent: c.since(e.begin), User: user, Class: e.class, Detail: e.detail, Unknown: unknown,
		})
	}
}

func (c *collector) violated(v *Violation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.ViolationsTotal++
	c.r.ViolationsByKind[v.Kind]++
	if len(c.r.Violations) < MaxViolations {
		c.r.Violations = append(c.r.Violations, *v)
	}
}

func (c *collector) began(retry bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Attempts++
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
	record(c.lag, d)
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
	if v.Known() {
		c.r.Sessions++
	}
}

func (c *collector) ended(t time.Time) {
	if t.After(c.end) {
		c.end = t
	}
}

func (c *collector) result(cfg Config, why Ended) *Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.r
	r.Config, r.Started, r.Ended = cfg, c.start, why
	r.Elapsed = c.since(c.end)
	r.Planned = int64(cfg.Users) * int64(cfg.Requests)
	if s := time.Duration(r.Elapsed).Seconds(); s > 0 {
		r.Throughput = float64(r.Acknowledged) / s
	}
	r.Latency, r.Service, r.Lag = percentiles(c.latency), percentiles(c.service), percentiles(c.lag)
	answers := make(map[string]int64, len(c.servers))
	for name, t := range c.servers {
		answers[name] = t.answers
	}
	r.Shares = shares(answers, cfg.Weights)
	slices.SortStableFunc(r.Errors, func(a, b Error) int { return int(a.At - b.At) })
	r.judge()
	return &r
}

// snapshot returns the state of the load now.
func (c *collector) snapshot(planned int64) Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Snapshot{
		Elapsed: time.Since(c.start), Planned: planned,
		Done: c.requests, Acknowledged: c.r.Acknowledged,
		Errors: c.r.ErrorsTotal, Violations: c.r.ViolationsTotal,
		InFlight: c.r.Attempts - c.r.Acknowledged - c.r.ErrorsTotal - c.r.Interrupted,
		P50:      time.Duration(c.latency.ValueAtPercentile(50)) * time.Microsecond,
		P99:      time.Duration(c.latency.ValueAtPercentile(99)) * time.Microsecond,
	}
}
