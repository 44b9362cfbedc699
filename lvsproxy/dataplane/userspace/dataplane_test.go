package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// What carries bytes is tested from outside, in package lvsproxy.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHint(t *testing.T) {
	vip := netip.MustParseAddrPort("172.16.1.11:80")
	tests := []struct {
		err  error
		want string
	}{
		{syscall.EADDRNOTAVAIL, "ip address add 172.16.1.11/32 dev INTERFACE"},
		{syscall.EACCES, "CAP_NET_BIND_SERVICE"},
		{syscall.EADDRINUSE, "sport = :80"},
		{syscall.ENOMEM, ""},
	}
	for _, tt := range tests {
		got := hint(&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", tt.err)}, vip)
		if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestThrottle: one message, then silence, then the count of what was left out.
func TestThrottle(t *testing.T) {
	var log strings.Builder
	d := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	var th throttle
	for range 5 {
		d.warn(&th, "trouble")
	}
	th.next.Store(time.Now().UnixNano()) // as if the quiet time were over
	d.warn(&th, "trouble")
	if got := log.String(); strings.Count(got, "trouble") != 2 || !strings.Contains(got, "suppressed=0") || !strings.Contains(got, "suppressed=4") {
		t.Errorf("got %s", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	d := New(Options{})
	s, err := service.New(config.Virtual{ID: config.VirtualID{Protocol: config.FWM, FWMark: 1}, Scheduler: "rr"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context(), s); err == nil || !strings.Contains(err.Error(), "cannot do fwm") {
		t.Errorf("got %v", err)
	}
	d.Close(s) // was never opened: nothing happens
	if ended := d.Shutdown(t.Context()); ended != 0 {
		t.Errorf("%d connections ended", ended)
	}
}

// TestPortsAreShared: connections to different real servers may leave from the same local port, because the kernel
// chooses it when it knows where they go. From a port bound before, there are only 28,000 connections in all.
func TestPortsAreShared(t *testing.T) {
	const servers, ports = 3, 2
	probe := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		return errors.Join(c.Control(func(fd uintptr) { failed = fewPorts(int(fd), 42000, 42001) }), failed)
	}}
	if l, err := probe.Listen(t.Context(), "tcp4", "127.0.0.1:0"); errors.Is(err, syscall.ENOPROTOOPT) {
		need.Skip(t, "the kernel has no IP_LOCAL_PORT_RANGE: Linux 6.3 or later")
	} else if err == nil {
		l.Close()
	}
	v := config.Virtual{ID: config.VirtualID{Protocol: config.TCP, Addr: freeAddr(t)}, Scheduler: "rr"}
	for i := range servers {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", 2+i))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		v.Reals = append(v.Reals, config.Real{Addr: l.Addr().(*net.TCPAddr).AddrPort(), Forward: config.Masq, Weight: 1})
	}
	d := New(Options{})
	d.control = func(fd int) { fewPorts(fd, 42000, 42000+ports-1) }
	s := open(t, d, v)
	for i := range servers {
		c, err := net.Dial("tcp", v.ID.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if !eventually(func() bool { return conns(s) == uint64(i+1) }) {
			t.Fatalf("connection %d of %d, with %d local ports, failed", i+1, servers, ports)
		}
	}
}

// fewPorts restricts the local ports of one socket (IP_LOCAL_PORT_RANGE, Linux 6.3).
func fewPorts(fd, low, high int) error {
	const ipLocalPortRange = 51
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipLocalPortRange, high<<16|low)
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// eventually waits until something is the case, and reports whether it is.
func eventually(f func() bool) bool {
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// conns is how many connections were established to all servers of a service.
func conns(s *service.Service) (sum uint64) {
	for _, server := range s.Snapshot().Servers {
		sum += server.Conns
	}
	return sum
}

func freeAddr(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.77:0") // an address of its own: the port stays free
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// open opens a service all of whose servers are alive, until the test ends.
func open(t testing.TB, d *Dataplane, v config.Virtual) *service.Service {
	t.Helper()
	s, err := service.New(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range v.Reals {
		s.SetState(r.Addr, check.Up, "")
	}
	if err := d.Open(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		d.Shutdown(ctx)
	})
	return s
}
