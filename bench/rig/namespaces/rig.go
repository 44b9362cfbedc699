// Package namespaces is a small network in one machine: a client, a director and two real servers, each in a network
// namespace of its own, joined by pairs of veth. The addresses are those of the seed's slides.
//
//	client 172.16.0.2/16 ── 172.16.1.11/16, the VIP: director 192.168.0.1 ──┬── 192.168.0.101 real1
//	                                                                       └── 192.168.0.102 real2
//
// The director forwards, so that the client also reaches the real servers straight. It needs root. What it makes has this
// process's number in its name, and the next rig removes what a killed one has left behind.
package namespaces

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// Host is one of the rig's namespaces.
type Host string

// The hosts.
const (
	Client   Host = "client"
	Director Host = "director"
	Real1    Host = "real1"
	Real2    Host = "real2"
)

// The addresses.
const (
	VIP       = "172.16.1.11"
	ClientIP  = "172.16.0.2"
	GatewayIP = "192.168.0.1" // the director's at the real servers' side
	Real1IP   = "192.168.0.101"
	Real2IP   = "192.168.0.102"
)

// Rig is a running network.
type Rig struct{ prefix string }

var started atomic.Int64

var hosts = []Host{Client, Director, Real1, Real2}

// Start makes the network. Stop it.
func Start(ctx context.Context) (*Rig, error) {
	reap(ctx)
	r := &Rig{prefix: fmt.Sprintf("lvsession-%d-%d-", os.Getpid(), started.Add(1))}
	if err := r.build(ctx); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// Need starts a rig until the test ends, or skips the test where that is not allowed.
func Need(t testing.TB) *Rig {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Skip(t, "network namespaces need root")
	}
	need.Program(t, "ip", "iproute2")
	r, err := Start(t.Context())
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

func (r *Rig) build(ctx context.Context) error {
	for _, h := range hosts {
		if err := ip(ctx, "netns", "add", r.name(h)); err != nil {
			if strings.Contains(err.Error(), "Operation not permitted") {
				return fmt.Errorf("%w: %w", errNotAllowed, err)
			}
			return err
		}
		if err := r.ip(ctx, h, "link", "set", "lo", "up"); err != nil {
			return err
		}
	}
	// The links to the real servers are of one address each, so the director needs no bridge.
	steps := []struct {
		from      Host
		device    string
		to        Host
		addresses [2]string
	}{
		{Director, "client", Client, [2]string{VIP + "/16", ClientIP + "/16"}},
		{Director, "real1", Real1, [2]string{GatewayIP + " peer " + Real1IP, Real1IP + " peer " + GatewayIP}},
		{Director, "real2", Real2, [2]string{GatewayIP + " peer " + Real2IP, Real2IP + " peer " + GatewayIP}},
	}
	for _, s := range steps {
		if err := ip(ctx, "link", "add", s.device, "netns", r.name(s.from), "type", "veth", "peer", "name", "eth0", "netns", r.name(s.to)); err != nil {
			return err
		}
		for i, end := range []struct {
			h      Host
			device string
		}{{s.from, s.device}, {s.to, "eth0"}} {
			add := append([]string{"address", "add"}, strings.Fields(s.addresses[i])...)
			if err := errors.Join(r.ip(ctx, end.h, append(add, "dev", end.device)...), r.ip(ctx, end.h, "link", "set", end.device, "up")); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		r.ip(ctx, Client, "route", "add", "192.168.0.0/24", "via", VIP),
		r.ip(ctx, Real1, "route", "add", "default", "via", GatewayIP),
		r.ip(ctx, Real2, "route", "add", "default", "via", GatewayIP),
		r.Command(ctx, Director, "sysctl", "-qw", "net.ipv4.ip_forward=1").Run(),
		r.reusePorts(ctx, Client),
		r.reusePorts(ctx, Director),
	)
}

// reusePorts lets a host open thousands of connections a second: one that has ended keeps its port for a minute unless the
// kernel may reuse it, and looking for the last free ones takes milliseconds.
func (r *Rig) reusePorts(ctx context.Context, h Host) error {
	return r.Command(ctx, h, "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 65535").Run()
}

// name is the namespace's of a host.
func (r *Rig) name(h Host) string { return r.prefix + string(h) }

// Command is a command to be run on a host. Its process is the program's own, not one around it.
func (r *Rig) Command(ctx context.Context, h Host, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", r.name(h), program}, args...)...)
}

func (r *Rig) ip(ctx context.Context, h Host, args ...string) error {
	return ip(ctx, append([]string{"-netns", r.name(h)}, args...)...)
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Stop ends what runs in the network and removes it.
func (r *Rig) Stop() {
	for _, h := range hosts {
		remove(r.name(h))
	}
}

// remove kills what runs in a namespace and removes it. With the namespace its devices go, and their other ends.
func remove(name string) {
	out, _ := exec.Command("ip", "netns", "pids", name).Output() // an error means that it is not there
	for _, field := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	exec.Command("ip", "netns", "del", name).Run()
}

var ours = regexp.MustCompile(`^lvsession-(\d+)-\d+-[a-z0-9]+$`)

// reap removes what processes that are no more have left behind.
func reap(ctx context.Context) {
	out, err := exec.CommandContext(ctx, "ip", "netns", "list").Output()
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		match := ours.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		if pid, err := strconv.Atoi(match[1]); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			remove(name)
		}
	}
}
