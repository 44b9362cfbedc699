package ebpf

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

func real(i int) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf("192.168.0.%d:80", 101+i))
}

func weights(w ...int) destinations {
	d := make(destinations, len(w))
	for i := range w {
		d[i] = destination{real(i), w[i]}
	}
	return d
}

// picker is what picks from slots: a counter that goes round.
type picker struct {
	slots []int32
	list  destinations
	picks uint64
}

func (k *picker) pick() string {
	if len(k.slots) == 0 {
		return "none"
	}
	at := k.slots[k.picks%uint64(len(k.slots))]
	k.picks++
	return k.list[at].addr.String()
}

func (k *picker) swap(s *sequence, next destinations) {
	s.advance(k.picks)
	s.follow(next)
	*k = picker{slots: s.slots(), list: s.list}
}

// edit is one change of the list, as IPVS makes them: one at a time.
func edit(t *rapid.T, d destinations, free *int) destinations {
	next := append(destinations{}, d...)
	switch what := rapid.IntRange(0, 2).Draw(t, "what"); {
	case what == 0 || len(next) == 0: // to the head
		*free++
		return append(destinations{{real(*free), rapid.IntRange(0, 6).Draw(t, "weight")}}, next...)
	case what == 1:
		i := rapid.IntRange(0, len(next)-1).Draw(t, "gone")
		return append(next[:i], next[i+1:]...)
	default:
		i := rapid.IntRange(0, len(next)-1).Draw(t, "changed")
		next[i].weight = rapid.IntRange(0, 6).Draw(t, "weight")
		return next
	}
}

// TestSlotsPickAsTheScheduler: a counter over slots picks exactly what the scheduler itself picks that is told of the same
// changes, whenever they come.
func TestSlotsPickAsTheScheduler(t *testing.T) {
	for _, name := range []string{"rr", "wrr"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				mirror, err := newSequence(name, scheduler.Flags{})
				if err != nil {
					t.Fatal(err)
				}
				itself, _ := scheduler.New(name)
				list := destinations{}
				itself.Init(list)
				k, free := picker{}, 0
				for range rapid.IntRange(1, 12).Draw(t, "changes") {
					next := edit(t, list, &free)
					k.swap(mirror, next)
					tell(itself, list, next)
					list = next
					for range rapid.IntRange(0, 60).Draw(t, "picks") {
						want := "none"
						if i := itself.Next(list, scheduler.Flow{}); i != scheduler.None {
							want = list[i].addr.String()
						}
						if got := k.pick(); got != want {
							t.Fatalf("list %v: got %s, want %s", list, got, want)
						}
					}
				}
			})
		})
	}
}

// tell tells a scheduler of the one change between two lists.
func tell(s scheduler.Scheduler, before, after destinations) {
	for i, one := range before {
		at := after.index(one.addr)
		if at < 0 {
			s.Removed(after, i)
		} else if after[at].weight != one.weight {
			s.Updated(after, at)
		}
	}
	if len(after) > len(before) {
		s.Added(after, 0)
	}
}

// TestSlotsAreBounded: whatever the weights, the table has a bound, everybody has a share, and it is nearly the right one.
func TestSlotsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		weights []int
		slots   int
	}{
		{[]int{65535, 1}, 65536},
		{[]int{100, 200, 300}, 6},
		{[]int{65535, 65534, 1}, 0},
		{[]int{65535, 65521, 65519, 0, 3}, 0},
	} {
		s, err := newSequence("wrr", scheduler.Flags{})
		if err != nil {
			t.Fatal(err)
		}
		s.follow(weights(tt.weights...))
		slots, sum := s.slots(), 0
		if len(slots) > maxSlots || tt.slots > 0 && len(slots) != tt.slots {
			t.Errorf("weights %v: %d slots", tt.weights, len(slots))
		}
		count := make([]int, len(tt.weights))
		for _, i := range slots {
			count[i]++
		}
		for _, w := range tt.weights {
			sum += w
		}
		for i, w := range tt.weights {
			got, want := float64(count[i])/float64(len(slots)), float64(w)/float64(sum)
			if (w > 0) != (count[i] > 0) || got-want > 1e-4 || want-got > 1e-4 {
				t.Errorf("weights %v: server %d has a share of %f, want %f", tt.weights, i, got, want)
			}
		}
	}
}

// TestTables: sh has 256 slots and mh 65537, and a server that goes to weight 0 keeps its own.
func TestTables(t *testing.T) {
	for name, size := range map[string]int{"sh": 256, "mh": scheduler.LargeTable} {
		s, err := newSequence(name, scheduler.Flags{})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.slots(); len(got) != 0 {
			t.Errorf("%s: %d slots without a server", name, len(got))
		}
		s.follow(weights(1, 1, 2, 1))
		before := s.slots()
		if len(before) != size {
			t.Fatalf("%s: %d slots, want %d", name, len(before), size)
		}
		count := make([]int, 4)
		for _, i := range before {
			count[i]++
		}
		for i, w := range []int{1, 1, 2, 1} {
			if share := count[i] * 5 * 100 / size / w; share < 90 || share > 110 {
				t.Errorf("%s: server %d has %d of %d slots", name, i, count[i], size)
			}
		}
		s.follow(weights(1, 0, 2, 1))
		moved := 0
		for i, at := range s.slots() {
			if at != before[i] {
				moved++
			}
		}
		if name == "mh" && moved > 0 {
			t.Errorf("%s: %d slots moved when a server drains", name, moved)
		}
	}
}
