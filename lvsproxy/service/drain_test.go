package service

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// TestDrain: a server that gets no new connections is overdue after the drain time-out, however often the file is read
// again meanwhile, and only for as long as it has connections.
func TestDrain(t *testing.T) {
	draining := func(weights ...int) config.Virtual {
		v := virtual("rr", weights...)
		v.Own.DrainTimeout = time.Minute
		return v
	}
	stops := map[string]func(s *Service){
		"weight 0":        func(s *Service) { s.Update(draining(0, 1)) },
		"not configured":  func(s *Service) { v := draining(1, 1); v.Reals = v.Reals[1:]; s.Update(v) },
		"down":            func(s *Service) { s.SetState(addr(1), check.Down, "") },
		"removed by hand": func(s *Service) { s.SetHand(Hand{Servers: map[netip.AddrPort]HandServer{addr(1): {Removed: true}}}) },
		"whole service":   (*Service).Retire,
	}
	for name, stop := range stops {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := allUp(t, draining(1, 1))
				server := s.servers[addr(1)]
				server.Opening()
				server.Established()
				time.Sleep(time.Hour)
				if len(s.Overdue()) != 0 {
					t.Error("a server that takes connections is overdue")
				}
				stop(s)
				began := time.Now()
				for range 59 {
					time.Sleep(time.Second)
					if _, err := s.Update(s.configured); err != nil {
						t.Fatal(err)
					}
					if len(s.Overdue()) != 0 {
						t.Fatalf("overdue after %v", time.Since(began))
					}
				}
				time.Sleep(time.Second)
				if got := s.Overdue(); len(got) != 1 || got[0] != server {
					t.Errorf("overdue: %v", got)
				}
				server.Closed(false)
				if len(s.Overdue()) != 0 {
					t.Error("a server without connections is overdue")
				}
				time.Sleep(lingering)
				if s.Overdue(); len(s.leaving) != 0 {
					t.Error("a server without connections is still in mind")
				}
			})
		})
	}
}

// TestComeBack: a server that is configured again while it has connections is the same server, and its connections are
// safe.
func TestComeBack(t *testing.T) {
	v := virtual("rr", 1, 1)
	v.Own.DrainTimeout = time.Nanosecond
	s := allUp(t, v)
	server := s.servers[addr(1)]
	server.Opening()
	server.Established()
	without := v
	without.Reals = v.Reals[1:]
	s.Update(without)
	if snapshot := s.Snapshot(); len(snapshot.Leaving) != 1 || snapshot.Leaving[0].ActiveConns != 1 || snapshot.Leaving[0].DrainEnds.IsZero() {
		t.Errorf("leaving: %+v", snapshot.Leaving)
	}
	s.Update(v)
	s.SetState(addr(1), check.Up, "")
	if s.servers[addr(1)] != server || len(s.Overdue()) != 0 || len(s.Snapshot().Leaving) != 0 {
		t.Error("the server did not come back")
	}
}

// TestSlowStart: a server that comes up gets its weight in tenths, but not at the start of the director.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := virtual("wrr", 50, 5, 1)
		v.Own.SlowStart = 10 * time.Second
		s := mustNew(t, v)
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := table(s); got != want {
				t.Errorf("the table is %s, want %s", got, want)
			}
		}
		for n := 1; n <= 3; n++ {
			s.SetState(addr(n), check.Up, "")
		}
		expect("3=1 2=5 1=50")
		for n := 1; n <= 3; n++ {
			s.SetState(addr(n), check.Down, "")
		}
		events := s.SetState(addr(1), check.Up, "")
		if e := events[0]; e.OldWeight != 0 || e.Weight != 5 {
			t.Errorf("the event says %d to %d", e.OldWeight, e.Weight)
		}
		for n := 2; n <= 3; n++ {
			s.SetState(addr(n), check.Up, "")
		}
		expect("3=1 2=1 1=5")
		time.Sleep(2 * time.Second)
		expect("3=1 2=1 1=10")
		time.Sleep(3 * time.Second)
		expect("3=1 2=2 1=25")
		s.SetState(addr(1), check.Down, "")
		expect("3=1 2=2")
		time.Sleep(5 * time.Second)
		expect("3=1 2=5")
		s.SetState(addr(1), check.Up, "")
		expect("1=5 3=1 2=5")
		v.Own.SlowStart = 0
		if _, err := s.Update(v); err != nil {
			t.Fatal(err)
		}
		expect("1=50 3=1 2=5")
		time.Sleep(time.Minute)
		expect("1=50 3=1 2=5")
	})
}
