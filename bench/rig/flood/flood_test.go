package flood

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// TestSYN: as many SYNs as are asked for arrive, at no higher rate; their checksums are right, and a listening socket takes
// them for clients.
func TestSYN(t *testing.T) {
	rig := namespaces.Need(t)
	for _, vip := range []string{namespaces.VIP, namespaces.VIP6} {
		t.Run(vip, func(t *testing.T) {
			target := netip.AddrPortFrom(netip.MustParseAddr(vip), 80)
			l, err := rig.Listen(t.Context(), namespaces.Director, "tcp", target.String())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			before := segments(t, rig)
			const count, rate = 2000, 10000
			sent := send(t, rig, Options{Target: target, Rate: rate, Count: count, Span: 10 * time.Second})
			if sent.SYNs+sent.Lost != count || sent.Took < (count-1)*time.Second/rate {
				t.Errorf("sent %+v; want %d in no less than %v", sent, count, count*time.Second/rate)
			}
			after := segments(t, rig)
			if got := after["InSegs"] - before["InSegs"]; got < sent.SYNs {
				t.Errorf("%d of %d arrived", got, sent.SYNs)
			}
			if got := after["InErrs"] - before["InErrs"]; got != 0 {
				t.Errorf("%d were damaged", got)
			}
			if got := halfOpen(t, rig); got == 0 {
				t.Error("no SYN was taken for a client's")
			}
		})
	}
}

// TestACK: ACKs arrive undamaged, and nobody takes them for clients.
func TestACK(t *testing.T) {
	rig := namespaces.Need(t)
	for _, vip := range []string{namespaces.VIP, namespaces.VIP6} {
		before := segments(t, rig)
		const count = 1000
		sent := send(t, rig, Options{Target: netip.AddrPortFrom(netip.MustParseAddr(vip), 80), Rate: 10000, Count: count, Span: 10 * time.Second, ACK: true})
		after := segments(t, rig)
		if got := after["InSegs"] - before["InSegs"]; sent.SYNs == 0 || got < sent.SYNs {
			t.Errorf("%s: %d of %d arrived", vip, got, sent.SYNs)
		}
		if got := after["OutRsts"] - before["OutRsts"]; got < sent.SYNs {
			t.Errorf("%s: %d of %d were refused", vip, got, sent.SYNs)
		}
		if got := after["InErrs"] - before["InErrs"]; got != 0 {
			t.Errorf("%s: %d were damaged", vip, got)
		}
	}
}

func send(t *testing.T, rig *namespaces.Rig, o Options) (sent Sent) {
	t.Helper()
	if err := rig.Do(namespaces.Client, func() (err error) {
		sent, err = SYN(t.Context(), o)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return sent
}

// segments are what the director's kernel has counted of TCP.
func segments(t *testing.T, rig *namespaces.Rig) map[string]int {
	t.Helper()
	counts := map[string]int{}
	var names []string
	for _, fields := range lines(t, rig, "snmp") {
		if fields[0] != "Tcp:" {
			continue
		}
		for i, field := range fields {
			if n, err := strconv.Atoi(field); err == nil {
				counts[names[i]] = n
			}
		}
		names = fields
	}
	return counts
}

// halfOpen counts the director's connections of which only the SYN has come.
func halfOpen(t *testing.T, rig *namespaces.Rig) (n int) {
	for _, fields := range slices.Concat(lines(t, rig, "tcp"), lines(t, rig, "tcp6")) {
		if len(fields) > 3 && fields[3] == "03" {
			n++
		}
	}
	return n
}

func lines(t *testing.T, rig *namespaces.Rig, file string) (all [][]string) {
	t.Helper()
	if err := rig.Do(namespaces.Director, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/" + file)
		for line := range strings.Lines(string(text)) {
			all = append(all, strings.Fields(line))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBounds(t *testing.T) {
	rig := namespaces.Need(t)
	target := netip.MustParseAddrPort(namespaces.VIP + ":80")
	if _, err := SYN(t.Context(), Options{Target: target, Rate: 1, Span: time.Second}); !errors.Is(err, ErrOutside) {
		t.Errorf("outside of the rig: %v", err)
	}
	inside := func(ctx context.Context, o Options) (sent Sent, err error) {
		err = rig.Do(namespaces.Client, func() (err error) {
			sent, err = SYN(ctx, o)
			return err
		})
		return sent, err
	}
	for _, o := range []Options{
		{Rate: 1, Span: time.Second},
		{Target: target, Span: time.Second},
		{Target: target, Rate: MostRate + 1, Span: time.Second},
		{Target: target, Rate: 1},
		{Target: target, Rate: 1, Span: MostSpan + 1},
		{Target: target, Rate: 1, Span: time.Second, Clients: namespaces.Elsewhere6},
	} {
		if sent, err := inside(t.Context(), o); err == nil || sent.SYNs != 0 {
			t.Errorf("%+v: sent %+v, %v", o, sent, err)
		}
	}
	if sent, err := inside(t.Context(), Options{Target: target, Rate: 1000, Span: 100 * time.Millisecond}); err != nil || sent.SYNs > 100 || sent.SYNs == 0 {
		t.Errorf("100 ms of 1000/s: %+v, %v", sent, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if sent, err := inside(ctx, Options{Target: target, Rate: 1000, Span: time.Minute}); err != nil || sent.Took > 30*time.Second {
		t.Errorf("with a context that ends: %+v, %v", sent, err)
	}
}

// TestFrames: clients are by chance, within their prefix, and each frame says so with right checksums.
func TestFrames(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for target, clients := range map[string]netip.Prefix{
		"172.16.1.11:80":      namespaces.Elsewhere,
		"[fd00:16::1:11]:443": namespaces.Elsewhere6,
		"10.0.0.1:1":          netip.MustParsePrefix("10.1.2.3/32"),
	} {
		f := newForger(way{from: mac, to: mac}, Options{Target: netip.MustParseAddrPort(target), Clients: clients})
		seen := map[netip.Addr]bool{}
		for range 10 {
			for _, frame := range f.forge(batchSize) {
				source, err := check(frame)
				if err != nil {
					t.Fatalf("to %s: %v", target, err)
				}
				if !clients.Contains(source) {
					t.Fatalf("%v is not in %v", source, clients)
				}
				seen[source] = true
			}
		}
		if want := min(600, 1<<min(20, clients.Addr().BitLen()-clients.Bits())); len(seen) < want {
			t.Errorf("to %s: %d clients, want %d", target, len(seen), want)
		}
	}
}

// check returns a frame's source, and what is wrong with its checksums.
func check(frame []byte) (netip.Addr, error) {
	ip := frame[ethernetSize:]
	if ip[0]>>4 == 6 {
		source, _ := netip.AddrFromSlice(ip[8:24])
		if len(ip) != ipv6Size+tcpSize || fold(sum(tcpSize+6, ip[8:])) != 0xffff {
			return source, fmt.Errorf("%x", ip)
		}
		return source, nil
	}
	source, _ := netip.AddrFromSlice(ip[12:16])
	if len(ip) != ipv4Size+tcpSize || fold(sum(0, ip[:ipv4Size])) != 0xffff || fold(sum(tcpSize+6, ip[12:])) != 0xffff {
		return source, fmt.Errorf("%x", ip)
	}
	return source, nil
}
