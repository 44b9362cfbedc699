package scheduler

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawList draws servers with weights, connections and overload.
func drawList(t *rapid.T) list {
	var l list
	for i := range rapid.IntRange(0, 8).Draw(t, "servers") {
		l = append(l, server{
			name: string(rune('A' + i)), weight: rapid.IntRange(0, 5).Draw(t, "weight"), overloaded: rapid.IntRange(0, 4).Draw(t, "overloaded") == 0,
			active: rapid.IntRange(0, 8).Draw(t, "active"), inactive: rapid.IntRange(0, 600).Draw(t, "inactive"),
		})
	}
	return l
}

// best returns the first usable server that no other usable one is better than.
func best(l list, better func(a, b server) bool) int {
	for i, s := range l {
		if s.weight > 0 && !s.overloaded && !slices.ContainsFunc(l, func(o server) bool {
			return o.weight > 0 && !o.overloaded && better(o, s)
		}) {
			return i
		}
	}
	return None
}

// TestRules holds the schedulers that remember nothing against their definitions, written with fractions.
func TestRules(t *testing.T) {
	load := func(s server) float64 { return float64(s.active)*256 + float64(s.inactive) }
	perWeight := func(s server) float64 { return load(s) / float64(s.weight) }
	delay := func(s server) float64 { return float64(s.active+1) / float64(s.weight) }
	rules := map[string]func(list) int{
		"lc":  func(l list) int { return best(l, func(a, b server) bool { return load(a) < load(b) }) },
		"wlc": func(l list) int { return best(l, func(a, b server) bool { return perWeight(a) < perWeight(b) }) },
		"sed": func(l list) int { return best(l, func(a, b server) bool { return delay(a) < delay(b) }) },
		"nq": func(l list) int {
			if i := slices.IndexFunc(l, func(s server) bool { return s.weight > 0 && !s.overloaded && s.active == 0 }); i >= 0 {
				return i
			}
			return best(l, func(a, b server) bool { return delay(a) < delay(b) })
		},
		"fo": func(l list) int { return best(l, func(a, b server) bool { return a.weight > b.weight }) },
		"ovf": func(l list) int {
			open := slices.Clone(l)
			for i := range open {
				open[i].overloaded = open[i].overloaded || open[i].active > open[i].weight
			}
			return best(open, func(a, b server) bool { return a.weight > b.weight })
		},
	}
	for name, rule := range rules {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			l := drawList(t)
			s, _ := New(name)
			s.Init(l)
			if got, want := s.Next(l, Flow{}), rule(l); got != want {
				t.Fatalf("got %d, want %d of %+v", got, want, l)
			}
		}))
	}
}

// TestUsable: no scheduler ever picks a server of weight 0 or an overloaded one, and each picks some server if all can be
// used.
func TestUsable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(Names()).Draw(t, "scheduler")
		s, _ := NewWith(name, Flags{Fallback: rapid.Bool().Draw(t, "fallback"), Port: rapid.Bool().Draw(t, "port")})
		d := &director{Scheduler: s}
		s.Init(d.list)
		next := 'A'
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				d.add(string(next), rapid.IntRange(0, 5).Draw(t, "weight"))
				next++
			},
			"remove": func(t *rapid.T) {
				if len(d.list) > 0 {
					d.remove(rapid.SampledFrom(d.list).Draw(t, "server").name)
				}
			},
			"weight": func(t *rapid.T) {
				if len(d.list) > 0 {
					d.setWeight(rapid.SampledFrom(d.list).Draw(t, "server").name, rapid.IntRange(0, 5).Draw(t, "weight"))
				}
			},
			"conns": func(t *rapid.T) {
				for i := range d.list {
					d.list[i].active = rapid.IntRange(0, 8).Draw(t, "active")
					d.list[i].overloaded = rapid.IntRange(0, 4).Draw(t, "overloaded") == 0
				}
			},
			"": func(t *rapid.T) {
				all := len(d.list) > 0
				for _, s := range d.list {
					all = all && s.weight >= s.active && s.weight > 0 && !s.overloaded // active for ovf
				}
				for range 5 {
					i := d.Next(d.list, drawFlow(t))
					if i == None && all {
						t.Fatalf("%s picked none of %+v", name, d.list)
					}
					if i != None && (d.list[i].weight == 0 || d.list[i].overloaded) {
						t.Fatalf("%s picked %+v", name, d.list[i])
					}
				}
			},
		})
	})
}

func drawFlow(t *rapid.T) Flow {
	addr := func(label string) netip.AddrPort {
		a := netip.AddrFrom4([4]byte{10, 2, 0, byte(rapid.IntRange(0, 255).Draw(t, label))})
		return netip.AddrPortFrom(a, uint16(rapid.IntRange(1, 65535).Draw(t, label+" port")))
	}
	return Flow{Client: addr("client"), VIP: addr("vip")}
}

// clients returns who serves each of n clients.
func (d *director) clients(n int) []string {
	names := make([]string, n)
	for i := range names {
		client := netip.AddrFrom4([4]byte{10, 3, byte(i >> 8), byte(i)})
		names[i] = "-"
		if at := d.Next(d.list, Flow{Client: netip.AddrPortFrom(client, 4000)}); at != None {
			names[i] = d.list[at].name
		}
	}
	return names
}

// TestMaglevMovesFew: a client stays where it is when another server comes, goes or is quiesced.
func TestMaglevMovesFew(t *testing.T) {
	const n = 2000
	d := newDirector(t, "mh", 1, 1, 1, 1, 1, 1, 1, 1)
	before := d.clients(n)
	share := map[string]int{}
	for _, name := range before {
		share[name]++
	}
	for name, got := range share {
		if got < n/8*7/10 || got > n/8*13/10 {
			t.Errorf("%s has %d of %d clients", name, got, n)
		}
	}
	d.setWeight("C", 0)
	for i, name := range d.clients(n) {
		if want := before[i]; want == "C" && name != "-" || want != "C" && name != want {
			t.Fatalf("quiesced C: client %d went from %s to %s", i, want, name)
		}
	}
	d.setWeight("C", 1)
	d.remove("D")
	moved := 0
	for i, name := range d.clients(n) {
		if before[i] != "D" && name != before[i] {
			moved++
		}
	}
	if moved > n/10 {
		t.Errorf("%d of %d clients moved when another server was removed", moved, n)
	}
}

// TestFallbackFlag: with it a client whose server cannot be used has another one, always the same.
func TestFallbackFlag(t *testing.T) {
	for _, name := range []string{"sh", "mh"} {
		s, _ := NewWith(name, Flags{Fallback: true})
		d := &director{Scheduler: s}
		s.Init(d.list)
		for _, name := range []string{"A", "B", "C"} {
			d.add(name, 1)
		}
		before := d.clients(300)
		d.setWeight("B", 0)
		after := d.clients(300)
		for i := range before {
			if before[i] != "B" && after[i] != before[i] && name == "mh" || after[i] == "B" || after[i] == "-" {
				t.Fatalf("%s: client %d went from %s to %s", name, i, before[i], after[i])
			}
		}
		if again := d.clients(300); !slices.Equal(again, after) {
			t.Errorf("%s: clients do not keep their server", name)
		}
	}
}

// TestTwos: the draws decide on two servers, and their load between these.
func TestTwos(t *testing.T) {
	l := list{{name: "A", weight: 2, active: 3}, {name: "B", weight: 0}, {name: "C", weight: 3, active: 1}}
	tests := []struct {
		draws []int
		want  int
	}{
		{[]int{0, 0}, 0}, {[]int{2, 1}, 0}, {[]int{3, 5}, 2}, {[]int{0, 5}, 2}, {[]int{5, 0}, 2},
	}
	for _, tt := range tests {
		draws := tt.draws
		s := &twoChoices{draw: func(n int) int {
			if n != 6 {
				t.Errorf("drew of %d, want 6", n)
			}
			drawn := draws[0]
			draws = draws[1:]
			return drawn
		}}
		if got := s.Next(l, Flow{}); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.draws, got, tt.want)
		}
	}
}

// TestLocality: an address stays with its server until that is congested; lblcr then has two, and one again after a day.
func TestLocality(t *testing.T) {
	now := time.Unix(0, 0)
	vip := func(n byte) Flow {
		return Flow{VIP: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 80)}
	}
	for _, name := range []string{"lblc", "lblcr"} {
		t.Run(name, func(t *testing.T) {
			d := newDirector(t, name, 2, 2, 2)
			var l *locality
			switch s := d.Scheduler.(type) {
			case *localityLeastConnection:
				l = &s.locality
			case *localityReplicated:
				l = &s.locality
			}
			l.now = func() time.Time { return now }
			l.collected = now
			pick := func(f Flow, want int) {
				t.Helper()
				if got := d.Next(d.list, f); got != want {
					t.Fatalf("got %d, want %d", got, want)
				}
			}
			pick(vip(1), 0)
			d.list[0].active = 2
			pick(vip(1), 0)
			pick(vip(2), 1)
			d.list[0].active = 3 // more than its weight, and C has nothing to do
			d.list[1].active = 1
			pick(vip(1), 2)
			d.list[0].active = 0
			if name == "lblc" {
				pick(vip(1), 2)
			} else {
				pick(vip(1), 2) // both are idle; the one added last comes first
				d.list[2].active = 1
				pick(vip(1), 0)
				now = now.Add(setExpiration + time.Second)
				pick(vip(1), 0)
				if got := len(l.entries[vip(1).VIP.Addr()].set); got != 1 {
					t.Errorf("the set has %d servers after a day, want 1", got)
				}
			}
			d.add("X", 1)
			pick(vip(2), 2) // B has moved on in the list
			d.remove("B")
			pick(vip(2), 0) // X is the first idle one
		})
	}
}

// TestLocalityForgets: what was not used for a day is gone with every thirtieth look, and too many are gone sooner.
func TestLocalityForgets(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLocality()
	l.now = func() time.Time { return now }
	l.Init(nil)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range entriesKept {
		l.add(addr(i), 0, now)
	}
	now = now.Add(2 * fullAge)
	l.find(addr(0), now)
	for range fullEvery {
		now = now.Add(collectEvery)
		l.find(addr(0), now)
	}
	if len(l.entries) != 1 {
		t.Errorf("%d entries are left, want the one in use", len(l.entries))
	}
	for i := range 2 * entriesMost {
		l.add(addr(i), 0, now)
	}
	if len(l.entries) > entriesMost {
		t.Errorf("%d entries", len(l.entries))
	}
	for range 60 {
		now = now.Add(collectEvery)
		l.find(addr(0), now)
	}
	if len(l.entries) > entriesKept {
		t.Errorf("%d entries are left after an hour", len(l.entries))
	}
}

func TestParseFlags(t *testing.T) {
	for text, want := range map[string]Flags{
		"": {}, "sh-fallback": {Fallback: true}, "mh-port,mh-fallback": {Fallback: true, Port: true}, "flag-1,flag-2": {Fallback: true, Port: true}, "flag-3": {},
	} {
		if got, err := ParseFlags(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if _, err := ParseFlags("sh-fallback,nonsense"); err == nil {
		t.Error("nonsense was accepted")
	}
}
