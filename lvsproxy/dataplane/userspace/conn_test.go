package userspace

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

func flowOf(vip netip.AddrPort) scheduler.Flow { return scheduler.Flow{VIP: vip} }

// echoTCP is a server that echoes.
func echoTCP(t testing.TB, ip string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	open := make(chan net.Conn, 20000)
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open <- c
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for close(open); ; {
			c, ok := <-open
			if !ok {
				return
			}
			c.Close()
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func virtualTCP(vip netip.AddrPort, reals ...netip.AddrPort) config.Virtual {
	v := virtualUDP(vip, reals...)
	v.ID.Protocol = config.TCP
	return v
}

// dialEcho opens a connection and has something echoed.
func dialEcho(t testing.TB, vip netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", vip.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func listConns(d *Dataplane, s *service.Service) (listed []service.Conn) {
	d.Conns(s, func(c service.Conn) bool { listed = append(listed, c); return true })
	return listed
}

// TestConns: what is listed, and in IPVS's words.
func TestConns(t *testing.T) {
	server := echoTCP(t, "127.0.0.2")
	v := virtualTCP(freeAddr(t), server)
	v.Own.IdleTimeout = time.Minute
	d := New(Options{})
	s := open(t, d, v)
	c := dialEcho(t, v.ID.Addr)
	listed := listConns(d, s)
	if len(listed) != 1 {
		t.Fatalf("listed: %+v", listed)
	}
	got := listed[0]
	if got.Expires <= 0 || got.Expires > time.Minute {
		t.Errorf("expires in %v", got.Expires)
	}
	got.Expires = 0
	want := service.Conn{Protocol: config.TCP, State: "ESTABLISHED", Client: c.LocalAddr().(*net.TCPAddr).AddrPort(), Virtual: v.ID.Addr, Server: server}
	if got != want {
		t.Errorf("listed %+v, want %+v", got, want)
	}
	if ended := d.End(s, s.Pick(flowOf(v.ID.Addr), nil)); ended != 1 {
		t.Errorf("%d connections ended", ended)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
	if listed := listConns(d, s); len(listed) != 0 {
		t.Errorf("still listed: %+v", listed)
	}
	if counts := s.Snapshot().Servers[0]; counts.ActiveConns != 0 || counts.InBytes != 1 || counts.OutBytes != 1 || counts.InPackets < 3 || counts.OutPackets < 2 {
		t.Errorf("the server's counts: %+v", counts)
	}
}

func TestWord(t *testing.T) {
	tests := []struct {
		state    state
		up, down bool
		want     string
	}{
		{connecting, false, false, "SYN_RECV"},
		{established, false, false, "ESTABLISHED"},
		{halfClosed, true, false, "CLOSE_WAIT"},
		{halfClosed, false, true, "FIN_WAIT"},
	}
	for _, tt := range tests {
		c := &conn{state: tt.state}
		c.up.over, c.down.over = tt.up, tt.down
		if got := c.word(); got != tt.want {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}

// TestIdle: a connection on which nothing moves ends; one that is used does not.
func TestIdle(t *testing.T) {
	v := virtualTCP(freeAddr(t), echoTCP(t, "127.0.0.2"))
	v.Own.IdleTimeout = 300 * time.Millisecond
	s := open(t, New(Options{}), v)
	silent, busy := dialEcho(t, v.ID.Addr), dialEcho(t, v.ID.Addr)
	for begin := time.Now(); time.Since(begin) < 600*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		fmt.Fprint(busy, "x")
		if _, err := io.ReadFull(busy, make([]byte, 1)); err != nil {
			t.Fatalf("the busy connection: %v", err)
		}
	}
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the silent connection: %v", err)
	}
	if active := s.Snapshot().Servers[0].ActiveConns; active != 1 {
		t.Errorf("%d active connections", active)
	}
}

// TestConnectTimeout: a server that does not answer is given up, and another takes the connection.
func TestConnectTimeout(t *testing.T) {
	full, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(full)
	if err := errors.Join(syscall.Bind(full, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 4}}), syscall.Listen(full, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(full)
	if err != nil {
		t.Fatal(err)
	}
	silent := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.4"), uint16(name.(*syscall.SockaddrInet4).Port))
	for range 3 { // fill its queue, so that further SYNs are dropped
		if c, err := net.DialTimeout("tcp", silent.String(), 100*time.Millisecond); err == nil {
			defer c.Close()
		}
	}
	v := virtualTCP(freeAddr(t), echoTCP(t, "127.0.0.2"), silent)
	v.Own.ConnectTimeout = 100 * time.Millisecond
	s := open(t, New(Options{}), v)
	dialEcho(t, v.ID.Addr) // rr begins with the silent one
	for _, server := range s.Snapshot().Servers {
		if server.Addr == silent && (server.ConnectErrors != 1 || server.InactConns != 0) {
			t.Errorf("the silent server's counts: %+v", server)
		}
	}
}

// haproxy starts an HAProxy until the test ends.
func haproxy(t *testing.T, config string) {
	t.Helper()
	program := need.Program(t, "haproxy", "haproxy")
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := child.Start(exec.Command(program, "-db", "-q", "-f", path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
}

// TestProxyProtocol: HAProxy in front of the director tells it who the client is, and the director tells HAProxy behind
// it, in every combination of versions.
func TestProxyProtocol(t *testing.T) {
	for _, version := range []struct{ in, out int }{{1, 1}, {1, 2}, {2, 1}, {2, 2}} {
		t.Run(fmt.Sprintf("v%d in, v%d out", version.in, version.out), func(t *testing.T) {
			front, vip, behind := freeAddr(t), freeAddr(t), freeAddr(t)
			send := "send-proxy"
			if version.in == 2 {
				send = "send-proxy-v2"
			}
			haproxy(t, fmt.Sprintf(`global
	maxconn 100
defaults
	timeout connect 10s
	timeout client 10s
	timeout server 10s
listen front
	mode tcp
	bind %s
	server director %s %s
frontend behind
	mode http
	bind %s accept-proxy
	http-request return status 200 content-type text/plain lf-string "%%[src]:%%[src_port] %%[dst]:%%[dst_port]"
`, front, vip, send, behind))
			v := virtualTCP(vip, behind)
			v.Own.ProxyIn, v.Own.ProxyOut = true, version.out
			d := New(Options{})
			s := open(t, d, v)
			var c net.Conn
			if !eventually(func() (ok bool) { // until HAProxy has started
				var err error
				c, err = net.Dial("tcp", front.String())
				return err == nil
			}) {
				t.Fatal("HAProxy does not start")
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
			answer, err := io.ReadAll(c)
			if want := c.LocalAddr().String() + " " + front.String(); err != nil || !strings.HasSuffix(string(answer), "\r\n"+want) {
				t.Errorf("got %q, %v; want %s", answer, err, want)
			}
			c.Close()
			if !eventually(func() bool { return len(listConns(d, s)) == 0 }) {
				t.Error("the connection is left")
			}
		})
	}
}

// TestStrangers: where a PROXY protocol header must come first, whoever does not send one gets a reset, and one in small
// pieces is waited for.
func TestStrangers(t *testing.T) {
	v := virtualTCP(freeAddr(t), echoTCP(t, "127.0.0.2"))
	v.Own.ProxyIn, v.Own.ConnectTimeout = true, 500*time.Millisecond
	d := New(Options{})
	s := open(t, d, v)
	for _, text := range []string{"GET / HTTP/1.0\r\n\r\n", "PROXY TCP4 192", ""} {
		c, err := net.Dial("tcp", v.ID.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, text)
		c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q: got %v, want a reset", text, err)
		}
	}
	v.Own.ConnectTimeout = patience
	if _, err := s.Update(v); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", v.ID.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, piece := range strings.SplitAfter("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello", " ") {
		fmt.Fprint(c, piece)
		time.Sleep(time.Millisecond) // so that they come apart, as a rule
	}
	b := make([]byte, 5)
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
	if listed := listConns(d, s); len(listed) != 1 || listed[0].Client.String() != "192.0.2.1:1" {
		t.Errorf("listed: %+v", listed)
	}
}
