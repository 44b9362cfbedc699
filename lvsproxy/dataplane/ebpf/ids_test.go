package ebpf

import (
	"testing"

	"pgregory.net/rapid"
)

// TestIDs: no two names have the same number, a name keeps its own, also where another process gave it, and all numbers can
// be had.
func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 12
		i := newIDs[int](limit)
		has := map[int]uint32{}
		for name, id := range rapid.SliceOfNDistinct(rapid.Uint32Range(1, limit), 0, limit, rapid.ID[uint32]).Draw(t, "found") {
			if !i.found(name, id) {
				t.Fatalf("%d cannot have %d, which nobody has", name, id)
			}
			has[name] = id
		}
		if i.found(-1, 0) || i.found(-1, limit+1) {
			t.Fatal("a number out of range was taken")
		}
		i.ready()
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			name := rapid.IntRange(0, 2*limit).Draw(t, "name")
			if id, ok := has[name]; ok && rapid.Bool().Draw(t, "drop") {
				i.drop(id)
				delete(has, name)
				continue
			}
			id, ok := i.take(name)
			before, known := has[name]
			switch {
			case known && (!ok || id != before):
				t.Fatalf("%d had %d and has %d", name, before, id)
			case !known && ok != (len(has) < limit):
				t.Fatalf("got a number: %t, with %d of %d taken", ok, len(has), limit)
			case ok:
				for other, taken := range has {
					if other != name && taken == id {
						t.Fatalf("%d and %d both have %d", name, other, id)
					}
				}
				has[name] = id
			}
			if ok && (id == 0 || id >= i.size()) {
				t.Fatalf("%d is not less than %d", id, i.size())
			}
		}
	})
}
