package ebpf

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
)

// The programs count connections as they begin and end. They do not see a connection end whose time is up, nor one that
// makes room for another. So the tables are looked through again and again: what has expired is taken out and counted
// down, and what is there is counted anew.
const (
	sweepBatch   = 4096 // entries that are read by one call
	sweepBatches = 8    // calls in one go: some 5 ms
)

// load is how many connections a server has, or how many more or less than was thought.
type load struct{ active, inactive, persistent int64 }

func (l *load) add(state uint8) {
	if isActive(state) {
		l.active++
	} else {
		l.inactive++
	}
}

// isActive is the programs' active.
func isActive(state uint8) bool {
	switch bpf.KernelState(state) {
	case bpf.KernelStateSTATE_ESTABLISHED, bpf.KernelStateSTATE_SYN_SENT, bpf.KernelStateSTATE_SYN_RECV, bpf.KernelStateSTATE_SYNACK:
		return true
	}
	return false
}

// pass is one look through all tables, in as many goes as it takes.
type pass struct {
	kernel *kernel
	stage  int // which table is looked through
	cursor *ebpf.MapBatchCursor
	before map[uint32]load // what was thought when it began
	idle   []uint32        // servers that got no connections when it began
	found  map[uint32]load
	ended  map[uint32]load // taken out since that was last told
}

// monotonic is the time as the programs tell it.
func monotonic() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return uint64(t.Nano())
}

// sweep goes on with the pass, and begins another one when it is done.
func (d *Dataplane) sweep(ctx context.Context) {
	if d.pass == nil {
		d.mu.Lock()
		d.pass = d.kernel.newPass(d.fronts)
		d.mu.Unlock()
	}
	for range sweepBatches {
		more, err := d.pass.batch()
		d.mu.Lock()
		d.kernel.countDown(d.pass.ended)
		clear(d.pass.ended)
		if err == nil && !more {
			d.finish(d.pass)
		}
		d.mu.Unlock()
		if err != nil {
			d.log.Warn("the connections cannot be looked through", "error", err)
		}
		if err != nil || !more {
			d.pass = nil
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// newPass begins a pass.
func (k *kernel) newPass(fronts map[config.VirtualID]*front) *pass {
	p := &pass{kernel: k, cursor: new(ebpf.MapBatchCursor), before: map[uint32]load{}, found: map[uint32]load{}, ended: map[uint32]load{}}
	listed := map[uint32]bool{}
	for _, f := range fronts {
		for id := range f.listed {
			listed[id] = listed[id] || !f.closed
		}
	}
	for id := range k.written {
		p.before[id] = k.load(id)
		if !listed[id] {
			p.idle = append(p.idle, id)
		}
	}
	return p
}

func (k *kernel) load(id uint32) load {
	l := &k.loads[id]
	return load{active: atomic.LoadInt64(&l.Active), inactive: atomic.LoadInt64(&l.Inactive)}
}

// batch looks at the next entries. more is false after the last ones.
func (p *pass) batch() (more bool, err error) {
	k := p.kernel
	switch p.stage {
	case 0:
		return p.read(p.conns(k.objects.Conns))
	case 1:
		return p.read(p.conns(k.objects.Halves))
	case 2:
		return p.read(p.templates())
	}
	return false, nil
}

// read takes what a look at a table says: whether that was its end.
func (p *pass) read(end bool, err error) (more bool, _ error) {
	if end {
		p.stage++
		p.cursor = new(ebpf.MapBatchCursor)
	}
	return true, err
}

// entries reads the next entries of a table.
func entries[K, V any](m *ebpf.Map, cursor *ebpf.MapBatchCursor) (keys []K, values []V, end bool, err error) {
	keys, values = make([]K, sweepBatch), make([]V, sweepBatch)
	n, err := m.BatchLookup(cursor, keys, values, nil)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		end, err = true, nil
	}
	return keys[:n], values[:n], end, err
}

func (p *pass) conns(m *ebpf.Map) (end bool, err error) {
	keys, values, end, err := entries[bpf.KernelFlow, bpf.KernelConn](m, p.cursor)
	now := monotonic()
	for i, c := range values {
		if c.Server == 0 {
			continue // it has moved from one table to the other
		}
		if c.Expires >= now {
			l := p.found[c.Server]
			l.add(c.State)
			p.found[c.Server] = l
			continue
		}
		gone, err := takeOut(m, keys[i], &c, func() bool { return c.Expires < now })
		if err != nil {
			return false, err
		}
		if gone {
			l := p.ended[c.Server]
			l.add(c.State)
			p.ended[c.Server] = l
		}
	}
	return end, err
}

func (p *pass) templates() (end bool, err error) {
	m := p.kernel.objects.Templates
	keys, values, end, err := entries[bpf.KernelTemplateKey, bpf.KernelTemplate](m, p.cursor)
	now := monotonic()
	for i, t := range values {
		if t.Expires >= now {
			l := p.found[t.Server]
			l.persistent++
			p.found[t.Server] = l
			continue
		}
		if _, err := takeOut(m, keys[i], &t, func() bool { return t.Expires < now }); err != nil {
			return false, err
		}
	}
	return end, err
}

// takeOut removes an entry that has expired. If another one has come in its place meanwhile, that is put back.
func takeOut[K, V any](m *ebpf.Map, key K, value *V, expired func() bool) (gone bool, err error) {
	if err := m.LookupAndDelete(key, value); err != nil {
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return false, nil
		}
		return false, err
	}
	if expired() {
		return true, nil
	}
	if err := m.Update(key, *value, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return false, err
	}
	return false, nil
}

// countDown takes connections from what servers have.
func (k *kernel) countDown(ended map[uint32]load) {
	for id, l := range ended {
		k.correct(id, load{active: -l.active, inactive: -l.inactive})
	}
}

// correct adds to what a server has, and has it take connections again where a threshold allows it.
func (k *kernel) correct(id uint32, by load) {
	if int(id) >= len(k.loads) {
		return
	}
	l, s := &k.loads[id], k.written[id]
	total := atomic.AddInt64(&l.Active, by.active) + atomic.AddInt64(&l.Inactive, by.inactive)
	if s.Lower != 0 && total < int64(s.Lower) || s.Lower == 0 && total*4 < int64(s.Upper)*3 {
		atomic.StoreUint64(&l.Overloaded, 0)
	}
}

// finish takes what a whole pass has found. A count that was wrong in two passes, to the same side, is set right by the lesser
// of both: what begins and ends during a pass is seen or not, and must not be taken for an error.
func (d *Dataplane) finish(p *pass) {
	k := d.kernel
	drift := map[uint32]load{}
	for id, before := range p.before {
		found, now := p.found[id], k.load(id)
		atomic.StoreInt64(&k.loads[id].Persistent, found.persistent)
		wrong := load{active: outside(found.active, before.active, now.active), inactive: outside(found.inactive, before.inactive, now.inactive)}
		if wrong == (load{}) {
			continue
		}
		last := k.drift[id]
		by := load{active: lesser(wrong.active, last.active), inactive: lesser(wrong.inactive, last.inactive)}
		k.correct(id, by)
		drift[id] = load{active: wrong.active - by.active, inactive: wrong.inactive - by.inactive}
	}
	k.drift = drift
	d.release(p)
}

// outside returns how far a number is beyond two others.
func outside(n, a, b int64) int64 { return n - min(max(n, min(a, b)), max(a, b)) }

// lesser returns the one of two numbers of the same sign that is nearer to 0, or 0.
func lesser(a, b int64) int64 {
	switch {
	case a > 0 && b > 0:
		return min(a, b)
	case a < 0 && b < 0:
		return max(a, b)
	}
	return 0
}

// orphanTime is how long after the start services are still opened that a process before this one has left.
const orphanTime = time.Minute

// release gives back the numbers of servers that got no connections and were found to have none, and of services that have
// no servers left. Services that a process before this one left in the kernel and nobody has opened are closed.
func (d *Dataplane) release(p *pass) {
	k := d.kernel
	listed, of := map[uint32]bool{}, map[uint32]*front{}
	for _, f := range d.fronts {
		of[f.id] = f
		for id := range f.listed {
			listed[id] = listed[id] || !f.closed
		}
	}
	late := time.Since(k.began) > orphanTime
	for _, id := range p.idle {
		value, ok := k.written[id]
		if of[value.Service] == nil && !late {
			continue
		}
		if !ok || listed[id] || p.found[id] != (load{}) || k.load(id) != (load{}) {
			continue
		}
		if err := k.objects.Servers.Put(id, bpf.KernelServer{}); err != nil {
			continue // the next pass tries again
		}
		delete(k.written, id)
		k.servers.drop(id)
		if f := of[value.Service]; f != nil {
			delete(f.servers, addrOf(value.Rip, value.Port))
		}
	}
	has := map[uint32]bool{}
	for _, value := range k.written {
		has[value.Service] = true
	}
	for id, key := range k.services.name {
		f := of[id]
		if f != nil && !f.closed || f == nil && !late {
			continue
		}
		if f == nil {
			k.objects.Services.Delete(key) // it may be gone already
		}
		if has[id] {
			continue
		}
		k.objects.Slots.Delete(id)
		if err := k.registry.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		}
		k.services.drop(id)
		if f != nil {
			delete(d.fronts, f.service.ID())
		}
	}
	for _, f := range d.fronts {
		if f.closed { // nobody asks for its counts any more, but it waits to have none
			k.count(f)
		}
	}
}
