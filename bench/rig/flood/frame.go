package flood

import (
	"encoding/binary"
	"net/netip"
)

const (
	ethernetSize = 14
	ipv4Size     = 20
	ipv6Size     = 40
	tcpSize      = 24 // with the option of the largest segment
)

// newFrame returns a SYN to the target that lacks what [setClient] sets.
func newFrame(w way, target netip.AddrPort) []byte {
	frame := make([]byte, 0, ethernetSize+ipv6Size+tcpSize)
	frame = append(frame, w.to...)
	frame = append(frame, w.from...)
	if target.Addr().Is6() {
		frame = append(frame, 0x86, 0xdd,
			0x60, 0, 0, 0, // version 6
			0, tcpSize, 6, 64) // length, TCP, hop limit
		frame = append(frame, make([]byte, 16)...)
	} else {
		frame = append(frame, 0x08, 0x00,
			0x45, 0, 0, ipv4Size+tcpSize, // version 4, length
			0, 0, 0x40, 0, // do not fragment
			64, 6, 0, 0) // time to live, TCP
		frame = append(frame, make([]byte, 4)...)
	}
	frame = append(frame, target.Addr().AsSlice()...)
	frame = append(frame, 0, 0)
	frame = binary.BigEndian.AppendUint16(frame, target.Port())
	return append(frame,
		0, 0, 0, 0, // sequence
		0, 0, 0, 0,
		tcpSize/4<<4, 0x02, 0xff, 0xff, // SYN, window
		0, 0, 0, 0,
		2, 4, 1460>>8, 1460&0xff) // largest segment
}

// setACK makes an ACK of a frame's SYN.
func setACK(frame []byte, six bool) {
	tcp := frame[ethernetSize+ipv4Size:]
	if six {
		tcp = frame[ethernetSize+ipv6Size:]
	}
	tcp[13] = 0x10
	copy(tcp[20:], []byte{1, 1, 1, 1}) // no option in the place of one that only SYNs have
}

// setClient says who a frame's SYN is from.
func setClient(frame []byte, client netip.Addr, port uint16, sequence uint32) {
	ip := frame[ethernetSize:]
	source, tcp := ip[8:24], ip[ipv6Size:]
	if client.Is4() {
		source, tcp = ip[12:16], ip[ipv4Size:]
	}
	copy(source, client.AsSlice())
	if client.Is4() {
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^fold(sum(0, ip[:ipv4Size])))
	}
	binary.BigEndian.PutUint16(tcp, port)
	binary.BigEndian.PutUint32(tcp[4:], sequence)
	binary.BigEndian.PutUint16(tcp[16:], 0)
	// The pseudo-header of RFC 9293, section 3.1: both addresses, which lie before tcp, its length, and the protocol.
	both := ip[len(ip)-len(tcp)-2*len(source) : len(ip)-len(tcp)]
	binary.BigEndian.PutUint16(tcp[16:], ^fold(sum(sum(tcpSize+6, both), tcp)))
}

// sum adds the 16-bit words of b, which are whole.
func sum(from uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		from += uint32(b[0])<<8 | uint32(b[1])
	}
	return from
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
