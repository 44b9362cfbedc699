package service

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

func persistent(v config.Virtual, timeout time.Duration, netmask int) config.Virtual {
	v.Persistence = config.Persistence{Timeout: timeout, Netmask: netmask}
	return v
}

// TestPersistence: a client has the same server until it has been away for the time-out, and networks are one client.
func TestPersistence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := allUp(t, persistent(virtual("rr", 1, 1, 1), 300*time.Second, 24))
		one := s.Pick(client(1), nil)
		if s.Pick(client(2), nil) != one {
			t.Error("another client of the same network has another server")
		}
		two := s.Pick(client(256), nil)
		if two == one {
			t.Error("rr did not go on for another network")
		}
		for range 3 { // each connection begins the time-out anew
			time.Sleep(299 * time.Second)
			if s.Pick(client(1), nil) != one {
				t.Error("the client lost its server")
			}
		}
		if got := persistConns(s); got != 1 {
			t.Errorf("%d networks are remembered, want 1", got)
		}
		time.Sleep(300 * time.Second)
		if got := persistConns(s); got != 0 {
			t.Errorf("%d networks are remembered after the time-out", got)
		}
		if s.Pick(client(1), nil) == one {
			t.Error("the client kept its server for longer than the time-out")
		}
	})
}

func persistConns(s *Service) (n int64) {
	for _, server := range s.Snapshot().Servers {
		n += server.PersistConns
	}
	return n
}

// TestPersistenceHeld: while a client has connections it is remembered, in steps of a minute, as by the kernel.
func TestPersistenceHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := allUp(t, persistent(virtual("rr", 1, 1), 10*time.Second, 32))
		c := &Claim{Flow: client(1)}
		server, err := s.Take(c)
		if err != nil {
			t.Fatal(err)
		}
		var expires time.Duration
		for range 5 {
			time.Sleep(50 * time.Second)
			for conn := range s.Templates {
				expires = conn.Expires
				if conn.Client != netip.AddrPortFrom(client(1).Client.Addr(), 0) || conn.Server != server.Addr() {
					t.Errorf("listed as %+v", conn)
				}
			}
		}
		if expires != time.Minute { // 250 s: it expired at 10, 70, 130, 190 and 250
			t.Errorf("expires in %v", expires)
		}
		server.Canceled()
		s.Leave(c)
		time.Sleep(59 * time.Second)
		if s.Pick(client(1), nil) != server {
			t.Error("the client lost its server within a minute of its last connection")
		}
		time.Sleep(61 * time.Second)
		if got := persistConns(s); got != 0 {
			t.Errorf("%d are remembered", got)
		}
	})
}

// TestPersistenceLetsGo: a template never keeps a client at a server that takes no new connections, and the client stays
// with the new one.
func TestPersistenceLetsGo(t *testing.T) {
	base := persistent(virtual("rr", 1, 1, 1), 300*time.Second, 32)
	tests := map[string]func(s *Service, at *Server){
		"down": func(s *Service, at *Server) { s.SetState(at.addr, check.Down, "") },
		"quiescent": func(s *Service, at *Server) {
			s.SetHand(Hand{Servers: map[netip.AddrPort]HandServer{at.addr: {Settings: ServerSettings{Forward: config.Masq}}}})
		},
		"removed by hand": func(s *Service, at *Server) {
			s.SetHand(Hand{Servers: map[netip.AddrPort]HandServer{at.addr: {Removed: true}}})
		},
		"not configured": func(s *Service, at *Server) {
			v := base
			v.Reals = nil
			for _, r := range base.Reals {
				if r.Addr != at.addr {
					v.Reals = append(v.Reals, r)
				}
			}
			s.Update(v)
		},
		"overloaded": func(s *Service, at *Server) {
			s.SetHand(Hand{Servers: map[netip.AddrPort]HandServer{at.addr: {Settings: ServerSettings{Forward: config.Masq, Weight: 1, Upper: 1}}}})
			at.Opening()
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := allUp(t, base)
			at := s.Pick(client(1), nil)
			change(s, at)
			next := s.Pick(client(1), nil)
			if next == at || next == nil {
				t.Fatalf("picked %v", next)
			}
			if s.Pick(client(2), nil); s.Pick(client(1), nil) != next {
				t.Error("the client did not stay with its new server")
			}
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		s := allUp(t, base)
		at := s.Pick(client(1), nil)
		next := s.Pick(client(1), []*Server{at})
		if next == at || s.Pick(client(1), nil) != next {
			t.Errorf("picked %v and %v", at, next)
		}
	})
}

// TestPersistenceBound: the client that was away for longest is forgotten first.
func TestPersistenceBound(t *testing.T) {
	s := allUp(t, persistent(virtual("rr", 1, 1), 300*time.Second, 32))
	s.SetMaxTemplates(3)
	for n := range 3 {
		s.Pick(client(n), nil)
	}
	s.Pick(client(0), nil)
	s.Pick(client(3), nil)
	if len(s.templates.clients) != 3 || s.templates.clients[client(1).Client.Addr()] != nil {
		t.Errorf("remembered: %v", s.templates.clients)
	}
	if got := persistConns(s); got != 3 {
		t.Errorf("%d are counted", got)
	}
}

// remembered is a template as a plain model has it.
type remembered struct {
	server  netip.AddrPort
	timeout time.Duration
	expires time.Time
	held    int
}

// TestPersistenceModel compares with a map without lists, orders or bounds.
func TestPersistenceModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		timeout := 30 * time.Second
		s, err := New(persistent(virtual("rr", 1, 1, 1), timeout, 32))
		if err != nil {
			t.Fatal(err)
		}
		s.clock = func() time.Time { return now }
		for n := 1; n <= 3; n++ {
			s.SetState(addr(n), check.Up, "")
		}
		model := map[int]*remembered{}
		claims := map[int][]*Claim{}
		lookup := func(n int) *remembered {
			m := model[n]
			if m == nil || now.Before(m.expires) {
				return m
			}
			if m.held == 0 {
				delete(model, n)
				return nil
			}
			m.timeout = time.Minute
			for !now.Before(m.expires) {
				m.expires = m.expires.Add(time.Minute)
			}
			return m
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				n := rapid.IntRange(0, 5).Draw(t, "client")
				c := &Claim{Flow: client(n)}
				server, err := s.Take(c)
				if err != nil {
					t.Fatal(err)
				}
				m := lookup(n)
				if m == nil {
					m = &remembered{server: server.Addr(), timeout: timeout}
					model[n] = m
				}
				m.expires = now.Add(m.timeout)
				if m.timeout != time.Minute {
					m.timeout = timeout
					m.expires = now.Add(timeout)
				}
				m.held++
				claims[n] = append(claims[n], c)
				if server.Addr() != m.server {
					t.Fatalf("client %d got %v, want %v", n, server, m.server)
				}
			},
			"end": func(t *rapid.T) {
				n := rapid.IntRange(0, 5).Draw(t, "client")
				if len(claims[n]) == 0 {
					t.Skip()
				}
				s.Leave(claims[n][0])
				claims[n] = claims[n][1:]
				lookup(n).held--
			},
			"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 70).Draw(t, "seconds")) * time.Second) },
			"another": func(*rapid.T) {
				timeout = 75*time.Second - timeout
				s.Update(persistent(virtual("rr", 1, 1, 1), timeout, 32))
			},
			"": func(t *rapid.T) {
				for n := range 6 {
					lookup(n)
				}
				if got := persistConns(s); got != int64(len(model)) {
					t.Fatalf("%d clients are remembered, want %d", got, len(model))
				}
			},
		})
	})
}

func BenchmarkPickPersistent(b *testing.B) {
	s := allUp(b, persistent(virtual("wrr", 4, 3, 2, 1, 5, 8, 1, 1), time.Minute, 32))
	flows := make([]scheduler.Flow, 10_000)
	for i := range flows {
		flows[i] = client(i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			s.Pick(flows[i%len(flows)], nil)
		}
	})
}
