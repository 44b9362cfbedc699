package ebpf

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// TestShortcuts: an interface is a shortcut if its other end is in another namespace, and as long as nothing is to happen to what
// goes out there.
func TestShortcuts(t *testing.T) {
	r := namespaces.Need(t)
	if err := r.Do(namespaces.Director, func() error { return testShortcuts(t, passing(t)) }); err != nil {
		t.Fatal(err)
	}
}

func testShortcuts(t *testing.T, program *ebpf.Program) error {
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 1, MaxEntries: 16})
	if err != nil {
		return err
	}
	defer table.Close()
	if err := table.Put(uint32(1), uint8(1)); err != nil { // an interface that went
		return err
	}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "here"}, PeerName: "too"}); err != nil {
		return err
	}
	real1, err := netlink.LinkByName("real1")
	if err != nil {
		return err
	}
	index := real1.Attrs().Index
	check := func(when string, real1 bool) error {
		if err := refreshShortcuts(table); err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		var yes uint8
		for name, want := range map[string]bool{"client": true, "real1": real1, "real2": true, "here": false, "too": false, "lo": false} {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if got := table.Lookup(uint32(l.Attrs().Index), &yes) == nil; got != want {
				t.Errorf("%s: %s is a shortcut: %t, want %t", when, name, got, want)
			}
		}
		if table.Lookup(uint32(1), &yes) == nil {
			t.Errorf("%s: the interface that went is still one", when)
		}
		return nil
	}
	if err := check("at first", true); err != nil {
		return err
	}

	queue := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       1 << 20, Limit: 1 << 20, Buffer: 1 << 15,
	}
	if err := netlink.QdiscAdd(queue); err != nil {
		return fmt.Errorf("add a queue: %w", err)
	}
	if err := check("with a queue", false); err != nil {
		return err
	}
	if err := netlink.QdiscDel(queue); err != nil {
		return err
	}

	egress := hook{parent: netlink.HANDLE_MIN_EGRESS, program: program}
	if err := clsact(index, hook{parent: netlink.HANDLE_MIN_INGRESS, program: program}, schema); err != nil {
		return err
	}
	if err := check("with a filter of what comes in", true); err != nil {
		return err
	}
	if err := clsact(index, egress, schema); err != nil {
		return err
	}
	if err := check("with a filter of what goes out", false); err != nil {
		return err
	}
	if err := netlink.FilterDel(filter(index, egress, schema)); err != nil {
		return err
	}

	at, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: program, Attach: ebpf.AttachTCXEgress})
	if err == nil { // there is TCX
		defer at.Close()
		if err := check("with a program for what goes out", false); err != nil {
			return err
		}
		if err := at.Close(); err != nil {
			return err
		}
	}
	return check("at last", true)
}
