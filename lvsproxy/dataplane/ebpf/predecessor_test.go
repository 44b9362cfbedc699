package ebpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
)

// leave has a process of another version leave a service and connections in the kernel, of which one has so much time left, and
// returns the maps.
func leave(t *testing.T, dir string, left time.Duration) *kernel {
	t.Helper()
	p, err := openPins(dir)
	if err != nil {
		t.Fatal(err)
	}
	p.version = "v0"
	if err := os.MkdirAll(p.path(linksFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	d := unattached(t, dir)
	k, err := loadKernel(p, d.options, d.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.objects.Services.Put(bpf.KernelServiceKey{Port: 80}, bpf.KernelService{Id: 1}); err != nil {
		t.Fatal(err)
	}
	for port := range uint16(10) {
		c := bpf.KernelConn{Server: 1, Expires: monotonic() - uint64(time.Minute)}
		if port == 7 {
			c.Expires = monotonic() + uint64(left)
		}
		if err := k.objects.Conns.Put(bpf.KernelFlow{FromPort: port}, c); err != nil {
			t.Fatal(err)
		}
	}
	p.lock.Close()
	t.Cleanup(k.close)
	return k
}

// TestPredecessor: what a version with other tables has left takes new connections until all services are in the kernel, and goes
// on with those that it has until there are none.
func TestPredecessor(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := pinFolder(t)
	before := leave(t, dir, time.Hour)
	d := unattached(t, dir)
	open(t, d, newService(t, 1, 2, "rr"))
	var service bpf.KernelService
	if err := before.objects.Services.Lookup(bpf.KernelServiceKey{Port: 80}, &service); err != nil {
		t.Errorf("before this version is established: %v", err)
	}
	eventually(t, "its services are closed", func() error {
		if err := before.objects.Services.Lookup(bpf.KernelServiceKey{Port: 80}, &service); !errors.Is(err, ebpf.ErrKeyNotExist) {
			return errors.New("they are not")
		}
		return nil
	})
	var c bpf.KernelConn
	eventually(t, "the connections whose time is up are taken out", func() error {
		for port := range uint16(10) {
			if err := before.objects.Conns.Lookup(bpf.KernelFlow{FromPort: port}, &c); port != 7 && err == nil {
				return errors.New("they are not")
			}
		}
		return nil
	})
	if err := before.objects.Conns.Lookup(bpf.KernelFlow{FromPort: 7}, &c); err != nil {
		t.Errorf("the connection that has time left: %v", err)
	}
	if _, err := os.Stat(before.pins.path()); err != nil {
		t.Errorf("while there is a connection: %v", err)
	}
	if err := before.objects.Conns.Put(bpf.KernelFlow{FromPort: 7}, bpf.KernelConn{Server: 1}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing of it is pinned", func() error {
		if _, err := os.Stat(before.pins.path()); !errors.Is(err, fs.ErrNotExist) {
			return errors.New("it is")
		}
		return nil
	})
	d.Shutdown(context.Background())
}

// TestPredecessorPrograms: programs of a version with other tables stay before ours at an interface, and go alone: by TCX, and
// without.
func TestPredecessorPrograms(t *testing.T) {
	for _, noTCX := range []bool{false, true} {
		t.Run(fmt.Sprintf("noTCX=%t", noTCX), func(t *testing.T) {
			dir := pinFolder(t)
			r := namespaces.Need(t)
			if err := r.Do(namespaces.Director, func() error { return testPredecessorPrograms(t, dir, noTCX) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func testPredecessorPrograms(t *testing.T, dir string, noTCX bool) error {
	p, err := openPins(dir)
	if err != nil {
		return err
	}
	defer p.close()
	before := &pins{root: dir, version: "v0"}
	if err := os.MkdirAll(before.path(linksFolder), 0o700); err != nil {
		return err
	}
	first, second, third := passing(t), passing(t), passing(t)
	begin := func(p *pins, program *ebpf.Program) error {
		a := newAttachments(p, testHook(program), Options{Interfaces: []string{"client"}, Logger: slog.New(slog.DiscardHandler), noTCX: noTCX})
		a.last = true
		defer a.close()
		return a.refresh()
	}
	for _, err := range []error{begin(before, first), begin(p, second), begin(p, third)} { // ours once, also after a restart
		if err != nil {
			return err
		}
	}
	device, err := net.InterfaceByName("client")
	if err != nil {
		return err
	}
	are := func(want ...*ebpf.Program) {
		t.Helper()
		eventually(t, "the programs are those wanted", func() error { // the kernel lets go of a link a little later
			if got := programsAt(t, device.Index, noTCX); !slices.EqualFunc(got, want, func(id int, p *ebpf.Program) bool { return id == idOf(t, p) }) {
				return fmt.Errorf("they are %v", got)
			}
			return nil
		})
	}
	are(first, third)
	at, err := attached(p)
	if err != nil || len(at) != 2 || at[0].Version != "v0" || at[1].Version != schema {
		t.Errorf("got %+v, %v", at, err)
	}
	if err := (&predecessor{pins: before}).retire(testHook(first)); err != nil {
		return err
	}
	are(third)
	return p.remove()
}

// programsAt returns the ids of the programs at ingress of an interface, in their order.
func programsAt(t *testing.T, index int, noTCX bool) (ids []int) {
	t.Helper()
	if noTCX {
		filters, err := netlink.FilterList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}, netlink.HANDLE_MIN_INGRESS)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range filters { // the kernel lists them by priority
			ids = append(ids, f.(*netlink.BpfFilter).Id)
		}
		return ids
	}
	all, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Programs {
		ids = append(ids, int(p.ID))
	}
	return ids
}

// TestUnknownPredecessor: what cannot be understood stays, and so do the programs of others.
func TestUnknownPredecessor(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := pinFolder(t)
	p, err := openPins(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	other := &pins{root: dir, version: "v0"}
	if err := os.MkdirAll(other.path(linksFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	conns, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	if err := conns.Pin(other.path(bpf.KernelMapConns)); err != nil {
		t.Fatal(err)
	}
	all, err := p.predecessors()
	if err != nil || len(all) != 1 {
		t.Fatalf("got %v, %v", all, err)
	}
	if err := all[0].close(); err != nil || !all[0].closed {
		t.Errorf("without services: %v", err)
	}
	if used, err := all[0].used(); !used || err == nil {
		t.Errorf("got %t, %v of a table without types", used, err)
	}
	program := passing(t)
	if err := program.Pin(other.path(linksFolder, "eth0-1-decapsulate")); err != nil { // in the place of a link
		t.Fatal(err)
	}
	if err := all[0].retire(testHook(program)); err != nil {
		t.Error(err)
	}
	if names, err := other.names(linksFolder); err != nil || len(names) != 1 {
		t.Errorf("got %v, %v", names, err)
	}
}
