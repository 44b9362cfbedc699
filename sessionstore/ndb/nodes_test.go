package ndb

import "testing"

// A node that comes back takes over its share bit by bit.
func TestRamp(t *testing.T) {
	const most = 8
	other, x := &node{most: most}, &node{most: most}
	other.room.Store(most)
	x.down.Store(true)
	n := &nodes{list: []*node{other, x}}
	// share starts operations, ends them, and returns how many it was given.
	share := func() (given int64) {
		for range most {
			n.pick(nil).busy.Add(1)
		}
		given = x.busy.Swap(0)
		other.busy.Store(0)
		return given
	}
	if got := share(); got != 0 {
		t.Fatalf("%d of %d operations went to a node that is down", got, most)
	}
	if !x.back() || x.back() {
		t.Fatal("a node came back twice, or not at all")
	}
	for want := int64(1); want <= most; want++ {
		if got := share(); got != min(want, most/2) {
			t.Fatalf("%d of %d operations went to it after %d successes", got, most, want-1)
		}
		x.succeeded()
	}
	x.succeeded()
	if got := x.room.Load(); got != most {
		t.Errorf("it has room for %d operations, want %d", got, most)
	}
	if got := share(); got != most/2 {
		t.Errorf("%d of %d operations go to it in the end, want half", got, most)
	}
}
