package ebpf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// unattached is a dataplane at no interface: no packet comes to it.
func unattached(t *testing.T, dir string) *Dataplane {
	t.Helper()
	return New(Options{Pin: dir, Interfaces: []string{"none"}, MaxConns: 10_000})
}

// newService makes a service whose real servers are alive.
func newService(t *testing.T, n, servers int, scheduler string) *service.Service {
	t.Helper()
	v := config.Virtual{
		ID:        config.VirtualID{Protocol: config.TCP, Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(n))},
		Scheduler: scheduler, CleanStop: true,
	}
	for i := range servers {
		addr := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		v.Reals = append(v.Reals, config.Real{Addr: netip.AddrPortFrom(addr, 80), Forward: config.Masq, Weight: 1 + i%3})
	}
	s, err := service.New(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range v.Reals {
		s.SetState(r.Addr, check.Up, "")
	}
	return s
}

func open(t *testing.T, d *Dataplane, s *service.Service) {
	t.Helper()
	if err := d.Open(t.Context(), s); err != nil {
		if errors.Is(err, ebpf.ErrNotSupported) {
			need.Skip(t, err.Error())
		}
		t.Fatal(err)
	}
}

// synced waits until the kernel has the tables of all services.
func synced(t *testing.T, d *Dataplane) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // between two looks
		d.mu.Lock()
		dirty := 0
		for _, f := range d.fronts {
			if f.dirty.Load() || len(f.listed) == 0 {
				dirty++
			}
		}
		d.mu.Unlock()
		if dirty == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("the kernel has not got %d tables", dirty)
		}
	}
}

// TestThousands: 1,000 services of 100 servers each fit, a change of one is cheap, another process finds the same numbers, and
// no goroutine is left.
func TestThousands(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := pinFolder(t)
	const services, servers = 1000, 100
	var all []*service.Service
	for n := range services {
		all = append(all, newService(t, n+1, servers, "wrr"))
	}
	d := unattached(t, dir)
	began := time.Now()
	for _, s := range all {
		open(t, d, s)
	}
	synced(t, d)
	t.Logf("%d services of %d servers: in the kernel after %v", services, servers, time.Since(began))
	began = time.Now()
	for _, s := range all {
		d.Count(s)
	}
	t.Logf("counted in %v", time.Since(began))
	addr := netip.MustParseAddrPort("10.1.0.7:80")
	numbers := map[int]uint32{}
	for n, s := range all {
		numbers[n] = d.fronts[s.ID()].servers[addr]
	}
	began = time.Now()
	all[3].SetState(addr, check.Down, "")
	synced(t, d)
	t.Logf("a server went after %v", time.Since(began))
	d.Leave()
	d.Shutdown(context.Background())

	again := unattached(t, dir)
	for _, s := range all {
		open(t, again, s)
	}
	synced(t, again)
	for n, s := range all {
		if got := again.fronts[s.ID()].servers[addr]; n != 3 && got != numbers[n] {
			t.Fatalf("service %d: the server has the number %d, and had %d", n, got, numbers[n])
		}
	}
	again.Shutdown(context.Background())
}

// TestForgotten: numbers come back when a server, or a service, is gone and has no connections; a service that a process before
// left in the kernel, and that nobody opens any more, is closed.
func TestForgotten(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := pinFolder(t)
	d := unattached(t, dir)
	left, kept := newService(t, 1, 2, "rr"), newService(t, 2, 2, "rr")
	open(t, d, left)
	open(t, d, kept)
	synced(t, d)
	d.Leave()
	d.Shutdown(context.Background())

	d = unattached(t, dir)
	open(t, d, kept)
	synced(t, d)
	d.mu.Lock()
	d.kernel.began = time.Time{} // long ago: what is not open by now will not be
	d.mu.Unlock()
	eventually(t, "the service that nobody opened is gone", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		var value bpf.KernelService
		if err := d.kernel.objects.Services.Lookup(keyOf(left.ID()), &value); !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("it is there: %v", err)
		}
		if n := len(d.kernel.written); n != 2 {
			return fmt.Errorf("%d servers have a number", n)
		}
		return nil
	})
	d.Close(kept)
	eventually(t, "nothing has a number", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.kernel.written) > 0 || len(d.kernel.services.of) > 0 || len(d.fronts) > 0 {
			return fmt.Errorf("servers %v, services %v", d.kernel.written, d.kernel.services.of)
		}
		return nil
	})
	d.Shutdown(context.Background())
}

func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // between two looks
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s: not so: %v", what, err)
		}
	}
}

// TestHandover: while another process takes the maps over, this one changes nothing; when nobody has, it goes on.
func TestHandover(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := pinFolder(t)
	d := unattached(t, dir)
	s := newService(t, 1, 2, "rr")
	open(t, d, s)
	synced(t, d)
	heir := unattached(t, dir)
	if err := heir.Open(t.Context(), newService(t, 1, 2, "rr")); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	if _, err := d.Sockets(); err != nil {
		t.Fatal(err)
	}
	open(t, heir, newService(t, 1, 2, "rr"))
	d.mu.Lock()
	d.kernel.pins.lentAt = time.Time{} // long ago
	d.mu.Unlock()
	if d.owns() {
		t.Error("both processes have the maps")
	}
	heir.Shutdown(context.Background())
	if !d.owns() {
		t.Error("nobody has the maps, and they are not taken back")
	}
	d.Shutdown(context.Background())
}
