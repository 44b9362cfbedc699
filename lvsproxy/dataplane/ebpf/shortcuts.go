package ebpf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// refreshShortcuts tells the programs which interfaces are shortcuts: veths whose other end is in another network namespace
// (containers, or the switch before them), and where nothing is to happen to what goes out. What goes out by such an
// interface is as if it had arrived at the other end, and is spared the queue between the two.
func refreshShortcuts(table *ebpf.Map) error {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // with that, more news will come
		return fmt.Errorf("list the interfaces: %w", err)
	}
	qdiscs, err := netlink.QdiscList(nil) // of all interfaces: the kernel lists no fewer for one
	if err != nil {
		links = nil // if it cannot be told, none is one
	}
	of := map[int][]netlink.Qdisc{}
	for _, q := range qdiscs {
		of[q.Attrs().LinkIndex] = append(of[q.Attrs().LinkIndex], q)
	}
	var wanted []uint32
	for _, l := range links {
		if shortcut(l, of[l.Attrs().Index]) {
			wanted = append(wanted, uint32(l.Attrs().Index))
		}
	}
	var index uint32
	var yes uint8
	var old []uint32
	all := table.Iterate()
	for all.Next(&index, &yes) {
		if !slices.Contains(wanted, index) {
			old = append(old, index)
		}
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read the shortcuts: %w", err)
	}
	for _, index := range old {
		if err := table.Delete(index); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete a shortcut: %w", err)
		}
	}
	for _, index := range wanted[:min(len(wanted), int(table.MaxEntries()))] { // the others go the long way
		if err := table.Put(index, uint8(1)); err != nil {
			return fmt.Errorf("add a shortcut: %w", err)
		}
	}
	return nil
}

// shortcut reports whether an interface with these queueing disciplines is one. If it cannot be told, it is none.
func shortcut(l netlink.Link, qdiscs []netlink.Qdisc) bool {
	if l.Type() != "veth" || l.Attrs().NetNsID < 0 {
		return false
	}
	for _, q := range qdiscs {
		switch q.Type() {
		case "noqueue", "ingress":
		case "clsact":
			if filters, err := netlink.FilterList(l, netlink.HANDLE_MIN_EGRESS); err != nil || len(filters) > 0 {
				return false
			}
		default: // packets are to be delayed, ordered or dropped
			return false
		}
	}
	programs, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: ebpf.AttachTCXEgress})
	if err != nil { // before Linux 6.6 there is no such thing
		return errors.Is(err, ebpf.ErrNotSupported)
	}
	return len(programs.Programs) == 0
}
