package load

import "time"

// MaxSeconds bounds [Result].Series: a day. Totals go on counting beyond it.
const MaxSeconds = 24 * 60 * 60

// Second is what happened in one second of a load. A request belongs to the second in which it ended.
type Second struct {
	At           Millis           `json:"at_ms"` // when the second began, since the start of the run
	Begun        int64            `json:"begun"` // attempts
	Acknowledged int64            `json:"acknowledged"`
	Errors       int64            `json:"errors"`
	Violations   int64            `json:"violations"`
	InFlight     int64            `json:"in_flight"`         // at the end of the second
	P50          Millis           `json:"p50_ms"`            // of the latency of acknowledged requests, as are the next
	P90          Millis           `json:"p90_ms"`            //
	P99          Millis           `json:"p99_ms"`            //
	P999         Millis           `json:"p99_9_ms"`          //
	Max          Millis           `json:"max_ms"`            //
	LagMax       Millis           `json:"lag_max_ms"`        // how late vipbench itself woke up at worst
	CPU          float64          `json:"cpu"`               // of vipbench itself, in cores
	Servers      map[string]int64 `json:"servers,omitempty"` // acknowledged answers by server
}

// series cuts a load into seconds. The collector's lock guards it.
type series struct {
	list    []Second
	now     Second // under way
	latency Histogram
	lag     time.Duration
	cpu     time.Duration // of this process when the second under way began
}

// to closes every second that is over at t, a time since the start.
func (s *series) to(t time.Duration, inFlight int64) {
	for t >= time.Duration(s.now.At)+time.Second {
		s.close(inFlight, time.Second)
	}
}

// close ends the second under way, of which so much has passed, and begins the next.
func (s *series) close(inFlight int64, passed time.Duration) {
	p := s.latency.Percentiles()
	n := &s.now
	n.InFlight = inFlight
	n.P50, n.P90, n.P99, n.P999, n.Max = p.P50, p.P90, p.P99, p.P999, p.Max
	n.LagMax = Millis(s.lag)
	cpu := ownCPU()
	n.CPU = (cpu - s.cpu).Seconds() / passed.Seconds()
	if len(s.list) < MaxSeconds {
		s.list = append(s.list, *n)
	}
	*n = Second{At: n.At + Millis(time.Second)}
	s.latency.reset()
	s.lag, s.cpu = 0, cpu
}

// acknowledged notes an answer of a server in the second under way.
func (s *series) acknowledged(server string, latency time.Duration) {
	s.now.Acknowledged++
	s.latency.Record(latency)
	if s.now.Servers == nil {
		s.now.Servers = map[string]int64{}
	}
	s.now.Servers[server]++
}
