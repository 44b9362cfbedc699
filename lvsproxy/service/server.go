package service

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
)

// Server is a real server, or the fallback server, of one virtual service. It outlives its place in the table as long
// as connections use it. Its methods may be called concurrently.
type Server struct {
	// What a pick looks at, in one line of the processor's cache.
	weight           int // in the table; guarded by the service's lock
	active, inactive atomic.Int64
	overloaded       atomic.Bool // a threshold was reached

	service  *Service
	addr     netip.AddrPort
	name     string // addr as text
	fallback bool

	// Guarded by the service's lock.
	settings ServerSettings // with the weight that the server has while it is up
	origin   Origin
	mark     Mark
	order    int // place in the file; those added by hand come after
	listed   bool
	state    check.State // what the checks say
	reason   string
	held     string // why the server is out whatever its checks say; empty if it is not

	templates  int       // clients that persistence sends here
	received   bool      // may have connections: it once was in the table with a weight
	drainSince time.Time // since when it gets no more; zero while it does
	slowSince  time.Time // since when its weight grows; zero if it does not

	limit         limit
	limited       atomic.Bool // there is a threshold
	connectErrors atomic.Uint64
	stats         counters
	counts        Counts // the last that a dataplane said; guarded by the service's lock
}

// Carried counts traffic that a dataplane has carried.
func (s *Server) Carried(t Traffic) {
	s.stats.carried(t)
	s.service.stats.carried(t)
}

// Addr returns where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// String returns Addr as text, without making it anew each time.
func (s *Server) String() string { return s.name }

// IsFallback reports whether this is a fallback server.
func (s *Server) IsFallback() bool { return s.fallback }

// A connection is inactive for IPVS while it is being opened and once one side has closed, and active in between. A
// dataplane calls, for each connection, Opening, then either Failed or Established; after the latter Closing (which
// may be left out), then Closed with whether it called Closing.

// Opening counts a connection that is being opened to the server.
func (s *Server) Opening() {
	s.inactive.Add(1)
	s.opened()
}

// Failed takes back Opening: the server could not be reached.
func (s *Server) Failed() {
	s.inactive.Add(-1)
	s.connectErrors.Add(1)
	s.ended()
}

// Canceled takes back Opening for a reason that is not the server's.
func (s *Server) Canceled() {
	s.inactive.Add(-1)
	s.ended()
}

// Established makes a connection that was Opening active.
func (s *Server) Established() {
	s.inactive.Add(-1)
	s.active.Add(1)
	s.stats.conns.Add(1)
	s.service.stats.conns.Add(1)
}

// Closing makes an active connection inactive: one side has sent its last byte.
func (s *Server) Closing() {
	s.active.Add(-1)
	s.inactive.Add(1)
}

// Closed ends a connection; closing tells whether Closing was called for it.
func (s *Server) Closed(closing bool) {
	if closing {
		s.inactive.Add(-1)
	} else {
		s.active.Add(-1)
	}
	s.ended()
}
