package bpf

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// nanoseconds returns how long a program takes for a packet that comes in at a device, as the kernel measures it.
func nanoseconds(tb testing.TB, program *ebpf.Program, packets [][]byte) float64 {
	tb.Helper()
	before, err := program.Stats()
	if err != nil {
		tb.Fatal(err)
	}
	for _, in := range packets {
		if verdict, _ := run(tb, program, outside, in, 1); verdict != redirect {
			tb.Fatalf("verdict %d", verdict)
		}
	}
	after, err := program.Stats()
	if err != nil {
		tb.Fatal(err)
	}
	return float64(after.Runtime-before.Runtime) / float64(after.RunCount-before.RunCount)
}

// BenchmarkGrowth measures the nanoseconds of a packet of an established connection, by masq, with more and more of them in
// the table, and with more and more virtual services. Rounds alternate; each figure is a median, and the ratio is to the first.
//
//	go test -run xxx -bench Growth -benchtime 1x ./lvsproxy/dataplane/ebpf/internal/bpf
func BenchmarkGrowth(b *testing.B) {
	newMachine(b)
	stats, err := ebpf.EnableStats(0) // BPF_STATS_RUN_TIME
	if err != nil {
		b.Skip(err)
	}
	defer stats.Close()
	type side struct {
		name            string
		flows, services int
		table           *table
		figures         []float64
	}
	sides := []*side{
		{name: "flows=1000", flows: 1000, services: 1}, {name: "flows=100000", flows: 100_000, services: 1}, {name: "flows=1000000", flows: 1_000_000, services: 1},
		{name: "services=1", flows: 1000, services: 1}, {name: "services=100", flows: 1000, services: 100}, {name: "services=1000", flows: 1000, services: 1000},
	}
	for _, s := range sides {
		s.table = newTable(b, 1<<20)
		s.table.fill(s.flows, s.services)
	}
	const rounds, packets = 9, 5000
	for range b.N {
		for range rounds {
			for _, s := range sides {
				s.figures = append(s.figures, nanoseconds(b, s.table.Ingress, some(s.flows, s.services, packets)))
			}
		}
	}
	for i, s := range sides {
		slices.Sort(s.figures)
		base := sides[i/3*3].figures
		b.Logf("%-16s %4.0f ns a packet (%.0f to %.0f), %.2f of the first", s.name, middle(s.figures), s.figures[0], s.figures[len(s.figures)-1], middle(s.figures)/middle(base))
		b.ReportMetric(middle(s.figures), s.name+"-ns/packet")
	}
}

func middle(sorted []float64) float64 { return sorted[len(sorted)/2] }

// flow is number i: each client's address has 10,000 ports, and services take turns.
func flow(i, services int) (client, vip netip.AddrPort) {
	f := families[0]
	a := f.client.As4()
	binary.BigEndian.PutUint16(a[2:], uint16(0x4000+i/10_000)) // 172.16.64.x: routed to the outside
	return netip.AddrPortFrom(netip.AddrFrom4(a), uint16(10_000+i%10_000)), netip.AddrPortFrom(f.vip, uint16(80+i%services))
}

// fill has the table hold established connections.
func (x *table) fill(flows, services int) {
	x.t.Helper()
	f := families[0]
	x.expect(func(int) bool { return true })
	for i := range services {
		x.service(uint32(1+i%60), netip.AddrPortFrom(f.vip, uint16(80+i)), protocolTCP, netip.AddrPortFrom(f.masq, 8080), KernelForwardFORWARD_MASQ, nil)
	}
	keys, values := make([]KernelFlow, flows), make([]KernelConn, flows)
	replies := make([]KernelFlow, flows)
	for i := range flows {
		client, vip := flow(i, services)
		keys[i] = KernelFlow{
			From: KernelAddress{Bytes: client.Addr().As16()}, To: KernelAddress{Bytes: vip.Addr().As16()},
			FromPort: order(client.Port()), ToPort: order(vip.Port()), Protocol: protocolTCP,
		}
		rip := KernelAddress{Bytes: f.masq.As16()}
		values[i] = KernelConn{
			Service: 1, Server: 1, Expires: 1 << 62, State: uint8(KernelStateSTATE_ESTABLISHED), Port: order(8080), Rip: rip,
		}
		replies[i] = KernelFlow{From: rip, To: keys[i].From, FromPort: order(8080), ToPort: keys[i].FromPort, Protocol: protocolTCP}
	}
	if _, err := x.Conns.BatchUpdate(keys, values, nil); err != nil {
		x.t.Fatal(err)
	}
	if _, err := x.Replies.BatchUpdate(replies, keys, nil); err != nil {
		x.t.Fatal(err)
	}
}

// some are segments of connections that are picked by chance.
func some(flows, services, n int) (packets [][]byte) {
	for range n {
		client, vip := flow(rand.IntN(flows), services)
		packets = append(packets, packet{
			smac: clientMAC, dmac: outside, from: client, to: vip, protocol: protocolTCP, flags: ack, ttl: 64, fragment: dontFragment,
		}.bytes())
	}
	return packets
}

// TestCost prints what a packet of each kind costs, in the program alone.
func TestCost(t *testing.T) {
	newMachine(t)
	stats, err := ebpf.EnableStats(0)
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	x := newTable(t, 1<<17)
	f := families[0]
	x.service(1, netip.AddrPortFrom(f.vip, 80), protocolTCP, netip.AddrPortFrom(f.masq, 8080), KernelForwardFORWARD_MASQ, nil)
	x.service(2, netip.AddrPortFrom(f.vip, 81), protocolTCP, netip.AddrPortFrom(f.gate, 81), KernelForwardFORWARD_GATE, nil)
	x.expect(func(port int) bool { return port == 80 || port == 81 })
	x.early()
	segment := func(flags byte, port uint16, i int) []byte {
		return packet{
			smac: clientMAC, dmac: outside, from: netip.AddrPortFrom(f.client, uint16(1000+i)), to: netip.AddrPortFrom(f.vip, port),
			protocol: protocolTCP, flags: flags, ttl: 64, fragment: dontFragment,
		}.bytes()
	}
	for port, name := range map[uint16]string{80: "masq", 81: "gate"} {
		for _, kind := range []struct {
			name  string
			flags byte
		}{{"SYN", syn}, {"first ACK", ack}, {"ACK", ack}, {"FIN", fin | ack}} {
			var packets [][]byte
			for i := range 5000 {
				packets = append(packets, segment(kind.flags, port, i))
			}
			began := time.Now()
			cost := nanoseconds(t, x.Ingress, packets)
			t.Logf("%s, %s: %.0f ns (%v with the system call)", name, kind.name, cost, time.Since(began)/5000)
			if kind.name == "ACK" {
				t.Logf("%s, %s by XDP: %.0f ns", name, kind.name, x.earlyNanoseconds(t, packets))
			}
		}
	}
	if n := entries(x.Conns); n != 10_000 {
		t.Errorf("%d connections, want 10,000", n)
	}
}
