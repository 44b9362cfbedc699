package netlink

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

func drawAddr(t *rapid.T, six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
	}
	return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
}

func drawID(t *rapid.T) config.VirtualID {
	six := rapid.Bool().Draw(t, "IPv6")
	if rapid.Bool().Draw(t, "mark") {
		return config.VirtualID{Protocol: config.FWM, FWMark: rapid.Uint32Range(1, 1<<32-1).Draw(t, "mark"), IPv6: six}
	}
	return config.VirtualID{
		Protocol: rapid.SampledFrom([]config.Protocol{config.TCP, config.UDP}).Draw(t, "protocol"),
		Addr:     netip.AddrPortFrom(drawAddr(t, six), rapid.Uint16().Draw(t, "port")),
	}
}

func drawService(t *rapid.T) table.Service {
	s := table.Service{
		ID:        drawID(t),
		Scheduler: rapid.SampledFrom([]string{"rr", "wlc", "sh"}).Draw(t, "scheduler"),
		Flags:     rapid.SampledFrom([]uint32{0, 0x4, 0x18, 0x3c}).Draw(t, "flags"),
		Engine:    rapid.SampledFrom([]string{"", "sip"}).Draw(t, "engine"),
	}
	if rapid.Bool().Draw(t, "persistent") {
		s.Timeout = time.Duration(rapid.Uint32Range(1, 1<<32-1).Draw(t, "seconds")) * time.Second
		s.Netmask = rapid.IntRange(0, wholeAddress(serviceFamily(s.ID) == 2)).Draw(t, "netmask")
	}
	return s
}

func drawServer(t *rapid.T) table.Server {
	s := table.Server{
		Addr:    netip.AddrPortFrom(drawAddr(t, rapid.Bool().Draw(t, "IPv6")), rapid.Uint16().Draw(t, "port")),
		Forward: rapid.SampledFrom([]config.Forward{config.Masq, config.Gate, config.IPIP}).Draw(t, "forward"),
		Weight:  rapid.IntRange(0, 1<<31-1).Draw(t, "weight"),
		Upper:   rapid.IntRange(0, 1<<31-1).Draw(t, "upper"),
		Lower:   rapid.IntRange(0, 1<<31-1).Draw(t, "lower"),
	}
	if s.Forward == config.IPIP {
		s.Tunnel = service.Tunnel{
			Type: rapid.SampledFrom(tunnels[:]).Draw(t, "type"), Port: rapid.Uint16().Draw(t, "port"),
			Flags: rapid.SampledFrom(checksums[:]).Draw(t, "checksum"),
		}
	}
	return s
}

func TestServiceRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawService(t)
		got, err := decodeService(within(attrService, encodeService(s)))
		if err != nil || got != s {
			t.Fatalf("%+v became %+v (%v)", s, got, err)
		}
	})
}

func TestServerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawServer(t)
		got, err := decodeServer(within(attrDest, encodeServer(s)))
		if want := (Counted{Server: s}); err != nil || got != want {
			t.Fatalf("%+v became %+v (%v)", want, got, err)
		}
	})
}

func TestCountsAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.Uint64()
		want := service.Counts{
			Active: rapid.Int64Range(0, 1<<32-1).Draw(t, "active"), Inactive: rapid.Int64Range(0, 1<<32-1).Draw(t, "inactive"),
			Persistent: rapid.Int64Range(0, 1<<32-1).Draw(t, "persistent"), Conns: count.Draw(t, "conns"),
			Traffic: service.Traffic{
				InPackets: count.Draw(t, "packets in"), OutPackets: count.Draw(t, "packets out"),
				InBytes: count.Draw(t, "bytes in"), OutBytes: count.Draw(t, "bytes out"),
			},
		}
		var stats attributes
		for i, n := range []uint64{want.Conns, want.InPackets, want.OutPackets, want.InBytes, want.OutBytes} {
			stats.add(uint16(statsConns+i), native.AppendUint64(nil, n))
		}
		a := encodeServer(drawServer(t))
		a.uint32(destActive, uint32(want.Active))
		a.uint32(destInactive, uint32(want.Inactive))
		a.uint32(destPersistent, uint32(want.Persistent))
		a.nested(destStats64, stats)
		got, err := decodeServer(within(attrDest, a))
		if err != nil || got.Counts != want {
			t.Fatalf("%+v was read as %+v (%v)", want, got.Counts, err)
		}
	})
}

func TestDaemonRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := service.SyncDaemon{
			State:     rapid.SampledFrom([]string{"master", "backup"}).Draw(t, "state"),
			Interface: rapid.StringMatching(`[a-z]{1,10}[0-9]{1,5}`).Draw(t, "interface"),
			SyncID:    rapid.IntRange(0, 255).Draw(t, "sync ID"),
			MaxLen:    rapid.IntRange(0, 1<<16-1).Draw(t, "length"),
			Port:      rapid.IntRange(0, 1<<16-1).Draw(t, "port"),
			TTL:       rapid.IntRange(0, 255).Draw(t, "TTL"),
		}
		if rapid.Bool().Draw(t, "group") {
			d.Group = drawAddr(t, rapid.Bool().Draw(t, "IPv6"))
		}
		a, err := encodeDaemon(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeDaemon(within(attrDaemon, a))
		if err != nil || got != d {
			t.Fatalf("%+v became %+v (%v)", d, got, err)
		}
	})
	if _, err := encodeDaemon(service.SyncDaemon{State: "both"}); err == nil {
		t.Error("a daemon of state both was encoded")
	}
}

func TestTimeoutsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(label string) time.Duration {
			return time.Duration(rapid.Uint32().Draw(t, label)) * time.Second
		}
		want := service.Timeouts{TCP: seconds("TCP"), TCPFin: seconds("FIN"), UDP: seconds("UDP")}
		if got, err := decodeTimeouts(encodeTimeouts(want)); err != nil || got != want {
			t.Fatalf("%v became %v (%v)", want, got, err)
		}
	})
}

// What the kernel may have been told by others is no error, and equals nothing that a director wants.
func TestWhatOthersSetIsRead(t *testing.T) {
	sctp := identity(config.VirtualID{Addr: netip.MustParseAddrPort("192.0.2.1:80")})
	if _, err := decodeService(within(attrService, sctp)); !errors.Is(err, errForeign) {
		t.Errorf("a service of another protocol: %v", err)
	}
	var a attributes
	a.add(svcNetmask, []byte{255, 0, 255, 0})
	if got := maskLength(true, a[4:]); got != -1 {
		t.Errorf("255.0.255.0 is %d leading bits", got)
	}
	var local attributes
	local.uint16(destFamily, 2)
	local.addr(destAddr, netip.MustParseAddr("192.0.2.1"))
	local.uint32(destForward, 1)
	if got, err := decodeServer(within(attrDest, local)); err != nil || got.Forward != unknown {
		t.Errorf("forwarding method 1 is %q (%v)", got.Forward, err)
	}
}

func TestCutAttributesAreErrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a attributes
		a.text(1, rapid.String().Draw(t, "text"))
		cut := a[:rapid.IntRange(1, int(native.Uint16(a))-1).Draw(t, "length")]
		if v, err := parse(cut); !errors.Is(err, errShort) {
			t.Fatalf("% x was read as %v (%v)", []byte(cut), v, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	id := config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("[2001:db8::1]:80")}
	f.Add([]byte(within(attrService, encodeService(table.Service{ID: id, Scheduler: "wlc", Timeout: time.Minute, Netmask: 64}))))
	f.Add([]byte(within(attrDest, encodeServer(table.Server{Addr: id.Addr, Forward: config.IPIP, Tunnel: service.Tunnel{Type: "gue"}}))))
	daemon, _ := encodeDaemon(service.SyncDaemon{State: "backup", Interface: "lo"})
	f.Add([]byte(within(attrDaemon, daemon)))
	f.Add([]byte(encodeTimeouts(service.DefaultTimeouts)))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeTimeouts(b)
		if s, err := decodeService(b); err == nil && s.Netmask >= 0 && s.Netmask <= 32 && s.Flags&flagPersistent == 0 {
			again, err := decodeService(within(attrService, encodeService(s)))
			if err != nil || again != s {
				t.Fatalf("%+v became %+v (%v)", s, again, err)
			}
		}
		if s, err := decodeServer(b); err == nil && s.Forward != unknown && s.Tunnel.Type != unknown && s.Tunnel.Flags != unknown {
			again, err := decodeServer(within(attrDest, encodeServer(s.Server)))
			if err != nil || again.Server != s.Server {
				t.Fatalf("%+v became %+v (%v)", s.Server, again.Server, err)
			}
		}
		if d, err := decodeDaemon(b); err == nil {
			a, err := encodeDaemon(d)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := decodeDaemon(within(attrDaemon, a)); err != nil || !reflect.DeepEqual(again, d) {
				t.Fatalf("%+v became %+v (%v)", d, again, err)
			}
		}
	})
}
