package load

import (
	"fmt"
	"time"
)

// Bounds of the lists in a [Result]. Totals go on counting beyond them.
const (
	MaxErrors     = 10_000
	MaxViolations = 1_000
)

// Ended tells why a load ended.
type Ended string

// The ways in which a load ends.
const (
	Complete    Ended = "complete"    // every user made every request
	OutOfTime   Ended = "duration"    // Config.Duration was over first
	Interrupted Ended = "interrupted" // the context ended; requests in flight were cut and count as nothing
)

// ResultVersion is the version of the JSON form of a [Result]. Members are only ever added within a version. Version 1,
// which had no member version, lacked what Version 2 added: everything from Version to Machine, and Generator to Faults.
const ResultVersion = 2

// Result is what a load showed.
type Result struct {
	Version int     `json:"version"` // ResultVersion
	Name    string  `json:"name"`    // of the scenario
	Target  Target  `json:"target"`
	Machine Machine `json:"machine"` // that the load came from

	Config  Config    `json:"config"`
	Started time.Time `json:"started"`
	Elapsed Millis    `json:"elapsed_ms"` // from Started to the last outcome
	Ended   Ended     `json:"ended"`
	Proven  bool      `json:"proven"`
	Reason  string    `json:"reason,omitempty"` // why not, for people

	Planned      int64   `json:"planned"`  // turns: users × requests, or what phases or a duration leave of them
	Attempts     int64   `json:"attempts"` // requests begun: acknowledged + errors + interrupted
	Acknowledged int64   `json:"acknowledged"`
	Interrupted  int64   `json:"interrupted"`
	Retries      int64   `json:"retries"`     // attempts that repeat a failed one
	Connections  int64   `json:"connections"` // opened
	Throughput   float64 `json:"throughput"`  // acknowledged requests a second
	Sessions     int     `json:"sessions"`    // with at least one acknowledged answer

	// Latency runs from the intended start of each acknowledged request, Service from its actual start, both to the
	// last byte of the answer.
	Latency Percentiles `json:"latency"`
	Service Percentiles `json:"service"`
	// Lag is how late the harness woke up for requests of an open load, and Held how many of them found no place
	// under Config.Concurrency when they were due. Both are part of Latency, and the harness's own fault.
	Lag  Percentiles `json:"lag"`
	Held int64       `json:"held"`
	// Generator judges them.
	Generator Generator `json:"generator"`
	// Histogram is the whole distribution of which Latency is the sum.
	Histogram Histogram `json:"histogram"`

	Phases []Phase  `json:"phases"` // in order of time, at least one
	Series []Second `json:"series"` // the first MaxSeconds
	Faults []Fault  `json:"faults"` // in order of time

	Shares    []Share         `json:"shares"`     // by server name
	ShareTest ShareTest       `json:"share_test"` // of Shares
	Servers   []ServerLatency `json:"servers"`    // by server name, the first 64; the others together have one named "(others)"

	ErrorsTotal   int64           `json:"errors_total"`
	ErrorsByClass map[Class]int64 `json:"errors_by_class"`
	Errors        []Error         `json:"errors"`      // the first MaxErrors, in order of At
	Unknown       int64           `json:"unknown"`     // errors after which the visit may have been counted
	Landed        int64           `json:"landed"`      // those of them that were, as later counts showed
	LandedLate    int64           `json:"landed_late"` // those that did not yet show in the user's next answer, see Verifier.Landed

	ViolationsTotal  int64          `json:"violations_total"`
	ViolationsByKind map[Kind]int64 `json:"violations_by_kind"`
	Violations       []Violation    `json:"violations"` // the first MaxViolations
}

// Error is one request without an acknowledged answer.
type Error struct {
	At     Millis `json:"at_ms"`   // when it failed, since the start of the run
	Sent   Millis `json:"sent_ms"` // when its attempt began, since the start of the run; the request was in flight from then to At
	User   string `json:"user"`
	Class  Class  `json:"class"`
	Detail string `json:"detail"`
	// Unknown tells that the request may have been counted; otherwise it never left.
	Unknown bool `json:"unknown"`
}

// Percentiles sum up a distribution of durations, exact to three significant digits. All are 0 if Count is.
type Percentiles struct {
	Count int64  `json:"count"`
	Min   Millis `json:"min_ms"`
	Mean  Millis `json:"mean_ms"`
	P50   Millis `json:"p50_ms"`
	P75   Millis `json:"p75_ms"`
	P90   Millis `json:"p90_ms"`
	P99   Millis `json:"p99_ms"`
	P999  Millis `json:"p99_9_ms"`
	P9999 Millis `json:"p99_99_ms"`
	Max   Millis `json:"max_ms"`
}

// judge sets Proven and Reason.
func (r *Result) judge() {
	allowed := r.Config.AllowErrors
	switch {
	case r.ViolationsTotal > 0:
		r.Reason = fmt.Sprintf("%d violations", r.ViolationsTotal)
	case allowed >= 0 && r.ErrorsTotal > allowed:
		r.Reason = fmt.Sprintf("%d errors, %d allowed", r.ErrorsTotal, allowed)
	case r.Acknowledged == 0:
		r.Reason = "no request was acknowledged"
	case r.Ended == Interrupted:
		r.Reason = "interrupted"
	case r.Config.CheckShares:
		r.Reason = r.ShareTest.verdict()
	}
	r.Proven = r.Reason == ""
}
