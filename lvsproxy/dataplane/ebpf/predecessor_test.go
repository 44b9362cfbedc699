package ebpf

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"go.uber.org/goleak"

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
