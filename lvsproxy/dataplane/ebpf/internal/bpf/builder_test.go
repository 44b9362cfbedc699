package bpf

import (
	"encoding/binary"
	"net/netip"
)

// packet is an Ethernet frame to be built, with all its checksums.
type packet struct {
	smac, dmac byte // the last bytes of addresses that are 02:00:00:00:00:xx
	from, to   netip.AddrPort
	protocol   byte // 6 or 17; others have the payload right after the IP header
	flags      byte // of TCP
	ttl        byte
	fragment   uint16 // flags and offset of IPv4
	payload    []byte
	short      int  // bytes that are missing at the end
	badIHL     bool // an IP header that says it has 16 bytes
	options    bool // an IP header with 4 bytes of options
}

const (
	protocolTCP, protocolUDP            = 6, 17
	protocolICMP, protocolICMPv6        = 1, 58
	protocolIPIP, protocolIP6IP6        = 4, 41
	fin, syn, rst, ack                  = 1, 2, 4, 16
	dontFragment, moreToCome            = 0x4000, 0x2000
	etherIPv4, etherIPv6         uint16 = 0x0800, 0x86dd
)

func sum(b []byte, start uint32) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		start += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		start += uint32(b[len(b)-1]) << 8
	}
	return start
}

func fold(s uint32) uint16 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

// pseudo is the sum of the pseudo-header.
func (p packet) pseudo(length int) uint32 {
	from, to := p.from.Addr().AsSlice(), p.to.Addr().AsSlice()
	return sum(to, sum(from, uint32(p.protocol)+uint32(length)))
}

// l4 is what follows the IP header.
func (p packet) l4() []byte {
	var b []byte
	switch p.protocol {
	case protocolTCP:
		b = make([]byte, 20, 20+len(p.payload))
		b[12], b[13] = 5<<4, p.flags
	case protocolUDP:
		b = make([]byte, 8, 8+len(p.payload))
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(p.payload)))
	default:
		return p.payload
	}
	binary.BigEndian.PutUint16(b, p.from.Port())
	binary.BigEndian.PutUint16(b[2:], p.to.Port())
	b = append(b, p.payload...)
	at := map[byte]int{protocolTCP: 16, protocolUDP: 6}[p.protocol]
	binary.BigEndian.PutUint16(b[at:], fold(sum(b, p.pseudo(len(b)))))
	return b
}

// ip is the packet without the frame.
func (p packet) ip() []byte {
	body := p.l4()
	if p.fragment&0x1fff != 0 {
		body = p.payload // a later piece has no header
	}
	if p.from.Addr().Is6() {
		h := make([]byte, 40)
		h[0], h[6], h[7] = 6<<4, p.protocol, p.ttl
		binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
		copy(h[8:], p.from.Addr().AsSlice())
		copy(h[24:], p.to.Addr().AsSlice())
		return append(h, body...)
	}
	h := make([]byte, 20)
	if p.options {
		h = make([]byte, 24)
		h[20], h[21], h[22], h[23] = 1, 1, 1, 0 // nothing, and the end
	}
	h[0], h[8], h[9] = 4<<4|byte(len(h)/4), p.ttl, p.protocol
	if p.badIHL {
		h[0] = 4<<4 | 4
	}
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(body)))
	binary.BigEndian.PutUint16(h[6:], p.fragment)
	copy(h[12:], p.from.Addr().AsSlice())
	copy(h[16:], p.to.Addr().AsSlice())
	binary.BigEndian.PutUint16(h[10:], fold(sum(h, 0)))
	return append(h, body...)
}

// bytes is the frame.
func (p packet) bytes() []byte {
	ether := etherIPv4
	if p.from.Addr().Is6() {
		ether = etherIPv6
	}
	b := []byte{2, 0, 0, 0, 0, p.dmac, 2, 0, 0, 0, 0, p.smac}
	b = binary.BigEndian.AppendUint16(b, ether)
	b = append(b, p.ip()...)
	return b[:len(b)-p.short]
}

// icmp is the message of an error about a packet, of which it quotes some bytes.
func icmp(from, to netip.Addr, kind, code byte, rest uint32, about packet, quote int) packet {
	p := packet{from: netip.AddrPortFrom(from, 0), to: netip.AddrPortFrom(to, 0), protocol: protocolICMP, ttl: 64}
	b := []byte{kind, code, 0, 0}
	b = binary.BigEndian.AppendUint32(b, rest)
	b = append(b, about.ip()[:quote]...)
	start := uint32(0)
	if from.Is6() {
		p.protocol = protocolICMPv6
		start = p.pseudo(len(b))
	}
	binary.BigEndian.PutUint16(b[2:], fold(sum(b, start)))
	p.payload = b
	return p
}
