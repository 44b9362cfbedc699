package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

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

// sync brings a service's table into the kernel: first the servers that have come, then who is picked, then what else the
// service says, and at last that servers have gone. So no packet finds a number of which nothing is known. It returns
// errNotSettled while it is not known whom to pick: packets of new connections are dropped then, and come again, or go
// where they went before this process began.
func (k *kernel) sync(f *front) error {
	select {
	case <-f.service.Settled():
		f.taken = false
	default:
		if f.taken {
			return errNotSettled
		}
	}
	table := f.service.Snapshot()
	numbers := make([]uint32, len(table.Servers))
	list := make(destinations, len(table.Servers))
	listed := map[uint32]bool{}
	for i, s := range table.Servers {
		id, err := k.putServer(f, s)
		if err != nil {
			return fmt.Errorf("real server %v: %w", s.Addr, err)
		}
		numbers[i], list[i], listed[id] = id, destination{s.Addr, s.Weight}, true
	}
	if f.pool == nil || f.pool.scheduler != table.Scheduler || f.pool.flags != table.SchedFlags {
		pool, err := newPool(table.Scheduler, table.SchedFlags)
		if err != nil {
			return err
		}
		f.pool = pool
	}
	slots := f.pool.slots(list, k.picks(f.id))
	if err := k.putSlots(f.id, numbers, slots); err != nil {
		return err
	}
	if err := k.putService(f.id, table); err != nil {
		return err
	}
	for id := range f.listed {
		if !listed[id] {
			if err := k.unlistServer(id); err != nil {
				return err
			}
		}
	}
	f.listed = listed
	if len(table.Servers) == 0 && !isSettled(f.service) {
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

// Count implements [service.Counter].
func (d *Dataplane) Count(s *service.Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.fronts[s.ID()]; f != nil && f.service == s && d.kernel != nil {
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
