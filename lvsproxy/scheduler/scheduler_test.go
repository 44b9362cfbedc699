package scheduler

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// server is a destination of these tests; list holds them in IPVS's order.
type server struct {
	name       string
	weight     int
	overloaded bool

	active, inactive int
}

type list []server

func (l list) Len() int               { return len(l) }
func (l list) Weight(i int) int       { return l[i].weight }
func (l list) Overloaded(i int) bool  { return l[i].overloaded }
func (l list) Conns(i int) (int, int) { return l[i].active, l[i].inactive }
func (l list) Loads(to []Load) []Load {
	for _, s := range l {
		load := Load{Weight: s.weight, Active: s.active, Inactive: s.inactive}
		if s.overloaded {
			load.Weight = 0
		}
		to = append(to, load)
	}
	return to
}
func (l list) Addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 0, l[i].name[0]}), 80)
}

// director is a list and the scheduler that is told of its changes, as IPVS has them.
type director struct {
	list
	Scheduler
}

func newDirector(t testing.TB, scheduler string, weights ...int) *director {
	t.Helper()
	s, err := New(scheduler)
	if err != nil {
		t.Fatal(err)
	}
	d := &director{Scheduler: s}
	for i, w := range weights {
		d.list = append(d.list, server{name: string(rune('A' + i)), weight: w})
	}
	s.Init(d.list)
	return d
}

func (d *director) add(name string, weight int) { // IPVS adds at the head
	d.list = slices.Insert(d.list, 0, server{name: name, weight: weight})
	d.Added(d.list, 0)
}

func (d *director) remove(name string) {
	i := d.index(name)
	d.list = slices.Delete(d.list, i, i+1)
	d.Removed(d.list, i)
}

func (d *director) setWeight(name string, weight int) {
	i := d.index(name)
	d.list[i].weight = weight
	d.Updated(d.list, i)
}

func (d *director) index(name string) int {
	return slices.IndexFunc(d.list, func(s server) bool { return s.name == name })
}

// picks returns the names of the next n picks, "-" for none.
func (d *director) picks(n int) string {
	var b strings.Builder
	for range n {
		if i := d.Next(d.list, Flow{}); i == None {
			b.WriteByte('-')
		} else {
			b.WriteString(d.list[i].name)
		}
	}
	return b.String()
}

func TestSequences(t *testing.T) {
	tests := []struct {
		scheduler string
		weights   []int // of A, B, C … in list order
		want      string
	}{
		{"rr", nil, "---"},
		{"rr", []int{1}, "AAAA"},
		{"rr", []int{1, 1}, "ABABAB"},
		{"rr", []int{1, 1, 1}, "ABCABCA"},
		{"rr", []int{3, 1, 7}, "ABCABCA"}, // rr knows only 0 and not 0
		{"rr", []int{0, 1, 1}, "BCBCBC"},
		{"rr", []int{1, 0, 1}, "ACACAC"},
		{"rr", []int{1, 1, 0}, "ABABAB"},
		{"rr", []int{0, 0}, "---"},

		{"wrr", nil, "---"},
		{"wrr", []int{1}, "AAAA"},
		{"wrr", []int{5}, "AAAA"},
		{"wrr", []int{1, 1}, "ABABAB"},
		{"wrr", []int{1, 1, 1}, "ABCABC"},
		{"wrr", []int{4, 3, 2}, "AABABCABCAABABCABC"}, // the example of the LVS documentation
		{"wrr", []int{2, 3, 4}, "CBCABCABCCBCABCABC"},
		{"wrr", []int{3, 1}, "AAABAAAB"},
		{"wrr", []int{1, 3}, "BBABBBAB"},
		{"wrr", []int{4, 2}, "AABAAB"}, // divisor 2
		{"wrr", []int{10, 10}, "ABABAB"},
		{"wrr", []int{6, 4, 2}, "AABABCAABABC"},
		{"wrr", []int{5, 0, 1}, "AAAAACAAAAAC"},
		{"wrr", []int{0, 2, 0, 1}, "BBDBBD"},
		{"wrr", []int{0, 0}, "---"},
		{"wrr", []int{0}, "-"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.scheduler, tt.weights), func(t *testing.T) {
			d := newDirector(t, tt.scheduler, tt.weights...)
			if got := d.picks(len(tt.want)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestTransitions walks through changes between picks. The expected picks follow from the kernel's del_dest of rr and
// from dest_changed of wrr.
func TestTransitions(t *testing.T) {
	type change func(*director)
	add := func(name string, w int) change { return func(d *director) { d.add(name, w) } }
	remove := func(name string) change { return func(d *director) { d.remove(name) } }
	set := func(name string, w int) change { return func(d *director) { d.setWeight(name, w) } }
	type stage struct {
		change change
		want   string
	}
	tests := []struct {
		name      string
		scheduler string
		weights   []int
		stages    []stage
	}{
		{"rr goes on after a server is added at the head", "rr", []int{1, 1}, []stage{
			{nil, "A"}, {add("X", 1), "BXAB"},
		}},
		{"rr goes on after the picked server is removed", "rr", []int{1, 1, 1}, []stage{
			{nil, "AB"}, {remove("B"), "CAC"},
		}},
		{"rr: the picked first server is removed", "rr", []int{1, 1, 1}, []stage{
			{nil, "A"}, {remove("A"), "BCB"},
		}},
		{"rr: another server is removed", "rr", []int{1, 1, 1}, []stage{
			{nil, "ABC"}, {remove("A"), "BCB"}, {remove("C"), "BB"}, {remove("B"), "--"}, {add("X", 1), "XX"},
		}},
		{"rr: weight to 0 and back", "rr", []int{1, 1, 1}, []stage{
			{nil, "A"}, {set("B", 0), "CAC"}, {set("B", 1), "ABC"},
		}},
		{"wrr begins anew at the head after a server is added", "wrr", []int{1, 1}, []stage{
			{nil, "A"}, {add("X", 1), "XABXAB"},
		}},
		{"wrr begins anew at the head after a removal", "wrr", []int{1, 1, 1}, []stage{
			{nil, "AB"}, {remove("C"), "ABAB"},
		}},
		// After AA the walk requires 4; the highest becomes 6, and the walk goes on with 4 at the head.
		{"wrr keeps the required weight when the highest grows", "wrr", []int{5, 3}, []stage{
			{nil, "AA"}, {set("B", 6), "ABABABABBABABABABABB"},
		}},
		{"wrr lowers the required weight to the highest", "wrr", []int{5, 1}, []stage{
			{nil, "A"}, {set("A", 2), "AABAAB"},
		}},
		// Required was 3 of 4; with step 2 it is rounded to 3 = 3/2*2+1, the first of the walks 3, 1.
		{"wrr aligns the required weight with the step", "wrr", []int{4, 3}, []stage{
			{nil, "AAB"}, {set("B", 2), "AABAAB"},
		}},
		{"wrr: all weights 0, then one comes back", "wrr", []int{2, 1}, []stage{
			{nil, "A"}, {set("A", 0), "BB"}, {set("B", 0), "--"}, {set("A", 2), "AA"}, {set("B", 1), "ABAABAAB"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDirector(t, tt.scheduler, tt.weights...)
			for i, s := range tt.stages {
				if s.change != nil {
					s.change(d)
				}
				if got := d.picks(len(s.want)); got != s.want {
					t.Fatalf("stage %d: got %s, want %s", i, got, s.want)
				}
			}
		})
	}
}

// documented is the weighted round-robin of the LVS documentation, as an oracle that shares nothing with the code here:
// i goes round the list; whenever it passes the start, the current weight falls by the divisor.
func documented(weights []int, n int) string {
	divisor, most := 0, 0
	for _, w := range weights {
		for d := w; ; d-- {
			if d == 0 || (w%d == 0 && divisor%d == 0) {
				if d > 0 {
					divisor = d
				}
				break
			}
		}
		most = max(most, w)
	}
	var b strings.Builder
	i, current := -1, 0
	for b.Len() < n {
		i = (i + 1) % len(weights)
		if i == 0 {
			if current -= divisor; current <= 0 {
				current = most
			}
		}
		if weights[i] >= current {
			b.WriteByte(byte('A' + i))
		}
	}
	return b.String()
}

func TestWRRIsTheDocumentedSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 8).Draw(t, "weights")
		if slices.Max(weights) == 0 {
			weights[0] = 1
		}
		n := 3 * sum(weights)
		s, _ := New("wrr")
		d := &director{Scheduler: s}
		for i, w := range weights {
			d.list = append(d.list, server{name: string(rune('A' + i)), weight: w})
		}
		s.Init(d.list)
		if got, want := d.picks(n), documented(weights, n); got != want {
			t.Fatalf("weights %v:\ngot  %s\nwant %s", weights, got, want)
		}
	})
}

// TestShares: whatever happened to the list before, over one cycle each server gets exactly its share.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"rr", "wrr"}).Draw(t, "scheduler")
		s, _ := New(name)
		d := &director{Scheduler: s}
		s.Init(d.list)
		next := 'A'
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				d.add(string(next), rapid.IntRange(0, 12).Draw(t, "weight"))
				next++
			},
			"remove": func(t *rapid.T) {
				if len(d.list) > 0 {
					d.remove(rapid.SampledFrom(d.list).Draw(t, "server").name)
				}
			},
			"weight": func(t *rapid.T) {
				if len(d.list) > 0 {
					d.setWeight(rapid.SampledFrom(d.list).Draw(t, "server").name, rapid.IntRange(0, 12).Draw(t, "weight"))
				}
			},
			"overload": func(t *rapid.T) { // must neither be picked nor stop the scheduler
				if len(d.list) == 0 {
					return
				}
				i := rapid.IntRange(0, len(d.list)-1).Draw(t, "server")
				d.list[i].overloaded = true
				for range 20 {
					if d.Next(d.list, Flow{}) == i {
						t.Fatalf("picked the overloaded server %s", d.list[i].name)
					}
				}
				d.list[i].overloaded = false
			},
			"": func(t *rapid.T) { checkShares(t, d) },
		})
	})
}

func checkShares(t *rapid.T, d *director) {
	want := make([]int, len(d.list))
	divisor := 0
	for i, s := range d.list {
		switch {
		case s.weight == 0:
		case d.Name() == "rr":
			want[i], divisor = 1, 1
		default:
			want[i], divisor = s.weight, gcd(s.weight, divisor)
		}
	}
	if divisor == 0 {
		if i := d.Next(d.list, Flow{}); i != None {
			t.Fatalf("picked %s of weight 0", d.list[i].name)
		}
		return
	}
	cycle := sum(want) / divisor
	got := make([]int, len(d.list))
	for range cycle {
		i := d.Next(d.list, Flow{})
		if i == None {
			t.Fatalf("picked none of %v", d.list)
		}
		got[i]++
	}
	for i := range got {
		if got[i] != want[i]/divisor {
			t.Fatalf("%s over a cycle of %d: server %s was picked %d times, want %d: %v", d.Name(), cycle, d.list[i].name, got[i], want[i]/divisor, d.list)
		}
	}
}

func sum(v []int) (s int) {
	for _, x := range v {
		s += x
	}
	return s
}

// TestAllOverloaded: every server is passed over; the scheduler must say so and not spin, from any place in the list.
func TestAllOverloaded(t *testing.T) {
	for _, name := range Names() {
		for before := range 12 {
			d := newDirector(t, name, 4, 3, 2)
			d.picks(before)
			for i := range d.list {
				d.list[i].overloaded = true
			}
			if got := d.picks(5); got != "-----" {
				t.Errorf("%s after %d picks: %s", name, before, got)
			}
			for i := range d.list {
				d.list[i].overloaded = false
			}
			if got := d.picks(1); got == "-" {
				t.Errorf("%s after %d picks: nothing once servers are free again", name, before)
			}
		}
	}
}

func TestUnknown(t *testing.T) {
	if _, err := New("lc2"); err == nil || !strings.Contains(err.Error(), "dh, fo, lblc, ") {
		t.Errorf("got %v, want an error that names the schedulers there are", err)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			d := newDirector(b, name)
			for i := range 100 {
				d.list = append(d.list, server{name: string(rune('A' + i)), weight: 1 + i%7, active: i % 5, inactive: i % 3})
				d.Added(d.list, i)
			}
			flow := Flow{Client: netip.MustParseAddrPort("10.2.0.1:4000"), VIP: netip.MustParseAddrPort("10.0.0.1:80")}
			b.ReportAllocs()
			for b.Loop() {
				d.Next(d.list, flow)
			}
		})
	}
}
