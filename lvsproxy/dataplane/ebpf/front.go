package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// front is a virtual service and what the kernel has of it.
type front struct {
	service *service.Service
	dirty   atomic.Bool // the table has changed, and the kernel has the old one
	closed  bool        // takes no new connections

	id      uint32
	taken   bool                      // a process before this one has left servers in the kernel, which go on until there is something to say
	servers map[netip.AddrPort]uint32 // numbers of those in the table, and of those that were and may have connections
	listed  map[uint32]bool           // those in the table
	pool    *pool
}

// pool is what the slots of a service come from.
type pool struct {
	scheduler, flags string
	sequence         *sequence // nil for a scheduler that has no slots but goes through the list
}

// schedulers are those that the kernel's programs know.
var schedulers = []string{"rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "mh"}

// listSchedulers go through the whole list for each pick.
var listSchedulers = []string{"lc", "wlc", "sed", "nq"}

func newPool(name, flags string) (*pool, error) {
	p := &pool{scheduler: name, flags: flags}
	if slices.Contains(listSchedulers, name) {
		return p, nil
	}
	parsed, err := scheduler.ParseFlags(flags)
	if err != nil {
		return nil, err
	}
	p.sequence, err = newSequence(name, parsed)
	return p, err
}

// slots returns what the programs pick from, as indexes in the list, after picks were made from the slots before.
func (p *pool) slots(list destinations, picks uint64) []int32 {
	if p.sequence == nil {
		all := make([]int32, len(list))
		for i := range all {
			all[i] = int32(i)
		}
		return all
	}
	p.sequence.advance(picks)
	p.sequence.follow(list)
	return p.sequence.slots()
}

// errNotSettled says that it is not known yet which servers are alive.
var errNotSettled = errors.New("not settled")

// change is a service's table on its way into the kernel.
type change struct {
	front  *front
	table  service.Snapshot
	listed map[uint32]bool
	slots  *ebpf.Map
	err    error
}

// begin makes what a service's table needs: first the servers that have come, so that no packet finds a number of which nothing
// is known, and the slots. It returns errNotSettled while it is not known whom to pick, and packets of new connections go where
// they went before this process began.
func (k *kernel) begin(f *front) (*change, error) {
	if isSettled(f.service) {
		f.taken = false
	} else if f.taken {
		return nil, errNotSettled
	}
	c := &change{front: f, table: f.service.Snapshot(), listed: map[uint32]bool{}}
	numbers := make([]uint32, len(c.table.Servers))
	list := make(destinations, len(c.table.Servers))
	for i, s := range c.table.Servers {
		id, err := k.putServer(f, s)
		if err != nil {
			return nil, fmt.Errorf("real server %v: %w", s.Addr, err)
		}
		numbers[i], list[i], c.listed[id] = id, destination{s.Addr, s.Weight}, true
	}
	if f.pool == nil || f.pool.scheduler != c.table.Scheduler || f.pool.flags != c.table.SchedFlags {
		pool, err := newPool(c.table.Scheduler, c.table.SchedFlags)
		if err != nil {
			return nil, err
		}
		f.pool = pool
	}
	var err error
	c.slots, err = newSlots(numbers, f.pool.slots(list, k.picks(f.id)))
	return c, err
}

// swap puts the slots in the place of those there are. It may be called for several changes at once, and should be: the kernel
// waits each time until no program uses the ones before, which takes some 10 ms.
func (k *kernel) swap(c *change) {
	defer c.slots.Close()
	if err := k.objects.Slots.Put(c.front.id, c.slots); err != nil {
		c.err = fmt.Errorf("put the slots in their place: %w", err)
	}
}

// end writes what else the service says, and that servers have gone. Where nobody can be picked and it is not settled that it is
// so, new connections are dropped, and come again: errNotSettled.
func (k *kernel) end(c *change) error {
	if c.err != nil {
		return c.err
	}
	f := c.front
	if err := k.putService(f.id, c.table); err != nil {
		return err
	}
	for id := range f.listed {
		if !c.listed[id] {
			if err := k.unlistServer(id); err != nil {
				return err
			}
		}
	}
	f.listed = c.listed
	if len(c.table.Servers) == 0 && !isSettled(f.service) {
		return errNotSettled
	}
	return nil
}

func isSettled(s *service.Service) bool {
	select {
	case <-s.Settled():
		return true
	default:
		return false
	}
}

// Count implements [service.Counter]. A table that is shown is the kernel's by then.
func (d *Dataplane) Count(s *service.Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.fronts[s.ID()]; f != nil && f.service == s && d.kernel != nil {
		if f.dirty.Load() {
			d.syncDirty()
		}
		d.kernel.count(f)
	}
}

// Abilities implements [service.Dataplane].
func (*Dataplane) Abilities() config.Abilities {
	return config.Abilities{
		Dataplane:  "ebpf",
		Protocols:  []config.Protocol{config.TCP, config.UDP},
		Forwards:   []config.Forward{config.Masq, config.Gate, config.IPIP},
		Schedulers: schedulers,
		KeepTable:  true,
		AnyPort:    true,
		OnePacket:  true, Persistence: true, Thresholds: true, SchedFlags: true,
	}
}
