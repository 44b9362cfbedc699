package bpf

import (
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// The verdicts of XDP.
const xdpPass, xdpRedirect = 2, 4

// early has the program of XDP at both devices: in their drivers, or not at all.
func (x *table) early() {
	x.t.Helper()
	for _, index := range []int{outside, inside} {
		l, err := link.AttachXDP(link.XDPOptions{Program: x.Early, Interface: index, Flags: link.XDPDriverMode})
		x.must(err)
		x.t.Cleanup(func() { l.Close() })
		x.earlyAt(index)
	}
}

// earlyAt has the program know an interface.
func (x *table) earlyAt(index int) {
	x.must(x.EarlyInterfaces.Put(uint32(index), KernelMac{Bytes: [6]byte{2, 0, 0, 0, 0, byte(index)}}))
}

// xdpContext is struct xdp_md.
type xdpContext struct {
	Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

// runEarly gives a frame to the program of XDP, and where that lets it pass, to the one at TC.
func (x *table) runEarly(t testing.TB, device uint32, in []byte) (verdict int32, out []byte, early bool) {
	t.Helper()
	options := &ebpf.RunOptions{Data: in, DataOut: make([]byte, 4096), Context: xdpContext{DataEnd: uint32(len(in)), IngressIfindex: device}}
	v, err := x.Early.Run(options)
	if err != nil {
		t.Fatal(err)
	}
	switch v {
	case xdpRedirect:
		return redirect, options.DataOut, true
	case xdpPass:
		verdict, out = run(t, x.Ingress, device, options.DataOut, 1)
		return verdict, out, false
	}
	t.Fatalf("verdict %d of XDP", v)
	return 0, nil, false
}

// when a packet is sent on by XDP.
type when string

const never, maybe, always when = "never", "maybe", "always"

// TestEarly: what follows the first packets each way of masq and gate is sent on by XDP, to the byte as at TC, and counted so;
// what is odd is left to TC.
func TestEarly(t *testing.T) {
	newMachine(t)
	x := newTable(t, 1000)
	x.serveAll()
	x.early()
	for n, f := range families {
		client, real := netip.AddrPortFrom(f.client, 1234), netip.AddrPortFrom(f.masq, 8080)
		for _, protocol := range []byte{protocolTCP, protocolUDP} {
			ask := func(port uint16, flags byte) packet {
				return packet{smac: clientMAC, dmac: outside, from: client, to: netip.AddrPortFrom(f.vip, port), protocol: protocol, flags: flags, ttl: 64, payload: []byte("ask")}
			}
			asked := func(flags byte) packet {
				p := ask(80, flags)
				p.to = real
				return p.through(inside, realMAC)
			}
			answer := packet{smac: realMAC, dmac: inside, from: real, to: client, protocol: protocol, flags: ack, ttl: 63, payload: []byte("answer")}
			answered := answer.through(outside, clientMAC)
			answered.from = ask(80, 0).to
			moved := func(flags byte) packet {
				p := ask(81, flags)
				p.smac, p.dmac = inside, realMAC
				return p
			}
			odd := func(change func(*packet)) packet { p := ask(80, ack); change(&p); return p }
			opening, options := never, never
			if protocol == protocolUDP {
				opening = always
			}
			if f.vip.Is6() { // which has none here
				options = always
			}
			for i, step := range []struct {
				device  uint32
				in, out packet
				early   when
			}{
				{outside, ask(80, syn), asked(syn), never},
				{inside, answer, answered, never},
				{outside, ask(80, ack), asked(ack), maybe}, // of TCP, the connection is half-open until then
				{outside, ask(80, ack), asked(ack), always},
				{inside, answer, answered, always},
				{outside, ask(80, syn), asked(syn), opening},
				{outside, odd(func(p *packet) { p.options = true }), odd(func(p *packet) { p.options, p.to = true, real; *p = p.through(inside, realMAC) }), options},
				{outside, odd(func(p *packet) { p.dmac = realMAC }), odd(func(p *packet) { p.dmac = realMAC }), never},
				{outside, odd(func(p *packet) { p.flags = fin | ack }), asked(fin | ack), always},
				{outside, ask(81, syn), moved(syn), never},
				{outside, ask(81, ack), moved(ack), maybe},
				{outside, ask(81, ack), moved(ack), always},
				{outside, ask(99, ack), ask(99, ack), never},
			} {
				_, out, early := x.runEarly(t, step.device, step.in.bytes())
				if early && step.early == never || !early && step.early == always || string(out) != string(step.out.bytes()) {
					t.Errorf("%s, protocol %d, packet %d: by XDP: %t, want %s\n got %x\nwant %x", f.name, protocol, i, early, step.early, out, step.out.bytes())
				}
			}
			server := uint32(1 + 6*n)
			if protocol == protocolUDP {
				server += 3
			}
			var each []KernelCounts
			x.must(x.Tallies.Lookup(server, &each))
			var in, back uint64
			for _, c := range each {
				in, back = in+c.InPackets, back+c.OutPackets
			}
			if in != 6 || back != 2 {
				t.Errorf("%s, protocol %d: %d packets to the server and %d back, want 6 and 2", f.name, protocol, in, back)
			}
			if protocol == protocolTCP {
				var load KernelLoad
				x.must(x.Loads.Lookup(server, &load))
				if load.Active != 0 || load.Inactive != 1 {
					t.Errorf("%s: %d active and %d inactive connections after a FIN, want 0 and 1", f.name, load.Active, load.Inactive)
				}
			}
		}
	}
}

// TestEarlyPackets: with XDP before it, the same becomes of all packets as by the program at TC alone.
func TestEarlyPackets(t *testing.T) {
	newMachine(t)
	x := newTable(t, 1000)
	x.expect(func(port int) bool { return 80 <= port && port <= 82 })
	x.early()
	x.xdp = true
	testPackets(t, x)
}

// TestEarlyForgets: where no way is remembered, or only by an interface that XDP cannot send to, packets pass.
func TestEarlyForgets(t *testing.T) {
	newMachine(t)
	x := newTable(t, 1000)
	x.serveAll()
	x.early()
	f := families[0]
	p := packet{smac: clientMAC, dmac: outside, from: netip.AddrPortFrom(f.client, 1), to: netip.AddrPortFrom(f.vip, 80), protocol: protocolUDP, ttl: 64}
	by := func() bool {
		_, _, early := x.runEarly(t, outside, p.bytes())
		return early
	}
	if by() {
		t.Fatal("the first packet is XDP's")
	}
	if by(); !by() {
		t.Fatal("a later packet is not XDP's")
	}
	x.must(x.EarlyInterfaces.Delete(uint32(inside)))
	if by() {
		t.Error("it was sent to an interface without the program")
	}
	x.earlyAt(inside)
	if !by() {
		t.Error("it is not XDP's again")
	}
	large := p
	large.payload = make([]byte, 1473)
	if _, _, early := x.runEarly(t, outside, large.bytes()); early {
		t.Error("it was sent though it is too large")
	}
	var server KernelServer
	x.must(x.Servers.Lookup(uint32(4), &server))
	server.Hop.Until = 1
	x.must(x.Servers.Put(uint32(4), server))
	if by() {
		t.Error("it was sent by a way that was asked for long ago")
	}
}

// earlyNanoseconds returns how long the program of XDP takes for a packet that comes in from outside.
func (x *table) earlyNanoseconds(t *testing.T, packets [][]byte) float64 {
	t.Helper()
	before, err := x.Early.Stats()
	x.must(err)
	taken := 0
	for _, in := range packets {
		if _, _, early := x.runEarly(t, outside, in); early {
			taken++
		}
	}
	after, err := x.Early.Stats()
	x.must(err)
	if taken < len(packets)/2 { // now and then one asks for the way
		t.Errorf("%d of %d packets were taken by XDP", taken, len(packets))
	}
	return float64(after.Runtime-before.Runtime) / float64(after.RunCount-before.RunCount)
}
