package service

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// TestWatch: who reads the table each time that it is told of a change always has it as it is, and is not told of what is
// none.
func TestWatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := virtual("wrr", 1, 2, 3)
		v.Fallback, v.Quiescent = fallback, rapid.Bool().Draw(t, "quiescent")
		s, err := New(v)
		if err != nil {
			t.Fatal(err)
		}
		plan := func() Snapshot {
			now := s.Snapshot()
			for i := range now.Servers {
				now.Servers[i].State, now.Servers[i].Reason = check.Unknown, "" // of no matter to a pick
			}
			now.Out = nil
			return now
		}
		told := 0
		copied := plan()
		s.Watch(func() { told++; copied = plan() })
		server := func(t *rapid.T) netip.AddrPort { return addr(rapid.IntRange(1, 3).Draw(t, "server")) }
		t.Repeat(map[string]func(*rapid.T){
			"up":   func(t *rapid.T) { s.SetState(server(t), check.Up, "ok") },
			"down": func(t *rapid.T) { s.SetState(server(t), check.Down, "gone") },
			"hold": func(t *rapid.T) {
				s.SetHeld(server(t), rapid.SampledFrom([]string{"", "maintenance"}).Draw(t, "reason"))
			},
			"weight": func(t *rapid.T) {
				h := Hand{Servers: map[netip.AddrPort]HandServer{
					server(t): {Settings: ServerSettings{Forward: config.Masq, Weight: rapid.IntRange(0, 4).Draw(t, "weight"), Upper: rapid.IntRange(0, 2).Draw(t, "upper")}},
				}}
				if _, err := s.SetHand(h); err != nil {
					t.Fatal(err)
				}
			},
			"remove": func(t *rapid.T) {
				if _, err := s.SetHand(Hand{Servers: map[netip.AddrPort]HandServer{server(t): {Removed: true}}}); err != nil {
					t.Fatal(err)
				}
			},
			"scheduler": func(t *rapid.T) {
				v.Scheduler = rapid.SampledFrom([]string{"rr", "wrr", "mh"}).Draw(t, "scheduler")
				if _, err := s.Update(v); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if now := plan(); !reflect.DeepEqual(copied, now) {
					t.Fatalf("the copy is %+v, the table %+v", copied, now)
				}
			},
		})
		before := told
		for n := 1; n <= 3; n++ {
			s.SetState(addr(n), s.State(addr(n)), "the same again")
		}
		if told != before {
			t.Fatal("told of a change that was none")
		}
	})
}

// TestSetCounts: what a dataplane counts adds up, also over its own restart, a zero, and the removal of a server.
func TestSetCounts(t *testing.T) {
	s := mustNew(t, virtual("rr", 1, 1))
	for n := 1; n <= 2; n++ {
		s.SetState(addr(n), check.Up, "ok")
	}
	traffic := func(n uint64) Traffic {
		return Traffic{InPackets: n, OutPackets: 2 * n, InBytes: 3 * n, OutBytes: 4 * n}
	}
	s.SetCounts(addr(1), Counts{Active: 3, Inactive: 2, Persistent: 1, Conns: 10, Traffic: traffic(100)})
	s.SetCounts(addr(2), Counts{Active: 1, Conns: 1, Traffic: traffic(1)})
	s.SetCounts(addr(9), Counts{Active: 7, Conns: 7})
	expect := func(conns uint64, t1 Traffic, active, inactive int64) {
		t.Helper()
		now := s.Snapshot()
		servers := append(now.Servers, now.Leaving...)
		server := servers[slices.IndexFunc(servers, func(server ServerSnapshot) bool { return server.Addr == addr(1) })]
		if now.Conns != conns || now.Traffic != t1 || server.ActiveConns != active || server.InactConns != inactive {
			t.Errorf("got %d, %+v, and %+v", now.Conns, now.Traffic, server)
		}
	}
	expect(11, traffic(101), 3, 2)
	s.SetCounts(addr(1), Counts{Active: 0, Inactive: 1, Conns: 12, Traffic: traffic(150)})
	expect(13, traffic(151), 0, 1)
	s.SetCounts(addr(1), Counts{Active: 5, Conns: 5, Traffic: traffic(5)}) // began anew
	expect(18, traffic(156), 5, 0)
	s.Zero()
	s.SetCounts(addr(1), Counts{Active: 5, Conns: 6, Traffic: traffic(6)})
	expect(1, traffic(1), 5, 0)
	if _, err := s.Update(virtual("rr", 0, 1)); err != nil {
		t.Fatal(err)
	}
	v := virtual("rr", 0, 1)
	v.Reals = v.Reals[1:]
	if _, err := s.Update(v); err != nil {
		t.Fatal(err)
	}
	s.SetCounts(addr(1), Counts{Active: 2, Conns: 6, Traffic: traffic(6)})
	expect(1, traffic(1), 2, 0)
	s.Retire()
	if s.Gone() {
		t.Error("gone with connections")
	}
}
