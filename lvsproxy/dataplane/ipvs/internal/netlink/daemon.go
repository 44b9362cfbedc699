package netlink

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/service"
)

// states are IP_VS_STATE_*.
var states = map[string]uint32{"master": 1, "backup": 2}

// encodeState encodes what a daemon is known by.
func encodeState(state string) (attributes, error) {
	n, ok := states[state]
	if !ok {
		return nil, fmt.Errorf("synchronisation daemon of state %q: expected master or backup", state)
	}
	var a attributes
	a.uint32(daemonState, n)
	return a, nil
}

// encodeDaemon encodes a daemon that is to be started; what is 0 is left to the kernel.
func encodeDaemon(d service.SyncDaemon) (attributes, error) {
	a, err := encodeState(d.State)
	if err != nil {
		return nil, err
	}
	a.text(daemonInterface, d.Interface)
	a.uint32(daemonSyncID, uint32(d.SyncID))
	if d.MaxLen != 0 {
		a.uint16(daemonMaxLen, uint16(d.MaxLen))
	}
	switch {
	case d.Group.Is4():
		a.add(daemonGroup, d.Group.AsSlice())
	case d.Group.Is6():
		a.addr(daemonGroup6, d.Group)
	}
	if d.Port != 0 {
		a.uint16(daemonPort, uint16(d.Port)) // in the machine's order, unlike other ports
	}
	if d.TTL != 0 {
		a.uint8(daemonTTL, uint8(d.TTL))
	}
	return a, nil
}

// decodeDaemon returns the daemon of a message's attributes.
func decodeDaemon(b []byte) (d service.SyncDaemon, err error) {
	message, err := parse(b)
	if err != nil {
		return d, err
	}
	v, err := message.nested(attrDaemon)
	if err != nil {
		return d, err
	}
	for name, n := range states {
		if uint64(n) == v.number(daemonState) {
			d.State = name
		}
	}
	if d.State == "" {
		return d, fmt.Errorf("synchronisation daemon of state %d", v.number(daemonState))
	}
	d.Group, err = group(v)
	d.Interface = v.text(daemonInterface)
	d.SyncID = int(uint32(v.number(daemonSyncID)))
	d.MaxLen = int(uint16(v.number(daemonMaxLen)))
	d.Port = int(uint16(v.number(daemonPort)))
	d.TTL = int(uint8(v.number(daemonTTL)))
	return d, err
}

// group returns the multicast group, or the zero address if the kernel has told none.
func group(v values) (netip.Addr, error) {
	switch {
	case v[daemonGroup] != nil:
		return v.addr(daemonGroup, unix.AF_INET)
	case v[daemonGroup6] != nil:
		return v.addr(daemonGroup6, unix.AF_INET6)
	}
	return netip.Addr{}, nil
}
