package ebpf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf/internal/bpf"
)

// XDP says at which interfaces packets are sent on in the driver already, if it can: those of connections by masq and gate that are
// established. All others, and all that comes to other interfaces, are taken at traffic control.
type XDP string

// The values of XDP.
const (
	// XDPOff means at none.
	XDPOff XDP = "off"
	// XDPAuto means at those that are a device, of hardware or of a hypervisor's.
	XDPAuto XDP = "auto"
	// XDPOn means at virtual ones too. What a machine sends itself by a veth is cut into packets then, each with its checksum.
	XDPOn XDP = "on"
)

// wants reports whether XDP is to be tried at an interface.
func (x XDP) wants(name string) bool {
	switch x {
	case XDPOn:
		return true
	case XDPAuto:
		_, err := os.Stat(filepath.Join("/sys/class/net", name, "device"))
		return err == nil
	}
	return false
}

// early keeps the program of XDP at interfaces. Its zero value keeps none.
type early struct {
	xdp        XDP
	program    *ebpf.Program
	interfaces *ebpf.Map // those that have it: only to these it sends
}

// earlyHook is the name of XDP's place at an interface.
const earlyHook = "xdp"

// attach brings the program into an interface's driver. It returns no link where it is not wanted.
func (e early) attach(pins *pins, index int, name string) (link.Link, error) {
	if e.program == nil || !e.xdp.wants(name) {
		return nil, nil
	}
	l, err := e.link(pins.path(linksFolder, pinName(name, index, earlyHook)), index)
	if err != nil {
		return nil, err
	}
	if err := e.know(index); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// link returns the pinned link, with our program.
func (e early) link(pin string, index int) (link.Link, error) {
	l, err := link.LoadPinnedLink(pin, nil)
	if err == nil {
		info, err := l.Info()
		if err == nil && info.XDP() != nil && int(info.XDP().Ifindex) == index {
			return l, l.Update(e.program)
		}
		l.Close() // of an interface that was removed
		os.Remove(pin)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// Never the kernel's generic XDP, which is slower than traffic control.
	l, err = link.AttachXDP(link.XDPOptions{Program: e.program, Interface: index, Flags: link.XDPDriverMode})
	return pinned(l, err, pin)
}

// know tells the program about an interface that has it.
func (e early) know(index int) error {
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return err
	}
	var mac bpf.KernelMac
	if copy(mac.Bytes[:], i.HardwareAddr) != len(mac.Bytes) {
		return fmt.Errorf("%s is no Ethernet", i.Name)
	}
	return e.interfaces.Put(uint32(index), mac)
}

// forget has the program send nothing more by an interface, before it is taken away there.
func (e early) forget(index int) {
	if e.interfaces != nil {
		e.interfaces.Delete(uint32(index)) // it may be unknown
	}
}

// keep has the program know the interfaces that have it, as they are now, and no others.
func (e early) keep(at map[int]*attachment) error {
	if e.interfaces == nil {
		return nil
	}
	var index uint32
	var mac bpf.KernelMac
	var gone []int
	all := e.interfaces.Iterate()
	for all.Next(&index, &mac) {
		if at[int(index)] == nil || !at[int(index)].early {
			gone = append(gone, int(index))
		}
	}
	for _, index := range gone {
		e.forget(index)
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read the interfaces of XDP: %w", err)
	}
	for index, one := range at {
		if one.early {
			if err := e.know(index); err != nil { // its MAC address may be another one
				e.forget(index)
			}
		}
	}
	return nil
}
