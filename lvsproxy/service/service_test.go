package service

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

var vip = config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("10.0.0.1:80")}

// addr is the address of server n.
func addr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(n)}), 80)
}

var fallback = config.Fallback{Addr: addr(99), Forward: config.Masq}

// virtual is a Spec with servers of these weights, numbered from 1.
func virtual(scheduler string, weights ...int) config.Virtual {
	v := config.Virtual{ID: vip, Scheduler: scheduler}
	for i, w := range weights {
		v.Reals = append(v.Reals, config.Real{Addr: addr(i + 1), Forward: config.Masq, Weight: w})
	}
	return v
}

func mustNew(t testing.TB, v config.Virtual) *Service {
	t.Helper()
	s, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// table writes the table as "2=1 1=0", head first, with f for the fallback.
func table(s *Service) string {
	var b []string
	for _, server := range s.Snapshot().Servers {
		name := fmt.Sprint(server.Addr.Addr().As4()[3])
		if server.Fallback {
			name = "f"
		}
		b = append(b, fmt.Sprintf("%s=%d", name, server.Weight))
	}
	return strings.Join(b, " ")
}

func kinds(events []Event) string {
	var b []string
	for _, e := range events {
		b = append(b, string(e.Kind))
	}
	return strings.Join(b, ", ")
}

func settled(s *Service) bool {
	select {
	case <-s.Settled():
		return true
	default:
		return false
	}
}

// TestTransitions walks a service through results of its checks and new Specs.
func TestTransitions(t *testing.T) {
	up := func(n int) func(*Service) []Event {
		return func(s *Service) []Event { return s.SetState(addr(n), check.Up, "ok") }
	}
	down := func(n int) func(*Service) []Event {
		return func(s *Service) []Event { return s.SetState(addr(n), check.Down, "refused") }
	}
	update := func(v config.Virtual) func(*Service) []Event {
		return func(s *Service) []Event {
			events, err := s.Update(v)
			if err != nil {
				t.Error(err)
			}
			return events
		}
	}
	with := func(v config.Virtual, change func(*config.Virtual)) config.Virtual {
		change(&v)
		return v
	}
	quiescent := func(v *config.Virtual) { v.Quiescent = true }
	backed := func(v *config.Virtual) { v.Fallback = fallback }
	type step struct {
		do      func(*Service) []Event
		table   string
		events  string
		settled bool
	}
	tests := []struct {
		name  string
		spec  config.Virtual
		table string // after New
		steps []step
	}{
		{"removed and put back", virtual("rr", 1, 2, 3), "", []step{
			{up(2), "2=2", "server up", true},
			{up(1), "2=2 1=1", "server up", true}, // where the file's order would have put it
			{up(1), "2=2 1=1", "", true},
			{up(3), "3=3 2=2 1=1", "server up", true},
			{down(1), "3=3 2=2", "server down", true},
			{up(1), "1=1 3=3 2=2", "server up", true}, // from now on to the head, as in IPVS
		}},
		{"quiescent", with(virtual("rr", 1, 2), quiescent), "2=0 1=0", []step{
			{up(1), "2=0 1=1", "server up", true},
			{down(2), "2=0 1=1", "server down", true},
			{up(2), "2=2 1=1", "server up", true},
			{down(1), "2=2 1=0", "server down", true},
		}},
		{"fallback", with(virtual("rr", 1, 2), backed), "f=1", []step{
			{down(1), "f=1", "server down", false},
			{down(2), "f=1", "server down", true},
			{up(2), "2=2", "server up, fallback off", true},
			{up(1), "1=1 2=2", "server up", true},
			{down(2), "1=1", "server down", true},
			{down(1), "f=1", "server down, fallback on", true},
		}},
		{"fallback beside quiescent servers", with(with(virtual("rr", 1), backed), quiescent), "1=0 f=1", []step{
			{up(1), "1=1", "server up, fallback off", true},
			{down(1), "f=1 1=0", "server down, fallback on", true},
		}},
		{"a live server of weight 0 keeps the fallback away", with(virtual("rr", 0), backed), "f=1", []step{
			{up(1), "1=0", "server up, fallback off", true},
		}},
		{"no servers at all", with(virtual("rr"), backed), "f=1", nil},
		{"results that do not concern it", virtual("rr", 1), "", []step{
			{up(7), "", "", false},
			{func(s *Service) []Event { return s.SetState(addr(1), check.Unknown, "") }, "", "", false},
		}},
		{"a new Spec", virtual("rr", 1, 2), "", []step{
			{up(1), "1=1", "server up", true}, {up(2), "2=2 1=1", "server up", true},
			{update(virtual("rr", 1, 2)), "2=2 1=1", "", true},
			{update(virtual("rr", 5, 2)), "2=2 1=5", "server changed", true},
			{update(virtual("wrr", 5, 2, 3)), "2=2 1=5", "server added", true},
			{up(3), "3=3 2=2 1=5", "server up", true},
			{update(virtual("wrr", 5)), "1=5", "server removed, server removed", true},
			{down(1), "", "server down", true},
			{update(with(virtual("wrr", 5, 6), quiescent)), "2=0 1=0", "server added", true}, // as ldirectord does after a reload
			{update(virtual("wrr", 5, 6)), "", "", true},
			{update(with(virtual("wrr", 5, 6), backed)), "f=1", "fallback on", true},
			{update(virtual("wrr", 5, 6)), "", "", true},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := mustNew(t, tt.spec)
			if got := table(s); got != tt.table {
				t.Fatalf("at first: the table is %q, want %q", got, tt.table)
			}
			if got := settled(s); got != (len(tt.spec.Reals) == 0) {
				t.Errorf("at first: settled is %v", got)
			}
			for i, step := range tt.steps {
				events := step.do(s)
				if got := table(s); got != step.table {
					t.Errorf("step %d: the table is %q, want %q", i, got, step.table)
				}
				if got := kinds(events); got != step.events {
					t.Errorf("step %d: events %q, want %q", i, got, step.events)
				}
				if got := settled(s); got != step.settled {
					t.Errorf("step %d: settled is %v", i, got)
				}
			}
		})
	}
}

func TestPick(t *testing.T) {
	s := mustNew(t, config.Virtual{ID: vip, Scheduler: "rr", Reals: virtual("rr", 1, 1, 1).Reals, Fallback: fallback})
	for n := 1; n <= 3; n++ {
		s.SetState(addr(n), check.Up, "")
	}
	var tried []*Server
	var order []string
	for {
		server := s.Pick(scheduler.Flow{}, tried)
		if server == nil {
			break
		}
		if slices.Contains(tried, server) {
			t.Fatalf("%v was picked again", server.Addr())
		}
		tried = append(tried, server)
		order = append(order, fmt.Sprint(server.Addr().Addr().As4()[3]))
	}
	if got := strings.Join(order, " "); got != "3 2 1 99" {
		t.Errorf("tried %s, want each real server once, then the fallback", got)
	}
	if !tried[3].IsFallback() || tried[0].IsFallback() {
		t.Error("IsFallback is wrong")
	}
	if s.Pick(scheduler.Flow{}, nil) == nil {
		t.Error("nobody is picked for the next connection")
	}
}

func TestUpdateRefuses(t *testing.T) {
	s := mustNew(t, virtual("rr", 1))
	other := virtual("rr", 1)
	other.ID.Addr = addr(1)
	if _, err := s.Update(other); err == nil {
		t.Error("another identity was accepted")
	}
	if _, err := s.Update(virtual("none", 5)); err == nil {
		t.Error("an unknown scheduler was accepted")
	}
	if got := s.Snapshot(); got.Scheduler != "rr" || len(got.Out) != 1 {
		t.Errorf("a refused Spec changed the service: %+v", got)
	}
	if _, err := New(virtual("none", 5)); err == nil {
		t.Error("New accepted an unknown scheduler")
	}
}

// TestInvariants: whatever the checks and the files say, the table is what both together ask for.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawSpec := func(t *rapid.T) config.Virtual {
			v := config.Virtual{ID: vip, Scheduler: rapid.SampledFrom([]string{"rr", "wrr"}).Draw(t, "scheduler"), Quiescent: rapid.Bool().Draw(t, "quiescent")}
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 6), 0, 6, rapid.ID[int]).Draw(t, "servers") {
				v.Reals = append(v.Reals, config.Real{Addr: addr(n), Forward: config.Masq, Weight: rapid.IntRange(0, 3).Draw(t, "weight")})
			}
			if rapid.Bool().Draw(t, "fallback") {
				v.Fallback = fallback
			}
			return v
		}
		spec := drawSpec(t)
		s, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		states := map[netip.AddrPort]check.State{}
		t.Repeat(map[string]func(*rapid.T){
			"result": func(t *rapid.T) {
				a, state := addr(rapid.IntRange(1, 6).Draw(t, "server")), rapid.SampledFrom([]check.State{check.Up, check.Down}).Draw(t, "state")
				s.SetState(a, state, "")
				if slices.ContainsFunc(spec.Reals, func(r config.Real) bool { return r.Addr == a }) {
					states[a] = state
				}
			},
			"reload": func(t *rapid.T) {
				spec = drawSpec(t)
				if _, err := s.Update(spec); err != nil {
					t.Fatal(err)
				}
				for a := range states {
					if !slices.ContainsFunc(spec.Reals, func(r config.Real) bool { return r.Addr == a }) {
						delete(states, a)
					}
				}
			},
			"": func(t *rapid.T) { checkTable(t, s, spec, states) },
		})
	})
}

func checkTable(t *rapid.T, s *Service, spec config.Virtual, states map[netip.AddrPort]check.State) {
	want, alive, usable := map[netip.AddrPort]int{}, false, false
	for _, r := range spec.Reals {
		switch {
		case states[r.Addr] == check.Up:
			want[r.Addr] = r.Weight
			alive, usable = true, usable || r.Weight > 0
		case spec.Quiescent:
			want[r.Addr] = 0
		}
	}
	if !alive && !spec.Fallback.IsZero() {
		want[spec.Fallback.Addr], usable = 1, true
	}
	got := map[netip.AddrPort]int{}
	for _, server := range s.Snapshot().Servers {
		got[server.Addr] = server.Weight
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("the table is %v, want %v", got, want)
	}
	for range 8 {
		server := s.Pick(scheduler.Flow{}, nil)
		if (server != nil) != usable {
			t.Fatalf("picked %v; there is someone to pick: %v", server, usable)
		}
		if server != nil && want[server.Addr()] == 0 {
			t.Fatalf("picked %v of weight 0", server.Addr())
		}
	}
}

// BenchmarkPick is with 100 servers of mixed weights and connections, which is more than most have.
func BenchmarkPick(b *testing.B) {
	for _, name := range scheduler.Names() {
		weights := make([]int, 100)
		for i := range weights {
			weights[i] = 1 + i%7
		}
		s := allUp(b, virtual(name, weights...))
		for i, server := range s.inOrder {
			server.active.Store(int64(i % 5))
			server.inactive.Store(int64(i % 3))
		}
		flow := client(1)
		run := func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					s.Pick(flow, nil)
				}
			})
		}
		b.Run(name+"/one", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Pick(flow, nil)
			}
		})
		b.Run(name+"/all", run)
	}
}

// BenchmarkStart is 1,000 services of 100 servers each, from nothing until all servers are known to be up.
func BenchmarkStart(b *testing.B) {
	weights := make([]int, 100)
	for i := range weights {
		weights[i] = 1 + i%7
	}
	for _, name := range []string{"wrr", "mh"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for range 1000 {
					allUp(b, virtual(name, weights...))
				}
			}
		})
	}
}

// TestHeld: a held server counts as down, and what its checks said meanwhile counts when it is released.
func TestHeld(t *testing.T) {
	for _, quiescent := range []bool{false, true} {
		v := virtual("rr", 1, 1)
		v.Quiescent = quiescent
		s := mustNew(t, v)
		a, b := v.Reals[0].Addr, v.Reals[1].Addr
		s.SetState(a, check.Up, "ok")
		s.SetHeld(b, "maintenance") // known without a check, so the start is over
		select {
		case <-s.Settled():
		default:
			t.Error("not settled")
		}
		if events := s.SetState(b, check.Up, "ok"); events != nil {
			t.Errorf("events %v of a held server", events)
		}
		if got := s.Pick(scheduler.Flow{}, nil); got == nil || got.Addr() != a {
			t.Errorf("picked %v, want %v", got, a)
		}
		if events := s.SetHeld(b, ""); len(events) != 1 || events[0].Kind != ServerUp {
			t.Errorf("released: %v", events)
		}
		if events := s.SetHeld(b, ""); events != nil {
			t.Errorf("released twice: %v", events)
		}
		if events := s.SetHeld(a, "maintenance"); len(events) != 1 || events[0].Kind != ServerDown || events[0].Reason != "maintenance" {
			t.Errorf("held: %v", events)
		}
		s.SetState(a, check.Down, "refused")
		if events := s.SetHeld(a, ""); len(events) != 0 {
			t.Errorf("released while down: %v", events)
		}
		if got := s.Pick(scheduler.Flow{}, nil); got == nil || got.Addr() != b {
			t.Errorf("picked %v, want %v", got, b)
		}
	}
}
