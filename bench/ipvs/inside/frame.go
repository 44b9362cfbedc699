package main

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// TCP's flags.
const (
	syn = 2
	ack = 16
)

// way is between two devices that a frame goes from one to the other of.
type way struct{ from, to net.HardwareAddr }

// ether returns a frame's header.
func (w way) ether(kind uint16) []byte {
	return binary.BigEndian.AppendUint16(append(append(make([]byte, 0, 128), w.to...), w.from...), kind)
}

// segment returns a segment of TCP without data, in a frame.
func (w way) segment(from, to netip.AddrPort, flags byte) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	tcp[12], tcp[13], tcp[14] = 5<<4, flags, 0x40
	addresses := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(tcp[16:], ^fold(sum(addresses)+sum(tcp)+6+20)) // RFC 9293, section 3.1
	if from.Addr().Is6() {
		ip := []byte{0x60, 0, 0, 0, 0, 20, 6, 64}
		return append(append(append(w.ether(0x86dd), ip...), addresses...), tcp...)
	}
	ip := append([]byte{0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0}, addresses...)
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip)))
	return append(append(w.ether(0x0800), ip...), tcp...)
}

// unhop takes from a frame what a router changes, which by gate one dataplane does and the other does not.
func unhop(frame []byte) []byte {
	switch ip := frame[14:]; {
	case len(ip) < 20:
	case ip[0]>>4 == 6:
		ip[7] = 0
	default:
		ip[8], ip[10], ip[11] = 0, 0, 0
	}
	return frame
}

// stray returns a frame as long as a segment's, of a protocol that nobody takes (IEEE 802's for local experiments).
func (w way) stray(length int) []byte { return w.ether(0x88b5)[:length] }

// sum adds the 16-bit words of b, which are whole.
func sum(b []byte) (s uint32) {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
