package scheduler

import (
	"net/netip"
	"slices"
	"time"
)

// What lblc and lblcr forget, and when (ip_vs_lblc.c): every minute they look whether there are more entries than
// entriesKept, and take those away that were not used for partialAge; every thirtieth time those not used for fullAge.
// The kernel bounds entries no further; here none is added above entriesMost, and the pick is as without one.
const (
	entriesKept   = 16 << 10
	entriesMost   = 4 * entriesKept
	collectEvery  = time.Minute
	partialAge    = 6 * time.Minute
	fullAge       = 24 * time.Hour
	fullEvery     = 30
	setExpiration = 24 * time.Hour // after which lblcr takes the busiest destination out of a set
)

// locality is what lblc and lblcr share: who serves each address that clients connect to.
type locality struct {
	looking
	now       func() time.Time
	entries   map[netip.Addr]*entry
	collected time.Time
	count     int // collections since the last full one
}

// entry is the destinations of one address. lblc keeps one of them, lblcr several, the one added last at the head.
type entry struct {
	set               []int
	used, setModified time.Time
}

func newLocality() locality {
	return locality{now: time.Now, entries: map[netip.Addr]*entry{}, count: 1}
}

func (l *locality) Init(Destinations) { l.collected = l.now() }

func (l *locality) Added(_ Destinations, i int) {
	for _, e := range l.entries {
		for k, at := range e.set {
			if at >= i {
				e.set[k]++
			}
		}
	}
}

func (l *locality) Removed(_ Destinations, i int) {
	for _, e := range l.entries {
		kept := e.set[:0]
		for _, at := range e.set {
			switch {
			case at < i:
				kept = append(kept, at)
			case at > i:
				kept = append(kept, at-1)
			}
		}
		e.set = kept
	}
}

// find returns the entry of an address, or nil.
func (l *locality) find(addr netip.Addr, now time.Time) *entry {
	if now.Sub(l.collected) >= collectEvery {
		l.collect(now)
	}
	e := l.entries[addr]
	if e != nil {
		e.used = now
	}
	return e
}

// add makes the entry of an address that has none.
func (l *locality) add(addr netip.Addr, i int, now time.Time) {
	if len(l.entries) < entriesMost {
		l.entries[addr] = &entry{set: []int{i}, used: now, setModified: now}
	}
}

func (l *locality) collect(now time.Time) {
	l.collected = now
	age, goal := fullAge, len(l.entries)
	if l.count%fullEvery == 0 {
		l.count = 1
	} else if excess := len(l.entries) - entriesKept; excess > 0 {
		age, goal = partialAge, min(excess*4/3, entriesKept/2)
	} else {
		l.count++
		return
	}
	for addr, e := range l.entries {
		if goal <= 0 {
			return
		}
		if now.Sub(e.used) >= age {
			delete(l.entries, addr)
			goal--
		}
	}
}

func overhead(d Destinations, i int) int {
	active, inactive := d.Conns(i)
	return Load{Active: active, Inactive: inactive}.overhead()
}

// congested reports whether a destination has more active connections than its weight while another has fewer than half
// of its own.
func congested(d Destinations, i int) bool {
	if active, _ := d.Conns(i); active <= d.Weight(i) {
		return false
	}
	for other := range d.Len() {
		if active, _ := d.Conns(other); active*2 < d.Weight(other) {
			return true
		}
	}
	return false
}

// localityLeastConnection is IPVS's lblc (ip_vs_lblc.c): for caches. The address that the client connects to decides,
// unless its destination is congested or cannot be used: then wlc does, from then on. Unlike the kernel's, it leaves a
// destination that is over its threshold.
type localityLeastConnection struct{ locality }

func (*localityLeastConnection) Name() string { return "lblc" }

func (s *localityLeastConnection) Next(d Destinations, f Flow) int {
	now := s.now()
	addr := f.VIP.Addr()
	e := s.find(addr, now)
	if e != nil && len(e.set) > 0 {
		if i := e.set[0]; usable(d, i) && !congested(d, i) {
			return i
		}
	}
	i := leastWeighted(s.look(d))
	switch {
	case i == None:
	case e == nil:
		s.add(addr, i, now)
	default:
		e.set = append(e.set[:0], i)
	}
	return i
}

// localityReplicated is IPVS's lblcr (ip_vs_lblcr.c): like lblc, with a set of destinations for each address, which grows
// when all of it are congested, and shrinks when it has not changed for a day.
type localityReplicated struct{ locality }

func (*localityReplicated) Name() string { return "lblcr" }

func (s *localityReplicated) Next(d Destinations, f Flow) int {
	now := s.now()
	addr := f.VIP.Addr()
	e := s.find(addr, now)
	if e == nil {
		i := leastWeighted(s.look(d))
		if i != None {
			s.add(addr, i, now)
		}
		return i
	}
	i := e.least(d)
	if len(e.set) > 1 && now.Sub(e.setModified) > setExpiration {
		e.dropBusiest(d, now)
	}
	if i != None && !congested(d, i) {
		return i
	}
	i = leastWeighted(s.look(d))
	if i != None && !slices.Contains(e.set, i) {
		e.set = slices.Insert(e.set, 0, i)
		e.setModified = now
	}
	return i
}

// least returns the usable destination of the set with the least overhead for its weight, or None.
func (e *entry) least(d Destinations) int {
	best, least, of := None, 0, 0
	for _, i := range e.set {
		if !usable(d, i) {
			continue
		}
		if load, w := overhead(d, i), d.Weight(i); best == None || least*w > load*of {
			best, least, of = i, load, w
		}
	}
	return best
}

// dropBusiest takes the destination with the most overhead for its weight out of the set.
func (e *entry) dropBusiest(d Destinations, now time.Time) {
	worst, most, of := None, 0, 0
	for k, i := range e.set {
		w := d.Weight(i)
		if w <= 0 {
			continue
		}
		if load := overhead(d, i); worst == None || most*w < load*of {
			worst, most, of = k, load, w
		}
	}
	if worst != None {
		e.set = slices.Delete(e.set, worst, worst+1)
		e.setModified = now
	}
}
