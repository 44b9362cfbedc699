package ipvsadm

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// sorted returns the table in the order in which ipvsadm lists it: by mark, address family, protocol, address and port,
// and the servers by address and port. ipvsadm compares by subtracting 32 bits, so 192.0.2.1 comes before 10.0.0.1: the
// difference is negative as a signed number. That is no order (a before b before c before a), hence what comes out
// depends on the method too, which is the merge sort of glibc before 2.37.
func sorted(table []service.Snapshot) []service.Snapshot {
	table = slices.Clone(table)
	mergeSort(table, compareServices)
	for i := range table {
		table[i].Servers = slices.Clone(table[i].Servers)
		mergeSort(table[i].Servers, func(a, b service.ServerSnapshot) int32 { return compareAddrs(a.Addr, b.Addr) })
	}
	return table
}

func compareServices(a, b service.Snapshot) int32 {
	differences := []int32{
		int32(a.ID.FWMark - b.ID.FWMark),
		family6(a.ID) - family6(b.ID),
		protocolNumber(a.ID.Protocol) - protocolNumber(b.ID.Protocol),
	}
	for _, d := range differences {
		if d != 0 {
			return d
		}
	}
	return compareAddrs(a.ID.Addr, b.ID.Addr)
}

func family6(id config.VirtualID) int32 {
	if id.IPv6 || id.Addr.Addr().Is6() {
		return 1
	}
	return 0
}

func protocolNumber(p config.Protocol) int32 {
	switch p {
	case config.TCP:
		return 6
	case config.UDP:
		return 17
	case config.Protocol(SCTP):
		return 132
	}
	return 0 // of a mark
}

// compareAddrs compares by the family of a. ipvsadm reads the other address, which may be of another family, as one of
// the same: its field for addresses is that of IPv6, and an IPv4 address fills the first four bytes.
func compareAddrs(a, b netip.AddrPort) int32 {
	words := 1
	if a.Addr().Is6() {
		words = 4
	}
	x, y := field(a.Addr()), field(b.Addr())
	for i := 0; i < words; i++ {
		if d := int32(binary.BigEndian.Uint32(x[4*i:]) - binary.BigEndian.Uint32(y[4*i:])); d != 0 {
			return d
		}
	}
	return int32(a.Port()) - int32(b.Port())
}

func field(a netip.Addr) (b [16]byte) {
	if a.IsValid() {
		copy(b[:], a.AsSlice())
	}
	return b
}

func mergeSort[T any](s []T, compare func(a, b T) int32) {
	if len(s) < 2 {
		return
	}
	left, right := slices.Clone(s[:len(s)/2]), slices.Clone(s[len(s)/2:])
	mergeSort(left, compare)
	mergeSort(right, compare)
	for i := range s {
		if len(right) == 0 || len(left) > 0 && compare(left[0], right[0]) <= 0 {
			s[i], left = left[0], left[1:]
		} else {
			s[i], right = right[0], right[1:]
		}
	}
}
