package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
)

// errForeign tells of a service that no director has, such as one of SCTP.
var errForeign = errors.New("a service that the director does not have")

// numbers are the protocols of services with an address.
var numbers = map[config.Protocol]uint16{config.TCP: unix.IPPROTO_TCP, config.UDP: unix.IPPROTO_UDP}

// identity encodes what a service is known by.
func identity(id config.VirtualID) attributes {
	var a attributes
	a.uint16(svcFamily, serviceFamily(id))
	if id.Protocol == config.FWM {
		a.uint32(svcFWMark, id.FWMark)
		return a
	}
	a.uint16(svcProtocol, numbers[id.Protocol])
	a.addr(svcAddr, id.Addr.Addr())
	a.port(svcPort, id.Addr.Port())
	return a
}

func serviceFamily(id config.VirtualID) uint16 {
	switch {
	case id.Protocol != config.FWM:
		return familyOf(id.Addr.Addr())
	case id.IPv6:
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// encodeService encodes a service with all that can be edited.
func encodeService(s table.Service) attributes {
	a := identity(s.ID)
	a.text(svcScheduler, s.Scheduler)
	if s.Engine != "" {
		a.text(svcEngine, s.Engine)
	}
	flags, four, length := s.Flags, serviceFamily(s.ID) == unix.AF_INET, s.Netmask
	if s.Timeout > 0 {
		flags |= flagPersistent
	} else {
		length = wholeAddress(four) // the kernel refuses IPv6 with less than a bit, persistent or not
	}
	a.add(svcFlags, native.AppendUint32(native.AppendUint32(nil, flags), math.MaxUint32))
	a.uint32(svcTimeout, uint32(s.Timeout/time.Second))
	a.add(svcNetmask, netmask(four, length))
	return a
}

func wholeAddress(four bool) int {
	if four {
		return 32
	}
	return 128
}

// netmask encodes how many leading bits of a client's address count: a mask for IPv4, their number for IPv6.
func netmask(four bool, length int) []byte {
	if !four {
		return native.AppendUint32(nil, uint32(length))
	}
	return binary.BigEndian.AppendUint32(nil, ^uint32(math.MaxUint32>>length))
}

// maskLength is netmask's inverse; -1 for a mask that has a hole.
func maskLength(four bool, b []byte) int {
	switch {
	case len(b) != 4:
		return -1
	case !four:
		return int(native.Uint32(b))
	}
	mask := binary.BigEndian.Uint32(b)
	length := bits.LeadingZeros32(^mask)
	if mask != ^uint32(math.MaxUint32>>length) {
		return -1
	}
	return length
}

// decodeService returns the service of a message's attributes, or errForeign. A time-out without persistence, and a netmask
// without it, are no part of what a [table.Service] says.
func decodeService(b []byte) (s table.Service, err error) {
	message, err := parse(b)
	if err != nil {
		return s, err
	}
	v, err := message.nested(attrService)
	if err != nil {
		return s, err
	}
	if s.ID, err = decodeIdentity(v); err != nil {
		return s, err
	}
	s.Scheduler, s.Engine = v.text(svcScheduler), v.text(svcEngine)
	if len(v[svcFlags]) != 8 { // struct ip_vs_flags: the flags, and a mask that says which of them count
		return s, fmt.Errorf("flags of %d bytes: %w", len(v[svcFlags]), errShort)
	}
	s.Flags = native.Uint32(v[svcFlags]) &^ flagHashed
	if s.Flags&flagPersistent == 0 {
		return s, nil
	}
	s.Timeout = time.Duration(uint32(v.number(svcTimeout))) * time.Second
	s.Netmask = maskLength(serviceFamily(s.ID) == unix.AF_INET, v[svcNetmask])
	if s.Timeout > 0 {
		s.Flags &^= flagPersistent // Timeout says it
	}
	return s, nil
}

func decodeIdentity(v values) (id config.VirtualID, err error) {
	family := v.number(svcFamily)
	if family != unix.AF_INET && family != unix.AF_INET6 {
		return id, fmt.Errorf("service of address family %d", family)
	}
	if mark := v.number(svcFWMark); mark != 0 {
		return config.VirtualID{Protocol: config.FWM, FWMark: uint32(mark), IPv6: family == unix.AF_INET6}, nil
	}
	a, err := v.addr(svcAddr, family)
	if err != nil {
		return id, err
	}
	id.Addr = netip.AddrPortFrom(a, v.port(svcPort))
	for protocol, number := range numbers {
		if uint64(number) == v.number(svcProtocol) {
			id.Protocol = protocol
			return id, nil
		}
	}
	return id, errForeign
}
