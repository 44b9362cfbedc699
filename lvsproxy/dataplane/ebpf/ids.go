package ebpf

// ids give out numbers from 1 to a bound, each to one name at a time: the maps of the kernel are arrays, and what a packet
// finds there it finds by number. 0 is nobody.
type ids[K comparable] struct {
	of   map[K]uint32
	name map[uint32]K
	free []uint32 // given back, the last first
	next uint32   // the least number that nobody had yet
	max  uint32
}

func newIDs[K comparable](limit uint32) *ids[K] {
	return &ids[K]{of: map[K]uint32{}, name: map[uint32]K{}, next: 1, max: limit}
}

// take returns a name's number, and gives it one if it has none. It reports false if there is none left.
func (i *ids[K]) take(name K) (id uint32, ok bool) {
	if id, ok := i.of[name]; ok {
		return id, true
	}
	switch {
	case len(i.free) > 0:
		id = i.free[len(i.free)-1]
		i.free = i.free[:len(i.free)-1]
	case i.next <= i.max:
		id = i.next
		i.next++
	default:
		return 0, false
	}
	i.of[name], i.name[id] = id, name
	return id, true
}

// found notes that a name has a number already: a process before this one gave it. It reports false if it is another's.
func (i *ids[K]) found(name K, id uint32) bool {
	if _, known := i.of[name]; known || id == 0 || id > i.max {
		return false
	}
	if _, taken := i.name[id]; taken {
		return false
	}
	i.of[name], i.name[id] = id, name
	return true
}

// ready makes the numbers that nobody was found to have free. It is called once, after found and before take.
func (i *ids[K]) ready() {
	for id := range i.name {
		i.next = max(i.next, id+1)
	}
	for id := i.next - 1; id > 0; id-- {
		if _, taken := i.name[id]; !taken {
			i.free = append(i.free, id)
		}
	}
}

// drop gives a number back.
func (i *ids[K]) drop(id uint32) {
	name, ok := i.name[id]
	if !ok {
		return
	}
	delete(i.name, id)
	delete(i.of, name)
	i.free = append(i.free, id)
}

// size returns a bound on the numbers that are taken: all are less.
func (i *ids[K]) size() uint32 { return i.next }
