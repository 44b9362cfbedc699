package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// native is the byte order of what has no other: only ports, IPv4 addresses and IPv4 netmasks are in the network's.
var native = binary.NativeEndian

// attributes are encoded netlink attributes, each of which begins at a multiple of 4 bytes.
type attributes []byte

func (a *attributes) add(kind uint16, value []byte) {
	*a = native.AppendUint16(*a, uint16(unix.SizeofNlAttr+len(value)))
	*a = native.AppendUint16(*a, kind)
	*a = append(*a, value...)
	*a = append(*a, make([]byte, padding(len(value)))...)
}

func (a *attributes) uint8(kind uint16, v uint8)   { a.add(kind, []byte{v}) }
func (a *attributes) uint16(kind uint16, v uint16) { a.add(kind, native.AppendUint16(nil, v)) }
func (a *attributes) uint32(kind uint16, v uint32) { a.add(kind, native.AppendUint32(nil, v)) }
func (a *attributes) port(kind uint16, v uint16) {
	a.add(kind, binary.BigEndian.AppendUint16(nil, v))
}
func (a *attributes) text(kind uint16, v string) { a.add(kind, append([]byte(v), 0)) }

// addr adds an address as the kernel's union nf_inet_addr, which has 16 bytes whatever the family.
func (a *attributes) addr(kind uint16, v netip.Addr) {
	var union [16]byte
	copy(union[:], v.AsSlice())
	a.add(kind, union[:])
}

func (a *attributes) nested(kind uint16, v attributes) { a.add(kind|unix.NLA_F_NESTED, v) }

// padding returns how many bytes follow a value of n bytes.
func padding(n int) int { return -n & (unix.NLA_ALIGNTO - 1) }

// values are the attributes of one message or nest, by kind. Of several of a kind the last counts. What is not there reads
// as 0.
type values map[uint16][]byte

// kindMask takes the flags of an attribute's kind away.
const kindMask = ^uint16(unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)

var errShort = errors.New("attribute is cut short")

// parse reads attributes.
func parse(b []byte) (values, error) {
	found := values{}
	for len(b) > 0 {
		if len(b) < unix.SizeofNlAttr {
			return nil, errShort
		}
		length, kind := int(native.Uint16(b)), native.Uint16(b[2:])&kindMask
		if length < unix.SizeofNlAttr || length > len(b) {
			return nil, fmt.Errorf("%w: %d bytes of %d", errShort, len(b), length)
		}
		found[kind] = b[unix.SizeofNlAttr:length]
		b = b[min(length+padding(length), len(b)):]
	}
	return found, nil
}

// nested reads the attributes within one.
func (v values) nested(kind uint16) (values, error) { return parse(v[kind]) }

// number returns an unsigned number of whatever width the kernel has sent; 0 of a width that there is not.
func (v values) number(kind uint16) uint64 {
	switch b := v[kind]; len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(native.Uint16(b))
	case 4:
		return uint64(native.Uint32(b))
	case 8:
		return native.Uint64(b)
	}
	return 0
}

func (v values) port(kind uint16) uint16 {
	if b := v[kind]; len(b) == 2 {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (v values) text(kind uint16) string {
	text, _, _ := strings.Cut(string(v[kind]), "\x00")
	return text
}

// addr returns an address of a family, or an error if there is none.
func (v values) addr(kind uint16, family uint64) (netip.Addr, error) {
	length := 0
	switch family {
	case unix.AF_INET:
		length = 4
	case unix.AF_INET6:
		length = 16
	default:
		return netip.Addr{}, fmt.Errorf("address family %d is neither IPv4 nor IPv6", family)
	}
	if len(v[kind]) < length {
		return netip.Addr{}, fmt.Errorf("address of %d bytes: %w", len(v[kind]), errShort)
	}
	a, _ := netip.AddrFromSlice(v[kind][:length]) // addresses have these lengths
	return a, nil
}

// familyOf returns the number of an address's family.
func familyOf(a netip.Addr) uint16 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
