// Package namespaces is a small network in one machine: a client, one or two directors and two real servers, each in a
// network namespace of its own. The addresses are those of the seed's slides; each has an IPv6 address beside.
//
//	client 172.16.0.2/16 ── 172.16.1.11/16, the VIP: director 192.168.0.1 ──┬── 192.168.0.101 real1 ── client
//	                                                                       └── 192.168.0.102 real2 ── client
//
// The director forwards, so that the client also reaches the real servers straight. The real servers have the VIP on lo and
// a way of their own to the client for what they send from it: so all forwarding methods work, masq through the director
// and gate and ipip past it.
//
// With one director the links are pairs of veth between two hosts. With two, all hosts of a side share a bridge, and the VIP
// and the real servers' gateway are on neither director: keepalived gives them to one.
//
// It needs root. What it makes has this process's number in its name. When the process ends, however it ends, a guard
// removes it; and the next rig removes what a guard that was killed too has left behind.
package namespaces

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// Host is one of the rig's namespaces.
type Host string

// The hosts.
const (
	Client    Host = "client"
	Director  Host = "director"
	Director2 Host = "director2" // only with two directors
	Real1     Host = "real1"
	Real2     Host = "real2"

	bridges Host = "switch" // only with two directors
)

// The addresses.
const (
	VIP       = "172.16.1.11"
	ClientIP  = "172.16.0.2"
	GatewayIP = "192.168.0.1" // the director's at the real servers' side
	Real1IP   = "192.168.0.101"
	Real2IP   = "192.168.0.102"

	VIP6       = "fd00:16::1:11"
	ClientIP6  = "fd00:16::2"
	GatewayIP6 = "fd00:192::1"
	Real1IP6   = "fd00:192::101"
	Real2IP6   = "fd00:192::102"
)

// Elsewhere are addresses of clients that are many and that are not there, those that RFC 2544 and RFC 5180 set aside for
// benchmarks. What is sent to them goes to the client, which drops it.
var (
	Elsewhere  = netip.MustParsePrefix("198.18.0.0/15")
	Elsewhere6 = netip.MustParsePrefix("2001:2::/48")
)

// The names of a director's devices. With two directors, those to the real servers are one, ToReals.
const (
	ToClient = "client"
	ToReals  = "reals"
	ToReal1  = "real1"
	ToReal2  = "real2"
)

// Options say what network is wanted. The zero value is one director, and the MTU that Linux gives.
type Options struct {
	// Directors is 1 or 2; 0 means 1.
	Directors int
	// MTU is that of the links between directors and real servers, in bytes, 1280 to 9000; 0 means 1500. All hosts offer the
	// segments of 1500 bytes nonetheless: it is up to path MTU discovery to find out.
	MTU int
}

// Rig is a running network.
type Rig struct {
	prefix string
	hosts  []Host
	guard  *guard
}

var started atomic.Int64

// Start makes the network with one director. Stop it.
func Start(ctx context.Context) (*Rig, error) { return StartWith(ctx, Options{}) }

// StartWith makes the network. Stop it.
func StartWith(ctx context.Context, o Options) (*Rig, error) {
	if o.Directors < 0 || o.Directors > 2 {
		return nil, fmt.Errorf("a rig has 1 or 2 directors, not %d", o.Directors)
	}
	if o.MTU != 0 && (o.MTU < 1280 || o.MTU > 9000) {
		return nil, fmt.Errorf("MTU %d is out of range: 1280, the least of IPv6, to 9000", o.MTU)
	}
	reap(ctx)
	r := &Rig{
		prefix: fmt.Sprintf("lvsession-%d-%d-", os.Getpid(), started.Add(1)),
		hosts:  []Host{Client, Director, Real1, Real2},
	}
	if o.Directors == 2 {
		r.hosts = append(r.hosts, Director2, bridges)
	}
	var err error
	if r.guard, err = startGuard(r); err == nil {
		err = os.Mkdir(r.Dir(), 0o755)
	}
	if err == nil {
		err = r.build(ctx, o)
	}
	if err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// Need starts a rig with one director until the test ends, or skips the test where that is not allowed.
func Need(t testing.TB) *Rig {
	t.Helper()
	return NeedWith(t, Options{})
}

// NeedWith is [Need] with options.
func NeedWith(t testing.TB, o Options) *Rig {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Skip(t, "network namespaces need root")
	}
	need.Program(t, "ip", "iproute2")
	r, err := StartWith(t.Context(), o)
	if errors.Is(err, errNotAllowed) {
		need.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

var errNotAllowed = errors.New("network namespaces are not allowed here: CAP_SYS_ADMIN and CAP_NET_ADMIN are needed")

// Name is the namespace's of a host, as ip-netns(8) knows it.
func (r *Rig) Name(h Host) string { return r.prefix + string(h) }

// Dir is a folder for files of those who are in the network, which all users can read. It goes with the network.
func (r *Rig) Dir() string { return filepath.Join(os.TempDir(), strings.TrimSuffix(r.prefix, "-")) }

// Pins is a folder of BPF's file system that goes with the network. Who needs it makes it.
func (r *Rig) Pins() string { return filepath.Join(bpffs, strings.TrimSuffix(r.prefix, "-")) }

// Hosts are those of the network.
func (r *Rig) Hosts() []Host { return r.hosts }

func (r *Rig) names() (names []string) {
	for _, h := range r.hosts {
		names = append(names, r.Name(h))
	}
	return names
}

// Command is a command to be run on a host. Its process is the program's own, not one around it. It sees the machine's file
// system as it is, /sys with its mounts too, which "ip netns exec" would hide from it: what is pinned there stays.
func (r *Rig) Command(ctx context.Context, h Host, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + r.path(h), program}, args...)...)
}

// CutOff takes a host's cables out of the switch, in a rig with two directors: nobody hears of it any more, nor it of
// anybody, but its links are up. So it is as if the machine were gone.
func (r *Rig) CutOff(ctx context.Context, h Host) error {
	var lines []string
	for _, l := range twoDirectors {
		if port := l.ends[1]; l.ends[0].host == h {
			lines = append(lines, "link set "+port.device+" nomaster")
		}
	}
	return r.ip(ctx, bridges, lines...)
}

// ip runs lines of commands of ip(8) on a host.
func (r *Rig) ip(ctx context.Context, h Host, lines ...string) error {
	return batch(ctx, lines, "-netns", r.Name(h))
}

// ip6 is ip for routes and rules of IPv6.
func (r *Rig) ip6(ctx context.Context, h Host, lines ...string) error {
	return batch(ctx, lines, "-6", "-netns", r.Name(h))
}

// batch runs lines of commands of ip(8).
func batch(ctx context.Context, lines []string, options ...string) error {
	cmd := exec.CommandContext(ctx, "ip", append(options, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v of\n%s: %w: %s", cmd.Args, strings.Join(lines, "\n"), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Stop ends what runs in the network and removes it.
func (r *Rig) Stop() {
	for _, h := range r.hosts {
		remove(r.Name(h))
	}
	os.RemoveAll(r.Dir())
	os.RemoveAll(r.Pins())
	r.guard.stop()
}
