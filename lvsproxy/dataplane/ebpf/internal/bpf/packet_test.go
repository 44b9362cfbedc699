package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// The machine of the tests has two devices, and knows the MAC addresses of those that it speaks to.
const (
	outside, inside = 11, 12 // the devices' indexes, and the last bytes of their MAC addresses
	clientMAC       = 21
	realMAC         = 22
	gatewayMAC      = 23
)

// family is a version of IP on that machine.
type family struct {
	name                  string
	client, vip           netip.Addr
	masq, gate, tunnel    netip.Addr
	own                   netip.Addr // the machine's, inside
	elsewhere             netip.Addr // no route leads there
	ip, tcpQuote, udpMost int
}

var families = []family{
	{
		"IPv4", netip.MustParseAddr("172.16.0.2"), netip.MustParseAddr("172.16.1.11"), netip.MustParseAddr("192.168.0.101"),
		netip.MustParseAddr("192.168.0.102"), netip.MustParseAddr("192.168.0.103"), netip.MustParseAddr("192.168.0.1"), netip.MustParseAddr("10.9.9.9"),
		20, 40, 1472,
	}, {
		"IPv6", netip.MustParseAddr("fd00:16::2"), netip.MustParseAddr("fd00:16::1:11"), netip.MustParseAddr("fd00:192::101"),
		netip.MustParseAddr("fd00:192::102"), netip.MustParseAddr("fd00:192::103"), netip.MustParseAddr("fd00:192::1"), netip.MustParseAddr("fd99::9"),
		40, 60, 1452,
	},
}

// newMachine moves the test's thread into a network namespace with the two devices. The thread ends with the test.
func newMachine(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Skip(t, "packet tests need root")
	}
	need.Program(t, "ip", "iproute2")
	runtime.LockOSThread() // for good: the thread is in another namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		need.Skip(t, fmt.Sprintf("network namespaces are not allowed: %v", err))
	}
	lines := []string{"link set lo up"}
	for name, index := range map[string]int{"outside": outside, "inside": inside} {
		lines = append(lines, fmt.Sprintf("link add %[1]s index %[2]d address %[3]s type veth peer name %[1]s-end", name, index, mac(byte(index))), "link set "+name+" up", "link set "+name+"-end up")
	}
	for _, f := range families {
		bits := map[bool]string{true: "/64 nodad", false: "/24"}[f.vip.Is6()]
		wide := map[bool]string{true: "/64 nodad", false: "/16"}[f.vip.Is6()]
		lines = append(lines,
			"address add "+f.vip.String()+wide+" dev outside", "address add "+f.own.String()+bits+" dev inside",
			"neighbour add "+f.client.String()+" lladdr "+mac(clientMAC)+" nud permanent dev outside",
		)
		for _, real := range []netip.Addr{f.masq, f.gate, f.tunnel} {
			lines = append(lines, "neighbour add "+real.String()+" lladdr "+mac(realMAC)+" nud permanent dev inside")
		}
	}
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
}

func mac(last byte) string { return fmt.Sprintf("02:00:00:00:00:%02x", last) }

// table is the programs with what they know.
type table struct {
	*KernelObjects
	t   testing.TB
	xdp bool // packets come to XDP first
}

func newTable(t testing.TB, conns uint32) *table {
	t.Helper()
	spec, err := LoadKernel()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{KernelMapConns, KernelMapReplies, KernelMapHalves, KernelMapHalfReplies, KernelMapTemplates} {
		spec.Maps[name].MaxEntries = conns
	}
	for _, name := range []string{KernelMapServers, KernelMapLoads, KernelMapTallies, KernelMapFragments} {
		spec.Maps[name].MaxEntries = 64
	}
	x := &table{KernelObjects: &KernelObjects{}, t: t}
	if err := spec.LoadAndAssign(x.KernelObjects, nil); err != nil {
		if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EPERM) {
			need.Skip(t, fmt.Sprintf("BPF programs cannot be loaded: %v", err))
		}
		t.Fatalf("%+v", err) // what the verifier says against them is no reason to skip
	}
	t.Cleanup(func() { x.Close() })
	var tuning KernelTuning
	for i := range tuning.Timeouts {
		tuning.Timeouts[i] = uint64(time.Minute)
	}
	tuning.Outer, tuning.Outer6 = KernelAddress{Bytes: families[0].own.As16()}, KernelAddress{Bytes: families[1].own.As16()}
	x.must(x.Settings.Put(uint32(0), tuning))
	return x
}

// empty has the maps be as they were made, but for the settings and the slots, whose services are gone.
func (x *table) empty() {
	x.t.Helper()
	for _, m := range []*ebpf.Map{x.Services, x.Conns, x.Replies, x.Halves, x.HalfReplies, x.Templates, x.Fragments} {
		key := make([]byte, m.KeySize())
		for m.NextKey(nil, &key) == nil {
			x.must(m.Delete(key))
		}
	}
	for _, m := range []*ebpf.Map{x.Servers, x.Loads, x.Tallies, x.Drops} {
		var zero any = make([]byte, m.ValueSize())
		if m.Type() == ebpf.PerCPUArray {
			each := make([][]byte, ebpf.MustPossibleCPU())
			for i := range each {
				each[i] = make([]byte, m.ValueSize())
			}
			zero = each
		}
		for i := range m.MaxEntries() {
			x.must(m.Put(i, zero))
		}
	}
}

func (x *table) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func order(port uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, port))
}

// service puts a service with one server; each has the same number.
func (x *table) service(id uint32, vip netip.AddrPort, protocol byte, real netip.AddrPort, forward KernelForward, change func(*KernelService, *KernelServer)) {
	x.t.Helper()
	service := KernelService{Id: id}
	server := KernelServer{Rip: KernelAddress{Bytes: real.Addr().As16()}, Port: order(real.Port()), Forward: uint8(forward), Service: id, Weight: 1}
	if change != nil {
		change(&service, &server)
	}
	x.must(x.Servers.Put(id, server))
	x.slots(id, id)
	x.must(x.Services.Put(KernelServiceKey{Vip: KernelAddress{Bytes: vip.Addr().As16()}, Port: order(vip.Port()), Protocol: protocol}, service))
}

// expect has the program take packets to some ports for those of clients, until it is told others.
func (x *table) expect(virtual func(port int) bool) {
	for word := range x.VirtualPorts.MaxEntries() {
		var bits uint64
		for bit := range 64 {
			if virtual(int(word)*64 + bit) {
				bits |= 1 << bit
			}
		}
		x.must(x.VirtualPorts.Put(word, bits))
	}
}

// second has a service take turns between its server and another one.
func (x *table) second(service, id uint32, real netip.AddrPort) {
	x.t.Helper()
	x.must(x.Servers.Put(id, KernelServer{Rip: KernelAddress{Bytes: real.Addr().As16()}, Port: order(real.Port()), Service: service, Weight: 1}))
	x.slots(service, service, id)
}

// slots says what a service's scheduler picks from. Where it can, it writes into the array that is there: to put another one
// in its place takes the kernel until every processor has gone by.
func (x *table) slots(service uint32, servers ...uint32) {
	x.t.Helper()
	values := append([]uint32{uint32(len(servers)), 0}, servers...)
	var slots *ebpf.Map
	if err := x.Slots.Lookup(service, &slots); err != nil || slots.MaxEntries() != uint32(len(values)) {
		slots.Close()
		slots, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: uint32(len(values)), Flags: unix.BPF_F_INNER_MAP})
		x.must(err)
		x.must(x.Slots.Put(service, slots))
	}
	defer slots.Close()
	for i, value := range values {
		x.must(slots.Put(uint32(i), value))
	}
}

// context is struct __sk_buff as far as BPF_PROG_TEST_RUN takes it.
type context struct {
	_              [9]uint32
	IngressIfindex uint32
	Ifindex        uint32
	_              [33]uint32
}

// run gives a packet that has come in at a device to a program.
func run(t testing.TB, program *ebpf.Program, device uint32, in []byte, repeat uint32) (verdict int32, out []byte) {
	t.Helper()
	ctx := context{IngressIfindex: device, Ifindex: device}
	options := &ebpf.RunOptions{Data: in, DataOut: make([]byte, 4096), Repeat: repeat, Context: ctx}
	v, err := program.Run(options)
	if err != nil {
		t.Fatal(err)
	}
	return int32(v), options.DataOut
}

// take gives a packet to the programs that it comes to.
func (x *table) take(t testing.TB, device uint32, in []byte) (verdict int32, out []byte) {
	t.Helper()
	if x.xdp {
		verdict, out, _ = x.runEarly(t, device, in)
		return verdict, out
	}
	return run(t, x.Ingress, device, in, 1)
}

const (
	pass, shot, redirect = -1, 2, 7
)

// step is a packet that comes in, and what is to become of it.
type step struct {
	in      packet
	device  uint32 // where it comes in; 0 is outside
	verdict int32
	out     packet // the zero one: as it came in
}

// counted is what a test wants to find afterwards.
type counted struct {
	drop      KernelDrop
	drops     uint64
	active    int64
	inactive  int64
	halves    int
	conns     int
	templates int
}

func (x *table) check(server uint32, want counted) {
	x.t.Helper()
	var each []uint64
	x.must(x.Drops.Lookup(uint32(want.drop), &each))
	got := counted{drop: want.drop, halves: x.opening(), conns: entries(x.Conns), templates: entries(x.Templates)}
	for _, n := range each {
		got.drops += n
	}
	var load KernelLoad
	x.must(x.Loads.Lookup(server, &load))
	got.active, got.inactive = load.Active, load.Inactive
	if got != want {
		x.t.Errorf("counted %+v, want %+v", got, want)
	}
}

// opening counts the half-open connections that were not moved to the others.
func (x *table) opening() (n int) {
	var f KernelFlow
	var c KernelConn
	for all := x.Halves.Iterate(); all.Next(&f, &c); {
		if c.Server != 0 {
			n++
		}
	}
	return n
}

func entries(m *ebpf.Map) (n int) {
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	for all := m.Iterate(); all.Next(&key, &value); {
		n++
	}
	return n
}

// through is a packet after a hop of the director, between these MAC addresses.
func (p packet) through(smac, dmac byte) packet {
	p.smac, p.dmac, p.ttl = smac, dmac, p.ttl-1
	return p
}

// case_ is a test of packets that follow one another.
type packetTest struct {
	name  string
	steps []step
	want  counted
	setup func(x *table)
}

// tests are those of a family. Services 1 to 3 are of TCP at port 80 by masq (to 8080), gate and ipip, at ports 80, 81 and 82; those
// of UDP are 4 to 6 at the same ports.
func tests(f family) []packetTest {
	client := netip.AddrPortFrom(f.client, 1234)
	vip := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(f.vip, port) }
	real := netip.AddrPortFrom(f.masq, 8080)
	tcp := func(port uint16, flags byte) packet {
		return packet{smac: clientMAC, dmac: outside, from: client, to: vip(port), protocol: protocolTCP, flags: flags, ttl: 64, fragment: dontFragment}
	}
	udp := func(port uint16, n int) packet {
		return packet{smac: clientMAC, dmac: outside, from: client, to: vip(port), protocol: protocolUDP, ttl: 64, payload: make([]byte, n), fragment: dontFragment}
	}
	translated := func(p packet) packet {
		p.to = real
		return p.through(inside, realMAC)
	}
	answer := func(p packet, flags byte) packet {
		p.smac, p.dmac, p.from, p.to, p.flags = realMAC, inside, real, client, flags
		return p
	}
	back := func(p packet, port uint16) packet {
		p.from = vip(port)
		return p.through(outside, clientMAC)
	}
	moved := func(p packet) packet { // by gate: the frame alone
		p.smac, p.dmac = inside, realMAC
		return p
	}
	tunnelled := func(p packet) packet {
		protocol := byte(protocolIPIP)
		if f.vip.Is6() {
			protocol = protocolIP6IP6
		}
		return packet{smac: inside, dmac: realMAC, from: netip.AddrPortFrom(f.own, 0), to: netip.AddrPortFrom(f.tunnel, 0), protocol: protocol, ttl: 64,
			fragment: dontFragment, payload: p.ip()}
	}
	tooBig := func(p packet, mtu uint32, quote int) packet {
		kind, code := byte(3), byte(4)
		if f.vip.Is6() {
			kind, code = 2, 0
		}
		e := icmp(f.vip, f.client, kind, code, mtu, p, quote)
		e.smac, e.dmac = outside, clientMAC
		return e
	}
	unreachable := func(from, to netip.Addr, about packet) packet {
		kind, code := byte(3), byte(1)
		if f.vip.Is6() {
			kind, code = 1, 0
		}
		p := icmp(from, to, kind, code, 0, about, f.ip+8)
		p.dmac = outside
		if from == f.masq {
			p.dmac = inside
		}
		return p
	}
	told := func(about packet) packet { // the client, by the VIP
		about.ttl--
		e := unreachable(f.vip, f.client, about)
		e.smac, e.dmac = outside, clientMAC
		return e
	}
	opened := func(port uint16) []step {
		return []step{
			{in: tcp(port, syn), verdict: redirect, out: translated(tcp(port, syn))},
			{in: answer(tcp(port, 0), syn|ack), device: inside, verdict: redirect, out: back(answer(tcp(port, 0), syn|ack), port)},
			{in: tcp(port, ack), verdict: redirect, out: translated(tcp(port, ack))},
		}
	}
	and := func(before []step, after ...step) []step { return append(slices.Clone(before), after...) }
	stranger := packet{smac: clientMAC, dmac: outside, from: client, to: vip(99), protocol: protocolTCP, flags: syn, ttl: 64}
	big := func(port uint16, extra int) packet { return udp(port, f.udpMost+extra) }

	return []packetTest{
		{"no service", []step{{in: stranger, verdict: pass}}, counted{}, nil},
		{"another protocol", []step{{in: packet{smac: clientMAC, dmac: outside, from: client, to: vip(80), protocol: 99, ttl: 64, payload: make([]byte, 40)}, verdict: pass}}, counted{}, nil},
		{"not a first segment", []step{{in: tcp(80, ack), verdict: pass}}, counted{}, nil},
		{"a SYN", []step{{in: tcp(80, syn), verdict: redirect, out: translated(tcp(80, syn))}}, counted{active: 1, halves: 1}, nil},
		{"a handshake", opened(80), counted{active: 1, conns: 1}, nil},
		{"a SYN again", []step{{in: tcp(80, syn), verdict: redirect, out: translated(tcp(80, syn))}, {in: tcp(80, syn), verdict: redirect, out: translated(tcp(80, syn))}}, counted{active: 1, halves: 1}, nil},
		{"the client's end", and(opened(80), step{in: tcp(80, fin|ack), verdict: redirect, out: translated(tcp(80, fin|ack))}), counted{inactive: 1, conns: 1}, nil},
		{"a reset", and(opened(80), step{in: tcp(80, rst), verdict: redirect, out: translated(tcp(80, rst))}), counted{inactive: 1, conns: 1}, nil},
		{"a port again after a reset", and(opened(80), step{in: tcp(80, rst), verdict: redirect, out: translated(tcp(80, rst))},
			step{in: tcp(80, syn), verdict: redirect, out: translated(tcp(80, syn))}), counted{active: 1, halves: 1}, nil},
		{"what the server sends to others", []step{{in: answer(tcp(80, 0), ack), device: inside, verdict: pass}}, counted{}, nil},
		{"UDP", []step{{in: udp(80, 7), verdict: redirect, out: translated(udp(80, 7))},
			{in: answer(udp(80, 9), 0), device: inside, verdict: redirect, out: back(answer(udp(80, 9), 0), 80)}}, counted{}, nil},
		{"gate", []step{{in: tcp(81, syn), verdict: redirect, out: moved(tcp(81, syn))}}, counted{halves: 1}, nil},
		{"ipip", []step{{in: tcp(82, syn), verdict: redirect, out: tunnelled(tcp(82, syn))}}, counted{halves: 1}, nil},
		{"the last hop", []step{{in: func() packet { p := tcp(80, syn); p.ttl = 1; return p }(), verdict: shot}}, counted{drop: KernelDropDROP_TTL, drops: 1, active: 1, halves: 1}, nil},
		{"no server", []step{{in: tcp(80, syn), verdict: shot}}, counted{drop: KernelDropDROP_NO_SERVER, drops: 1}, func(x *table) {
			x.service(1, vip(80), protocolTCP, real, KernelForwardFORWARD_MASQ, func(_ *KernelService, s *KernelServer) { s.Weight = 0 })
		}},
		{"no route", []step{{in: tcp(80, syn), verdict: shot}}, counted{drop: KernelDropDROP_NO_ROUTE, drops: 1, active: 1, halves: 1}, func(x *table) {
			x.service(1, vip(80), protocolTCP, netip.AddrPortFrom(f.elsewhere, 80), KernelForwardFORWARD_MASQ, nil)
		}},
		{"at its threshold", []step{{in: tcp(80, syn), verdict: redirect, out: translated(tcp(80, syn))}, {in: func() packet { p := tcp(80, syn); p.from = netip.AddrPortFrom(f.client, 9); return p }(), verdict: shot}},
			counted{drop: KernelDropDROP_NO_SERVER, drops: 1, active: 1, halves: 1}, func(x *table) {
				x.service(1, vip(80), protocolTCP, real, KernelForwardFORWARD_MASQ, func(_ *KernelService, s *KernelServer) { s.Upper = 1 })
			}},
		{"persistence", []step{{in: tcp(80, syn), verdict: redirect, out: translated(tcp(80, syn))}}, counted{active: 1, halves: 1, templates: 1}, func(x *table) {
			x.service(1, vip(80), protocolTCP, real, KernelForwardFORWARD_MASQ, func(s *KernelService, _ *KernelServer) { s.Persistence, s.Netmask = 60, 128 })
		}},
		{"every port", []step{{in: stranger, verdict: redirect, out: func() packet {
			p := stranger
			p.to.Addr()
			p.to = netip.AddrPortFrom(f.masq, 99)
			return p.through(inside, realMAC)
		}()}},
			counted{active: 1, halves: 1}, func(x *table) {
				x.service(1, vip(0), protocolTCP, netip.AddrPortFrom(f.masq, 0), KernelForwardFORWARD_MASQ, nil)
			}},
		{"to the machine itself", []step{{in: tcp(80, syn), verdict: pass}}, counted{active: 1, halves: 1}, func(x *table) {
			x.service(1, vip(80), protocolTCP, netip.AddrPortFrom(f.vip, 80), KernelForwardFORWARD_LOCAL, nil)
		}},
		{"one packet", []step{{in: udp(80, 1), verdict: redirect, out: translated(udp(80, 1))}}, counted{}, func(x *table) {
			x.service(4, vip(80), protocolUDP, real, KernelForwardFORWARD_MASQ, func(s *KernelService, _ *KernelServer) { s.Flags = uint32(KernelServiceFlagSERVICE_ONE_PACKET) })
		}},
		{"just not too big", []step{{in: big(80, 0), verdict: redirect, out: translated(big(80, 0))}}, counted{}, nil},
		{"too big", []step{{in: big(80, 1), verdict: redirect, out: tooBig(big(80, 1), 1500, f.ip+8)}}, counted{drop: KernelDropDROP_TOO_BIG, drops: 1}, nil},
		{"too big for a tunnel", []step{{in: big(82, 0), verdict: redirect, out: tooBig(big(82, 0), uint32(1500-f.ip), f.ip+8)}}, counted{drop: KernelDropDROP_TOO_BIG, drops: 1}, nil},
		{"an error about what the client sent", and(opened(80), step{device: inside, verdict: redirect,
			in: unreachable(f.masq, f.client, translated(tcp(80, ack))), out: told(tcp(80, ack))}), counted{active: 1, conns: 1}, nil},
		{"an error about a first segment", []step{{in: tcp(80, syn), verdict: redirect, out: translated(tcp(80, syn))}, {device: inside, verdict: redirect,
			in: unreachable(f.masq, f.client, translated(tcp(80, syn))), out: told(tcp(80, syn))}}, counted{active: 1, halves: 1}, nil},
		{"a port again that was refused", []step{{in: tcp(80, syn), verdict: redirect, out: translated(tcp(80, syn))},
			{in: answer(tcp(80, 0), rst|ack), device: inside, verdict: redirect, out: back(answer(tcp(80, 0), rst|ack), 80)},
			{in: tcp(80, syn), verdict: redirect, out: func() packet {
				p := tcp(80, syn)
				p.to = netip.AddrPortFrom(f.gate, 8080)
				return p.through(inside, realMAC)
			}()}},
			counted{halves: 1}, func(x *table) { x.second(1, 7, netip.AddrPortFrom(f.gate, 8080)) }},
		{"an error about what the server sent", and(opened(80), step{verdict: redirect,
			in: unreachable(f.client, f.vip, back(answer(tcp(80, 0), ack), 80)),
			out: func() packet {
				p := unreachable(f.client, f.masq, func() packet { p := answer(tcp(80, 0), ack); p.ttl--; return p }())
				p.smac, p.dmac = inside, realMAC
				return p
			}()}), counted{active: 1, conns: 1}, nil},
		{"an error that is sent to somebody else", and(opened(80), step{device: inside, verdict: pass, in: unreachable(f.masq, f.gate, translated(tcp(80, ack)))}),
			counted{active: 1, conns: 1}, nil},
		{"an error about something else", []step{{in: unreachable(f.client, f.vip, stranger), verdict: pass}}, counted{}, nil},
		{"another machine's", []step{{in: func() packet { p := tcp(80, syn); p.dmac = realMAC; return p }(), verdict: pass}}, counted{}, nil},
		{"cut off in its header", []step{{in: func() packet { p := tcp(80, syn); p.short = 18; return p }(), verdict: pass}}, counted{drop: KernelDropDROP_MALFORMED, drops: 1}, nil},
	}
}

// only4 are tests of what IPv6 does not have, or has otherwise.
func only4(f family) []packetTest {
	client, vip, real := netip.AddrPortFrom(f.client, 1234), netip.AddrPortFrom(f.vip, 80), netip.AddrPortFrom(f.masq, 8080)
	piece := func(fragment uint16, n int) packet {
		return packet{smac: clientMAC, dmac: outside, from: client, to: vip, protocol: protocolUDP, ttl: 64, fragment: fragment, payload: make([]byte, n)}
	}
	translated := func(p packet) packet {
		p.to = real
		return p.through(inside, realMAC)
	}
	syn4 := packet{smac: clientMAC, dmac: outside, from: client, to: vip, protocol: protocolTCP, flags: syn, ttl: 64}
	bad, options, mapped := syn4, syn4, syn4
	bad.badIHL, options.options = true, true
	mapped.from = netip.AddrPortFrom(netip.AddrFrom16(f.client.As16()), 1234)
	mapped.to = netip.AddrPortFrom(netip.AddrFrom16(f.vip.As16()), 80)
	return []packetTest{
		{"pieces", []step{{in: piece(moreToCome, 1000), verdict: redirect, out: translated(piece(moreToCome, 1000))}, {in: piece(126, 100), verdict: redirect, out: translated(piece(126, 100))}}, counted{}, nil},
		{"a later piece alone", []step{{in: piece(126, 100), verdict: pass}}, counted{drop: KernelDropDROP_FRAGMENT, drops: 1}, nil},
		{"too big, but may be cut", []step{{in: piece(0, 1473), verdict: pass, out: func() packet { p := piece(0, 1473); p.to = real; return p }()}}, counted{}, nil},
		{"a header of 16 bytes", []step{{in: bad, verdict: pass}}, counted{drop: KernelDropDROP_MALFORMED, drops: 1}, nil},
		{"by IPv6, with its addresses mapped", []step{{in: mapped, verdict: pass}}, counted{}, nil},
		{"options", []step{{in: options, verdict: redirect, out: translated(options)}}, counted{active: 1, halves: 1}, nil},
	}
}

// TestPackets gives packets to the program, and looks at what becomes of them, byte by byte.
func TestPackets(t *testing.T) {
	newMachine(t)
	x := newTable(t, 1000)
	x.expect(func(port int) bool { return 80 <= port && port <= 82 })
	testPackets(t, x)
}

// TestWrongGuess is the same where the program takes what servers send for what clients send, and the other way round.
func TestWrongGuess(t *testing.T) {
	newMachine(t)
	x := newTable(t, 1000)
	for _, clients := range []bool{true, false} {
		x.expect(func(int) bool { return clients })
		testPackets(t, x)
	}
}

func testPackets(t *testing.T, x *table) {
	for _, f := range families {
		all := tests(f)
		if f.vip.Is4() {
			all = append(all, only4(f)...)
		}
		for _, tt := range all {
			x.empty()
			for i, protocol := range []byte{protocolTCP, protocolUDP} {
				id := uint32(1 + 3*i)
				x.service(id, netip.AddrPortFrom(f.vip, 80), protocol, netip.AddrPortFrom(f.masq, 8080), KernelForwardFORWARD_MASQ, nil)
				x.service(id+1, netip.AddrPortFrom(f.vip, 81), protocol, netip.AddrPortFrom(f.gate, 81), KernelForwardFORWARD_GATE, nil)
				x.service(id+2, netip.AddrPortFrom(f.vip, 82), protocol, netip.AddrPortFrom(f.tunnel, 82), KernelForwardFORWARD_IPIP, nil)
			}
			if tt.setup != nil {
				tt.setup(x)
			}
			for i, s := range tt.steps {
				device, in := s.device, s.in.bytes()
				if device == 0 {
					device = outside
				}
				verdict, out := x.take(t, device, in)
				want := in
				if s.out.ttl != 0 {
					want = s.out.bytes()
				}
				if verdict != s.verdict {
					t.Errorf("%s: %s: packet %d: verdict %d, want %d", f.name, tt.name, i, verdict, s.verdict)
				} else if verdict != shot && !bytes.Equal(out, want) {
					t.Errorf("%s: %s: packet %d:\n got %x\nwant %x", f.name, tt.name, i, out, want)
				}
			}
			if !slices.ContainsFunc(tt.steps, func(s step) bool { return s.in.protocol == protocolUDP }) || tt.want.drops > 0 {
				w := tt.want
				if w.drops > 0 && w.drop == KernelDropDROP_TOO_BIG {
					w.conns = 1
				}
				was := t.Failed()
				x.check(1, w)
				if !was && t.Failed() {
					t.Errorf("%s: %s", f.name, tt.name)
				}
			}
		}
	}
}
