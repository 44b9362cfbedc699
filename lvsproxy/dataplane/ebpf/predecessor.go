package ebpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"

	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
)

// predecessor is what a version whose maps have another layout has left in the kernel: programs that stay where they are, before
// ours, and see every packet first. As long as they have services they also take new connections, so those are closed once ours
// can take them; with the connections that they have they go on until the last has ended.
//
// Nothing is known of such a version but the names services, conns and halves, and what the kernel tells of a map's types.
type predecessor struct {
	pins   *pins
	closed bool
}

// predecessors returns those that there are.
func (p *pins) predecessors() (all []*predecessor, err error) {
	others, err := p.others()
	for _, o := range others {
		all = append(all, &predecessor{pins: o})
	}
	return all, err
}

// close has the programs take no new connections: they leave them to ours.
func (p *predecessor) close() error {
	services, err := ebpf.LoadPinnedMap(p.pins.path(bpf.KernelMapServices), nil)
	if errors.Is(err, fs.ErrNotExist) {
		p.closed = true // it had none
		return nil
	}
	if err != nil {
		return err
	}
	defer services.Close()
	key := make([]byte, services.KeySize())
	for {
		if err := services.NextKey(nil, key); errors.Is(err, ebpf.ErrKeyNotExist) {
			p.closed = true
			return nil
		} else if err != nil {
			return err
		}
		if err := services.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
}

// used reports whether there are connections left. It takes out those whose time is up on its way to the first other one.
func (p *predecessor) used() (bool, error) {
	for _, name := range []string{bpf.KernelMapConns, bpf.KernelMapHalves} {
		m, err := ebpf.LoadPinnedMap(p.pins.path(name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return true, err
		}
		used, err := live(m)
		m.Close()
		if err != nil {
			return true, fmt.Errorf("look through its %s: %w", name, err)
		}
		if used {
			return true, nil
		}
	}
	return false, nil
}

// graceTime is how long an entry is left whose time is up: the programs' clock is a little behind.
const graceTime = time.Second

// live is used for one table.
func live(m *ebpf.Map) (bool, error) {
	at, err := expiry(m)
	if err != nil {
		return true, err
	}
	slice := func(size uint32) reflect.Value { // of arrays of so many bytes
		return reflect.MakeSlice(reflect.SliceOf(reflect.ArrayOf(int(size), reflect.TypeFor[byte]())), sweepBatch, sweepBatch)
	}
	keys, values := slice(m.KeySize()), slice(m.ValueSize())
	var cursor ebpf.MapBatchCursor
	for end, used := false, false; ; {
		n, err := m.BatchLookup(&cursor, keys.Interface(), values.Interface(), nil)
		if end = errors.Is(err, ebpf.ErrKeyNotExist); err != nil && !end {
			return true, err
		}
		now := monotonic()
		for i := range n {
			if expires := binary.NativeEndian.Uint64(values.Index(i).Bytes()[at:]); expires+uint64(graceTime) >= now {
				used = true
			} else if err := m.Delete(keys.Index(i).Bytes()); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return true, err
			}
		}
		if used || end {
			return used, nil
		}
	}
}

// expiry returns where in a connection's value the kernel says that its time of expiry is.
func expiry(m *ebpf.Map) (offset uint32, err error) {
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	id, ok := info.BTFID()
	if !ok {
		return 0, errors.New("the kernel does not know its types")
	}
	handle, err := btf.NewHandleFromID(id)
	if err != nil {
		return 0, err
	}
	defer handle.Close()
	types, err := handle.Spec(nil)
	if err != nil {
		return 0, err
	}
	var conn *btf.Struct
	if err := types.TypeByName("conn", &conn); err != nil {
		return 0, err
	}
	i := slices.IndexFunc(conn.Members, func(m btf.Member) bool { return m.Name == "expires" })
	if i < 0 || conn.Members[i].Offset.Bytes()+8 > m.ValueSize() {
		return 0, errors.New("no time of expiry in it")
	}
	return conn.Members[i].Offset.Bytes(), nil
}

// retire takes the programs of these hooks away, and the maps if no others are left that use them.
func (p *predecessor) retire(hooks []hook) error {
	names, err := p.pins.names(linksFolder)
	if err != nil {
		return err
	}
	left := 0
	for _, name := range names {
		if !slices.ContainsFunc(hooks, func(h hook) bool { return strings.HasSuffix(name, "-"+h.name) }) {
			left++
			continue
		}
		if err := os.Remove(p.pins.path(linksFolder, name)); err != nil {
			return err
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		for _, f := range filters(i) {
			if f.Priority != priority(p.pins.version) {
				continue
			}
			if err := netlink.FilterDel(f); err != nil {
				return fmt.Errorf("take the filter from %s: %w", i.Name, err)
			}
		}
	}
	if left > 0 {
		return nil
	}
	return os.RemoveAll(p.pins.path())
}

// succeed takes over from versions whose maps have another layout: it closes them once all services are in the kernel, and removes
// them once they have no connections.
func (d *Dataplane) succeed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.predecessors) == 0 || !d.established() {
		return
	}
	d.predecessors = slices.DeleteFunc(d.predecessors, func(p *predecessor) bool {
		done, err := d.succeedOne(p)
		if err != nil {
			d.log.Warn("what another version has left in the kernel stays", "version", p.pins.version, "error", err)
		}
		return done || err != nil // it stays until the next start
	})
}

func (d *Dataplane) succeedOne(p *predecessor) (done bool, err error) {
	if !p.closed {
		if err := p.close(); err != nil {
			return false, fmt.Errorf("close its services: %w", err)
		}
		d.log.Info("the programs of another version go on with the connections that they have", "version", p.pins.version)
	}
	used, err := p.used()
	if used || err != nil {
		return false, err
	}
	// A driver has one program of XDP: until the next start ours is only at traffic control there.
	if err := p.retire(append(d.kernel.hooks(), hook{name: earlyHook})); err != nil {
		return false, fmt.Errorf("detach: %w", err)
	}
	d.log.Info("the programs of another version had no connections left, and are detached", "version", p.pins.version)
	return true, nil
}

// established reports whether all services are in the kernel, the second time that it is asked; or that it is too late for more.
func (d *Dataplane) established() bool {
	before := d.opened
	d.opened = len(d.fronts)
	for _, f := range d.fronts {
		if f.dirty.Load() && !f.closed {
			d.opened = 0
		}
	}
	return d.opened > 0 && d.opened == before || time.Since(d.kernel.began) > orphanTime
}
