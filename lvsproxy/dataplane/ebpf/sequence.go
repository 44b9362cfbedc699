package ebpf

import (
	"net/netip"
	"slices"

	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// maxSlots bounds a table of slots. A sequence of wrr that is longer is made with weights scaled down, each to at least 1:
// then the shares of servers are right to within 1 in 65536, and their order is that of the scaled weights. Weights that
// sum up to 65536 or less, divided by what they have in common, are never scaled.
const maxSlots = 1 << 16

// destination is a real server as a scheduler sees it.
type destination struct {
	addr   netip.AddrPort
	weight int
}

// destinations are those of a service, in IPVS's order. As a list for schedulers, none is overloaded and none has
// connections: both are for the kernel to look at.
type destinations []destination

func (d destinations) Len() int                  { return len(d) }
func (d destinations) Weight(i int) int          { return d[i].weight }
func (d destinations) Overloaded(int) bool       { return false }
func (d destinations) Conns(int) (int, int)      { return 0, 0 }
func (d destinations) Addr(i int) netip.AddrPort { return d[i].addr }

func (d destinations) Loads(to []scheduler.Load) []scheduler.Load {
	for _, one := range d {
		to = append(to, scheduler.Load{Weight: one.weight})
	}
	return to
}

func (d destinations) index(addr netip.AddrPort) int {
	return slices.IndexFunc(d, func(one destination) bool { return one.addr == addr })
}

// sequence is the scheduler of one service, run outside of the kernel to find out what it will pick. Its place in the
// list, and what else it remembers, stay over changes of the list as in the kernel's IPVS.
type sequence struct {
	scheduler scheduler.Scheduler
	list      destinations
}

// newSequence returns the sequence of a scheduler that this dataplane knows, with no servers.
func newSequence(name string, f scheduler.Flags) (*sequence, error) {
	f.LargeTable = true
	s, err := scheduler.NewWith(name, f)
	if err != nil {
		return nil, err
	}
	s.Init(destinations{})
	return &sequence{scheduler: s}, nil
}

// follow makes the list another one, telling the scheduler of each change as ip_vs_ctl.c does: servers that went, that
// have another weight, and that came. Those that stay must stand in the same order in both, as they do in IPVS; where they
// do not, they are taken out and put in again.
func (s *sequence) follow(next destinations) {
	next = scale(next)
	for i := len(s.list) - 1; i >= 0; i-- {
		if next.index(s.list[i].addr) < 0 {
			s.remove(i)
		}
	}
	if !s.ordered(next) {
		for i := len(s.list) - 1; i >= 0; i-- {
			s.remove(i)
		}
	}
	for _, one := range next {
		if i := s.list.index(one.addr); i >= 0 && s.list[i].weight != one.weight {
			s.list[i].weight = one.weight
			s.scheduler.Updated(s.list, i)
		}
	}
	for i := len(next) - 1; i >= 0; i-- { // the head, which came last, at the end
		if s.list.index(next[i].addr) < 0 {
			at := s.place(next, i)
			s.list = slices.Insert(s.list, at, next[i])
			s.scheduler.Added(s.list, at)
		}
	}
}

func (s *sequence) remove(i int) {
	s.list = slices.Delete(s.list, i, i+1)
	s.scheduler.Removed(s.list, i)
}

// ordered reports whether the servers of the list stand in next in the same order.
func (s *sequence) ordered(next destinations) bool {
	last := -1
	for _, one := range s.list {
		i := next.index(one.addr)
		if i < last {
			return false
		}
		last = i
	}
	return true
}

// place returns where in the list server i of next goes: before the first of those that come after it in next.
func (s *sequence) place(next destinations, i int) int {
	for _, later := range next[i+1:] {
		if at := s.list.index(later.addr); at >= 0 {
			return at
		}
	}
	return len(s.list)
}

// advance has the scheduler pick as often as the kernel did from its slots.
func (s *sequence) advance(picks uint64) {
	cyclic, ok := s.scheduler.(scheduler.Cyclic)
	if !ok {
		return
	}
	round := uint64(cyclic.Period(s.list))
	if round == 0 {
		return
	}
	if picks > round {
		picks = round + picks%round // it was not at this place before its first round
	}
	for range picks {
		cyclic.Next(s.list, scheduler.Flow{})
	}
}

// slots returns what the scheduler will pick next, as indexes in the list: for rr and wrr one round of its sequence, for
// sh and mh its table, in which servers of weight 0 have their place. It is empty if there is nothing to pick, and for the
// schedulers that have no table.
func (s *sequence) slots() []int32 {
	var slots []int32
	switch of := s.scheduler.(type) {
	case scheduler.Tabled:
		for _, i := range of.Table(s.list) {
			slots = append(slots, int32(i))
		}
	case scheduler.Cyclic:
		of = of.Clone()
		for range of.Period(s.list) {
			slots = append(slots, int32(of.Next(s.list, scheduler.Flow{})))
		}
	}
	return slots
}

// scale returns destinations whose round of wrr is no longer than maxSlots.
func scale(d destinations) destinations {
	wrr, _ := scheduler.New("wrr")
	if wrr.(scheduler.Cyclic).Period(d) <= maxSlots {
		return d
	}
	sum := 0
	for _, one := range d {
		sum += one.weight
	}
	scaled := slices.Clone(d)
	room := maxSlots - len(d) // each may be rounded up to 1
	for i, one := range d {
		if one.weight > 0 {
			scaled[i].weight = max(1, one.weight*room/sum)
		}
	}
	return scaled
}
