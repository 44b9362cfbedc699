package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// FuzzIngress gives packets to the program one after the other, with services of all kinds in its tables, and looks whether what
// comes out can be right: the verdict is one of three; what passes is as it was, or was given its server; checksums that were
// right still are; and nothing is sent on but to a server, or back to who has sent something.
//
// The packets lie one behind the other: a byte that tells where it comes in, whether its checksums shall be made right, and whether it
// comes to XDP first; two that tell how long it is, and the frame.
func FuzzIngress(f *testing.F) {
	newMachine(f)
	x := newTable(f, 1000)
	x.serveAll()
	x.early()
	namespace, err := os.Open("/proc/thread-self/ns/net")
	x.must(err)
	f.Cleanup(func() { namespace.Close() })
	for _, one := range families {
		all := tests(one)
		if one.vip.Is4() {
			all = append(all, only4(one)...)
		}
		for _, tt := range all {
			var input []byte
			for _, s := range tt.steps {
				input = appendFrame(input, s.device == inside, s.in.bytes())
			}
			f.Add(input)
		}
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		runtime.LockOSThread() // for good: a thread that was in another namespace ends with its goroutine
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Fatal(err)
		}
		x.forget()
		seen := map[netip.Addr]bool{}
		for range 6 {
			x.xdp = len(input) > 0 && input[0]&4 != 0
			device, frame, rest, ok := cutFrame(input)
			if !ok {
				break
			}
			input = rest
			x.try(t, device, frame, seen)
		}
	})
}

// TestSound looks at the same as [FuzzIngress], with packets by chance that a client, a real server and a router could send.
func TestSound(t *testing.T) {
	newMachine(t)
	x := newTable(t, 1000)
	x.serveAll()
	x.early()
	rapid.Check(t, func(t *rapid.T) {
		x.forget()
		x.xdp = rapid.Bool().Draw(t, "xdp")
		seen := map[netip.Addr]bool{}
		for range rapid.IntRange(1, 12).Draw(t, "packets") {
			device, p := somePacket(t)
			x.try(t, device, p.bytes(), seen)
		}
	})
}

// somePacket is of a client's or a real server's, or an error about one of those.
func somePacket(t *rapid.T) (device uint32, p packet) {
	f := rapid.SampledFrom(families).Draw(t, "family")
	client, real := netip.AddrPortFrom(f.client, uint16(rapid.IntRange(1, 2).Draw(t, "client"))), netip.AddrPortFrom(f.masq, 8080)
	vip := netip.AddrPortFrom(f.vip, uint16(rapid.IntRange(79, 82).Draw(t, "port")))
	ask := packet{
		smac: clientMAC, dmac: outside, from: client, to: vip,
		protocol: rapid.SampledFrom([]byte{protocolTCP, protocolTCP, protocolTCP, protocolUDP, 99}).Draw(t, "protocol"),
		flags:    rapid.SampledFrom([]byte{syn, syn | ack, ack, fin | ack, rst, 0}).Draw(t, "flags"),
		ttl:      rapid.SampledFrom([]byte{64, 64, 64, 2, 1, 0}).Draw(t, "ttl"),
		payload:  rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "payload"),
		fragment: rapid.SampledFrom([]uint16{0, dontFragment, dontFragment, moreToCome, moreToCome | 1, 1}).Draw(t, "fragment"),
		options:  rapid.Bool().Draw(t, "options"), // of IPv4 alone
	}
	if rapid.IntRange(0, 5).Draw(t, "large") == 0 {
		ask.payload = append(ask.payload, make([]byte, rapid.IntRange(1400, 1500).Draw(t, "bytes"))...)
	}
	answer := ask
	answer.smac, answer.dmac, answer.from, answer.to = realMAC, inside, real, client
	about, kind := ask, byte(3)
	if f.vip.Is6() {
		kind = 1
	}
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0, 1:
		return inside, answer
	case 2: // a router between the director and the server
		about.to = real
		p = icmp(f.masq, f.client, kind, 1, 0, about, min(len(about.ip()), 28+f.ip))
		p.smac, p.dmac = realMAC, inside
		return inside, p
	case 3: // the client
		about = answer
		about.from = vip
		p = icmp(f.client, f.vip, kind, 1, 0, about, min(len(about.ip()), 28+f.ip))
		p.smac, p.dmac = clientMAC, outside
		return outside, p
	}
	return outside, ask
}

// try gives the program a packet.
func (x *table) try(t interface{ Fatalf(string, ...any) }, device uint32, frame []byte, seen map[netip.Addr]bool) {
	if short(frame) {
		return
	}
	for _, a := range append(addresses(frame), quotedAddresses(frame)...) {
		seen[a] = true
	}
	if x.xdp {
		options := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, 4096), Context: xdpContext{DataEnd: uint32(len(frame)), IngressIfindex: device}}
		v, err := x.Early.Run(options)
		switch {
		case err != nil:
			t.Fatalf("XDP: %x: %v", frame, err)
		case v == xdpRedirect:
			if wrong := unsound(device, frame, redirect, options.DataOut, seen); wrong != "" {
				t.Fatalf("by XDP: %s\n in %x\nout %x", wrong, frame, options.DataOut)
			}
			return
		case v != xdpPass || !bytes.Equal(frame, options.DataOut):
			t.Fatalf("by XDP: verdict %d\n in %x\nout %x", v, frame, options.DataOut)
		}
	}
	options := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, 4096), Context: context{IngressIfindex: device, Ifindex: device}}
	v, err := x.Ingress.Run(options)
	if err != nil {
		t.Fatalf("%x: %v", frame, err)
	}
	if wrong := unsound(device, frame, int32(v), options.DataOut, seen); wrong != "" {
		t.Fatalf("%s: verdict %d\n in %x\nout %x", wrong, int32(v), frame, options.DataOut)
	}
}

// short reports whether a frame lacks the IP header that it says it has: BPF_PROG_TEST_RUN does not take that.
func short(frame []byte) bool {
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		return len(frame) < 14+20
	case etherIPv6:
		return len(frame) < 14+40
	}
	return false
}

// serveAll puts services of all forwarding methods, of TCP and UDP, into the tables, for both families.
func (x *table) serveAll() {
	x.expect(func(port int) bool { return port >= 80 && port <= 82 })
	id := uint32(1)
	for _, f := range families {
		for _, protocol := range []byte{protocolTCP, protocolUDP} {
			x.service(id, netip.AddrPortFrom(f.vip, 80), protocol, netip.AddrPortFrom(f.masq, 8080), KernelForwardFORWARD_MASQ, nil)
			x.service(id+1, netip.AddrPortFrom(f.vip, 81), protocol, netip.AddrPortFrom(f.gate, 81), KernelForwardFORWARD_GATE, nil)
			x.service(id+2, netip.AddrPortFrom(f.vip, 82), protocol, netip.AddrPortFrom(f.tunnel, 82), KernelForwardFORWARD_IPIP, nil)
			id += 3
		}
	}
}

// forget takes out all connections.
func (x *table) forget() {
	for _, m := range []*ebpf.Map{x.Conns, x.Replies, x.Halves, x.HalfReplies, x.Fragments} {
		key := make([]byte, m.KeySize())
		for m.NextKey(nil, &key) == nil {
			m.Delete(key)
		}
	}
}

func appendFrame(input []byte, in bool, frame []byte) []byte {
	how := byte(2)
	if in {
		how |= 1
	}
	if len(frame)%2 == 0 {
		how |= 4
	}
	return append(binary.BigEndian.AppendUint16(append(input, how), uint16(len(frame))), frame...)
}

// cutFrame returns the first packet of an input. The kernel takes no frame without a header.
func cutFrame(input []byte) (device uint32, frame, rest []byte, ok bool) {
	if len(input) < 3 {
		return 0, nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(input[1:]))
	if n < 14 || n > 2000 || len(input) < 3+n {
		return 0, nil, nil, false
	}
	frame, device = bytes.Clone(input[3:3+n]), outside
	if input[0]&1 != 0 {
		device = inside
	}
	if input[0]&2 != 0 {
		mend(frame)
	}
	return device, frame, input[3+n:], true
}

// sections are the parts of a packet that have checksums.
type sections struct {
	from, to []byte // addresses
	header   []byte // of IPv4
	protocol byte
	body     []byte // nil if it is not all there
	whole    bool   // not a fragment
}

// dissect returns what an IP packet consists of. ok is false for what is none.
func dissect(ip []byte) (s sections, ok bool) {
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		n, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if n < 20 || total < n || total > len(ip) {
			return s, false
		}
		fragment := binary.BigEndian.Uint16(ip[6:]) & 0x3fff
		return sections{ip[12:16], ip[16:20], ip[:n], ip[9], ip[n:total], fragment == 0}, true
	case len(ip) >= 40 && ip[0]>>4 == 6:
		total := 40 + int(binary.BigEndian.Uint16(ip[4:]))
		if total > len(ip) {
			return s, false
		}
		return sections{ip[8:24], ip[24:40], nil, ip[6], ip[40:total], ip[6] != unix.IPPROTO_FRAGMENT}, true
	}
	return s, false
}

// network is the IP packet of a frame that says it has one.
func network(frame []byte) []byte {
	if len(frame) < 34 {
		return nil
	}
	switch ether := binary.BigEndian.Uint16(frame[12:]); {
	case ether == etherIPv4 && frame[14]>>4 == 4, ether == etherIPv6 && frame[14]>>4 == 6:
		return frame[14:]
	}
	return nil
}

// checksum is where the one of a body is, or nothing.
func (s sections) checksum() []byte {
	at, least := 0, 0
	switch s.protocol {
	case protocolTCP:
		at, least = 16, 20
	case protocolUDP:
		at, least = 6, 8
	case protocolICMP, protocolICMPv6:
		at, least = 2, 8
	}
	if !s.whole || least == 0 || len(s.body) < least {
		return nil
	}
	return s.body[at : at+2]
}

// pseudo is the sum of what is not in the body.
func (s sections) pseudo() uint32 {
	if s.protocol == protocolICMP {
		return 0
	}
	return sum(s.to, sum(s.from, uint32(s.protocol)+uint32(len(s.body))))
}

// right reports whether the checksums of a packet are, of those that it has.
func right(ip []byte) bool {
	s, ok := dissect(ip)
	if !ok {
		return false
	}
	if s.header != nil && fold(sum(s.header, 0)) != 0 {
		return false
	}
	if s.protocol == protocolIPIP || s.protocol == protocolIP6IP6 {
		return right(s.body)
	}
	at := s.checksum()
	if at == nil || s.protocol == protocolUDP && at[0] == 0 && at[1] == 0 {
		return true
	}
	return fold(sum(s.body, s.pseudo())) == 0
}

// mend makes the checksums of a frame right, if it is a packet.
func mend(frame []byte) {
	s, ok := dissect(network(frame))
	if !ok {
		return
	}
	if s.header != nil {
		copy(s.header[10:], []byte{0, 0})
		binary.BigEndian.PutUint16(s.header[10:], fold(sum(s.header, 0)))
	}
	if at := s.checksum(); at != nil {
		copy(at, []byte{0, 0})
		n := fold(sum(s.body, s.pseudo()))
		if n == 0 && s.protocol == protocolUDP {
			n = 0xffff
		}
		binary.BigEndian.PutUint16(at, n)
	}
}

// addresses are those of a frame's packet.
func addresses(frame []byte) []netip.Addr {
	ip := network(frame)
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		from, _ := netip.AddrFromSlice(ip[12:16])
		to, _ := netip.AddrFromSlice(ip[16:20])
		return []netip.Addr{from, to}
	case len(ip) >= 40:
		from, _ := netip.AddrFromSlice(ip[8:24])
		to, _ := netip.AddrFromSlice(ip[24:40])
		return []netip.Addr{from, to}
	}
	return nil
}

// quotedAddresses are those of the packet that an error of ICMP is about.
func quotedAddresses(frame []byte) []netip.Addr {
	s, ok := dissect(network(frame))
	if !ok || len(s.body) < 8 || s.protocol != protocolICMP && s.protocol != protocolICMPv6 {
		return nil
	}
	quoting := append(bytes.Clone(frame[:14]), s.body[8:]...)
	return addresses(append(quoting, make([]byte, 40)...)) // of which less may be quoted
}

// unsound says what cannot be right about what has become of a frame; it returns nothing if all can be.
func unsound(device uint32, in []byte, verdict int32, out []byte, seen map[netip.Addr]bool) string {
	switch verdict {
	case shot:
		return ""
	case pass:
		if bytes.Equal(in, out) {
			return ""
		}
	case redirect:
		if len(addresses(out)) == 0 {
			return "what is sent on is no packet"
		}
	default:
		return "no such verdict"
	}
	if right(network(in)) && !right(network(out)) {
		return "a checksum is wrong that was right"
	}
	to := addresses(out)[1]
	for _, f := range families {
		switch to {
		case f.masq, f.tunnel:
			return ""
		case f.vip:
			if verdict == redirect && out[5] == realMAC && device == outside {
				return "" // by gate
			}
			return "it is sent to the virtual address"
		}
	}
	if !seen[to] {
		return "it is sent to somebody who has sent nothing"
	}
	return ""
}
