package ebpf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Attached is a program at an interface, with or without a process that fills its maps.
type Attached struct {
	Interface string
	Hook      string // ingress or egress
	By        string // tcx, clsact or xdp
	Program   int    // the kernel's id of it, as bpftool-prog(8) shows it
	Version   string // of the layout of its maps
}

// Pinned is a map that is pinned.
type Pinned struct {
	Name       string
	Type       string
	MaxEntries int
	Bytes      uint64 // of memory, as the kernel counts it; 0 where it does not say
}

// State is what the kernel has of this dataplane.
type State struct {
	Pin      string
	Running  bool // a process keeps the maps up to date
	Programs []Attached
	Maps     []Pinned
}

// Inspect returns what the kernel has of the dataplane that is pinned in a folder. It changes nothing.
func Inspect(pin string) (State, error) {
	state := State{Pin: pin}
	if _, err := os.Stat(pin); errors.Is(err, fs.ErrNotExist) {
		return state, nil
	} else if err != nil {
		return state, err // it is not known what there is
	}
	if !onBPF(pin) {
		return state, nil
	}
	p, err := openPins(pin)
	switch {
	case errors.Is(err, ErrInUse):
		state.Running, p = true, &pins{root: pin, version: schema}
	case err != nil:
		return state, err
	default:
		defer p.close()
	}
	if state.Programs, err = attached(p); err != nil {
		return state, err
	}
	state.Maps, err = p.maps()
	return state, err
}

// attached returns the programs that are at an interface.
func attached(p *pins) ([]Attached, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	others, err := p.others()
	if err != nil {
		return nil, err
	}
	var at []Attached
	for _, version := range append(others, p) {
		links, err := version.links(interfaces)
		if err != nil {
			return nil, err
		}
		at = append(at, links...)
	}
	for _, i := range interfaces {
		for _, f := range filters(i) {
			at = append(at, Attached{i.Name, hookOf(f.Parent), "clsact", f.Id, fmt.Sprint("v", f.Priority-priority("v0"))})
		}
	}
	return at, nil
}

// links returns what is attached by links that are pinned.
func (p *pins) links(interfaces []net.Interface) (at []Attached, err error) {
	names, err := p.names(linksFolder)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		l, err := link.LoadPinnedLink(p.path(linksFolder, name), nil)
		if err != nil {
			return nil, err
		}
		info, err := l.Info()
		l.Close()
		if err != nil {
			return nil, err
		}
		one, index := Attached{Hook: "ingress", Program: int(info.Program), Version: p.version}, uint32(0)
		switch tcx, xdp := info.TCX(), info.XDP(); {
		case tcx != nil:
			one.By, index = "tcx", tcx.Ifindex
			if ebpf.AttachType(tcx.AttachType) == ebpf.AttachTCXEgress {
				one.Hook = "egress"
			}
		case xdp != nil:
			one.By, index = "xdp", xdp.Ifindex
		}
		i := slices.IndexFunc(interfaces, func(i net.Interface) bool { return i.Index == int(index) })
		if i < 0 {
			continue // the interface has gone
		}
		one.Interface = interfaces[i].Name
		at = append(at, one)
	}
	return at, nil
}

// maps returns those that are pinned.
func (p *pins) maps() (maps []Pinned, err error) {
	names, err := p.names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		m, err := ebpf.LoadPinnedMap(p.path(name), &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			return nil, err
		}
		one := Pinned{Name: name, Type: m.Type().String(), MaxEntries: int(m.MaxEntries())}
		if info, err := m.Info(); err == nil {
			one.Bytes, _ = info.Memlock()
		}
		m.Close()
		maps = append(maps, one)
	}
	return maps, nil
}

// filters returns ours of clsact at an interface.
func filters(i net.Interface) (ours []*netlink.BpfFilter) {
	at := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: i.Index}}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		all, err := netlink.FilterList(at, parent)
		if err != nil {
			continue // no clsact there
		}
		for _, f := range all {
			if f, ok := f.(*netlink.BpfFilter); ok && f.Name == filterName {
				f.Parent = parent
				ours = append(ours, f)
			}
		}
	}
	return ours
}

func hookOf(parent uint32) string {
	if parent == netlink.HANDLE_MIN_EGRESS {
		return "egress"
	}
	return "ingress"
}

// Detach takes the programs from all interfaces, and removes the maps with all connections. A process that keeps them must
// end first: ErrInUse. It returns what it took away.
func Detach(pin string) ([]Attached, error) {
	if _, err := os.Stat(pin); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p, err := openPins(pin)
	if err != nil {
		return nil, err
	}
	defer p.close()
	at, err := attached(p)
	if err != nil {
		return nil, err
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, i := range interfaces {
		for _, f := range filters(i) {
			if err := netlink.FilterDel(f); err != nil {
				errs = append(errs, fmt.Errorf("take the filter from %s: %w", i.Name, err))
			}
		}
	}
	// The last one who knows a link was its pin.
	return at, errors.Join(append(errs, p.remove())...)
}

// Folder returns where the maps and links of a folder for pins lie.
func Folder(pin string) string { return filepath.Join(pin, schema) }
