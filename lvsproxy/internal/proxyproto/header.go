// Package proxyproto reads and writes the headers of the PROXY protocol, versions 1 and 2, by which a proxy tells the
// server behind it who the client is (haproxy.org/download/2.6/doc/proxy-protocol.txt). It works on bytes, not on
// connections, so that an event loop can use it: a header that is not complete is tried again with more of it.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Header says whose connection it is. Without a valid Source it says nothing, and the connection's own addresses count:
// a proxy speaks for itself so, to check health for example (LOCAL), or does not know (UNKNOWN, or another family).
type Header struct {
	Source, Destination netip.AddrPort
}

// MaxSize is how long a header may be. The protocol allows 64 KiB for extensions; what is sent in practice is less than
// a tenth of this.
const MaxSize = 4096

var (
	// ErrShort tells that the bytes may be the beginning of a header.
	ErrShort = errors.New("PROXY protocol header is not complete")
	// ErrInvalid tells that they cannot.
	ErrInvalid = errors.New("no PROXY protocol header")
)

const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	maxSize1   = 107 // with its CRLF
	sizeHead2  = 16  // of version 2, before the addresses
)

// Parse reads the header that b begins with and returns its length.
func Parse(b []byte) (h Header, size int, err error) {
	switch {
	case begins(b, signature2):
		return parse2(b)
	case begins(b, signature1):
		return parse1(b)
	}
	return Header{}, 0, ErrInvalid
}

// begins reports whether b begins with a signature, as far as it goes.
func begins(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

func parse1(b []byte) (Header, int, error) {
	end := bytes.Index(b[:min(len(b), maxSize1)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= maxSize1 {
			return Header{}, 0, fmt.Errorf("%w: no end within %d bytes", ErrInvalid, maxSize1)
		}
		return Header{}, 0, ErrShort
	}
	if end < len(signature1) {
		return Header{}, 0, ErrInvalid
	}
	size, fields := end+2, strings.Split(string(b[len(signature1):end]), " ")
	if fields[0] == "UNKNOWN" {
		return Header{}, size, nil
	}
	if len(fields) != 5 || fields[0] != "TCP4" && fields[0] != "TCP6" {
		return Header{}, 0, fmt.Errorf("%w: %q", ErrInvalid, b[:end])
	}
	source, err := parseAddr(fields[0], fields[1], fields[3])
	destination, err2 := parseAddr(fields[0], fields[2], fields[4])
	if err := errors.Join(err, err2); err != nil {
		return Header{}, 0, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Header{source, destination}, size, nil
}

func parseAddr(family, host, port string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if addr.Is4() != (family == "TCP4") || addr.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%q is no address of %s", host, family)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port[0] == '+' || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, fmt.Errorf("%q is no port", port)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}

// The second byte of version 2: the address family and what is spoken.
const (
	tcp4 = 0x11
	udp4 = 0x12
	tcp6 = 0x21
	udp6 = 0x22
)

func parse2(b []byte) (Header, int, error) {
	if len(b) < sizeHead2 {
		return Header{}, 0, ErrShort
	}
	command, family := b[12], b[13]
	size := sizeHead2 + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case command != 0x20 && command != 0x21:
		return Header{}, 0, fmt.Errorf("%w: version and command are %#x", ErrInvalid, command)
	case size > MaxSize:
		return Header{}, 0, fmt.Errorf("%w: %d bytes", ErrInvalid, size)
	case len(b) < size:
		return Header{}, 0, ErrShort
	case command == 0x20: // LOCAL: what follows does not count
		return Header{}, size, nil
	}
	var h Header
	addresses := b[sizeHead2:size]
	switch family {
	case tcp4, udp4:
		if len(addresses) < 12 {
			return Header{}, 0, fmt.Errorf("%w: %d bytes of addresses", ErrInvalid, len(addresses))
		}
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(addresses[0:4])), binary.BigEndian.Uint16(addresses[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(addresses[4:8])), binary.BigEndian.Uint16(addresses[10:]))
	case tcp6, udp6:
		if len(addresses) < 36 {
			return Header{}, 0, fmt.Errorf("%w: %d bytes of addresses", ErrInvalid, len(addresses))
		}
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(addresses[0:16])).Unmap(), binary.BigEndian.Uint16(addresses[32:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(addresses[16:32])).Unmap(), binary.BigEndian.Uint16(addresses[34:]))
	}
	return h, size, nil
}

// Append appends the header in version 1 or 2, for a TCP connection.
func (h Header) Append(b []byte, version int) []byte {
	if version == 1 {
		return h.append1(b)
	}
	return h.append2(b)
}

// isIPv4 reports whether both addresses are of IPv4; else both are written as IPv6.
func (h Header) isIPv4() bool {
	return h.Source.Addr().Unmap().Is4() && h.Destination.Addr().Unmap().Is4()
}

func (h Header) append1(b []byte) []byte {
	if !h.Source.IsValid() || !h.Destination.IsValid() {
		return append(b, signature1+"UNKNOWN\r\n"...)
	}
	text := func(a netip.AddrPort) string {
		if h.isIPv4() {
			return a.Addr().Unmap().String()
		}
		return netip.AddrFrom16(a.Addr().As16()).String()
	}
	family := "TCP6"
	if h.isIPv4() {
		family = "TCP4"
	}
	return fmt.Appendf(b, signature1+"%s %s %s %d %d\r\n", family, text(h.Source), text(h.Destination), h.Source.Port(), h.Destination.Port())
}

func (h Header) append2(b []byte) []byte {
	b = append(b, signature2...)
	switch {
	case !h.Source.IsValid() || !h.Destination.IsValid():
		return append(b, 0x20, 0, 0, 0)
	case h.isIPv4():
		b = append(b, 0x21, tcp4, 0, 12)
		source, destination := h.Source.Addr().Unmap().As4(), h.Destination.Addr().Unmap().As4()
		b = append(append(b, source[:]...), destination[:]...)
	default:
		b = append(b, 0x21, tcp6, 0, 36)
		source, destination := h.Source.Addr().As16(), h.Destination.Addr().As16()
		b = append(append(b, source[:]...), destination[:]...)
	}
	b = binary.BigEndian.AppendUint16(b, h.Source.Port())
	return binary.BigEndian.AppendUint16(b, h.Destination.Port())
}
