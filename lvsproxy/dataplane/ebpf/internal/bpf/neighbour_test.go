package bpf

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// TestStaleNeighbour has the machine ask for a neighbour's MAC address that it has not heard of for long: a real server or a
// gateway may have been replaced.
func TestStaleNeighbour(t *testing.T) {
	newMachine(t)
	x := newTable(t, 1000)
	attached, err := link.AttachTCX(link.TCXOptions{Interface: outside, Program: x.Ingress, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		need.Skip(t, "no TCX: "+err.Error())
	}
	defer attached.Close()
	for _, f := range families {
		x.service(1, netip.AddrPortFrom(f.vip, 80), protocolTCP, netip.AddrPortFrom(f.masq, 8080), KernelForwardFORWARD_MASQ, nil)
		ip(t, "neighbour", "replace", f.masq.String(), "lladdr", mac(realMAC), "nud", "stale", "dev", "inside")
		send(t, "outside-end", packet{
			smac: clientMAC, dmac: outside, from: netip.AddrPortFrom(f.client, 1234), to: netip.AddrPortFrom(f.vip, 80),
			protocol: protocolTCP, flags: syn, ttl: 64, fragment: dontFragment,
		}.bytes())
		for end := time.Now().Add(5 * time.Second); ; {
			state := ip(t, "neighbour", "show", f.masq.String(), "dev", "inside")
			if strings.Contains(state, "DELAY") || strings.Contains(state, "PROBE") || strings.Contains(state, "FAILED") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the neighbour was not asked for: %s", f.name, state)
			}
		}
	}
}

func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
	return string(out)
}

// send sends a frame out of a device of the test's namespace.
func send(t *testing.T, device string, frame []byte) {
	t.Helper()
	d, err := net.InterfaceByName(device)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: d.Index, Halen: 6}); err != nil {
		t.Fatal(err)
	}
}
