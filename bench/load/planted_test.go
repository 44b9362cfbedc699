package load_test

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/counterpage"
)

// rare is the part of all connections, writes or reads that a planted fault strikes: one in so many.
const rare = 10_000

// lossyDirector is a listener that drops one in so many connections.
type lossyDirector struct {
	net.Listener
	n int64
}

func (d *lossyDirector) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if d.n++; err != nil || d.n%rare != 0 {
			return conn, err
		}
		if err := errors.Join(conn.(*net.TCPConn).SetLinger(0), conn.Close()); err != nil {
			return nil, err
		}
	}
}

// Faults as rare as one in 10,000 are found, and the same load finds none where none is planted.
func TestRunFindsRareFaults(t *testing.T) {
	// counted strikes once in so many calls.
	counted := func(every int64) func() bool {
		var n atomic.Int64
		return func() bool { return n.Add(1)%every == 0 }
	}
	tests := []struct {
		name   string
		plant  func(*site)
		direct bool // the director drops connections
		want   load.Kind
	}{
		{"none", func(*site) {}, false, ""},
		{"the director drops a connection", func(*site) {}, true, ""},
		{"the store loses a write", func(s *site) {
			strike := counted(rare)
			s.drops = func(v *siteSession) bool { return v.read.Count > 0 && strike() }
		}, false, load.Lost},
		{"the store returns a stale read", func(s *site) {
			strike := counted(rare)
			s.session = func(_ int64, v *siteSession) error {
				if v.read.Count > 1 && strike() { // what the visit before wrote has not come here yet
					v.read.Count--
					v.read.Payload = load.Payload(v.read.User, v.read.Count, len(v.read.Payload))
					v.forget = true
				}
				return nil
			}
		}, false, load.Lost},
		{"two users' sessions are mixed", func(s *site) {
			strike := counted(rare)
			s.session = func(_ int64, v *siteSession) error {
				if v.read.Count > 0 && strike() {
					v.id, v.read = s.another(v.id)
				}
				return nil
			}
		}, false, load.Foreign},
		{"a destroyed session comes back", func(s *site) {
			strike := counted(rare / 10) // logouts are a tenth of all, or fewer
			s.undead = func(int64) bool { return strike() }
		}, false, load.Resurrected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, server := siteOf("web1", "web2")
			tt.plant(s)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c := load.Config{URL: "http://" + l.Addr().String() + "/", Users: 40, Requests: 500, NoProbe: true, KeepAlive: !tt.direct}
			for name, value := range map[string]string{"visits": "4-10", "payload": "0-200"} {
				if err := c.Set(name, value); err != nil {
					t.Fatal(err)
				}
			}
			if tt.direct {
				l = &lossyDirector{Listener: l}
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			r, err := load.Run(t.Context(), c, nil)
			if err := errors.Join(err, server.Close()); err != nil {
				t.Fatal(err)
			}
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Fatal(err)
			}
			switch {
			case tt.direct:
				if r.Proven || r.ErrorsTotal != 2 || r.ViolationsTotal != 0 {
					t.Errorf("%v, %v", r.ErrorsByClass, r.Violations)
				}
			case tt.want == "":
				if !r.Proven || r.ErrorsTotal != 0 || r.Acknowledged != 20_000 {
					t.Errorf("%s: %v", r.Reason, r.Violations)
				}
			case r.Proven || r.ViolationsByKind[tt.want] == 0:
				t.Errorf("not found: %v", r.ViolationsByKind)
			}
		})
	}
}

// another returns a session that is not the one with this id.
func (s *site) another(id string) (string, counterpage.Visits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, v := range s.sessions {
		if other != id && v.Count > 0 {
			return other, v
		}
	}
	return id, s.sessions[id]
}
