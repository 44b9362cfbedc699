package lvsproxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// realServer is a TCP server that serves each connection with a function.
type realServer struct {
	t     testing.TB
	addr  string
	serve func(*net.TCPConn)

	mu    sync.Mutex
	l     net.Listener
	conns map[*net.TCPConn]bool
	wg    sync.WaitGroup
}

// startServer starts a server on a loopback address of its own.
func startServer(t testing.TB, ip string, serve func(*net.TCPConn)) *realServer {
	t.Helper()
	s := &realServer{t: t, addr: ip + ":0", serve: serve, conns: map[*net.TCPConn]bool{}}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// start listens, after kill at the same address again.
func (s *realServer) start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.l, s.addr = l, l.Addr().String()
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conn := c.(*net.TCPConn)
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			s.wg.Go(func() {
				s.serve(conn)
				conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			})
		}
	})
}

// kill stops listening and cuts off every connection, as kill -9 does.
func (s *realServer) kill() {
	s.mu.Lock()
	s.l.Close()
	for c := range s.conns {
		c.SetLinger(0)
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *realServer) addrPort() netip.AddrPort { return netip.MustParseAddrPort(s.addr) }

// named answers with its name, and then echoes lines until the client ends.
func named(name string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		fmt.Fprintln(c, name)
		io.Copy(c, c)
	}
}

// vips holds a bound socket for each VIP of a test, so that no other process can take the port in between.
type vips map[netip.AddrPort]*net.TCPListener

func (v vips) add(t testing.TB, ip string) string {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	v[l.Addr().(*net.TCPAddr).AddrPort()] = l.(*net.TCPListener)
	return l.Addr().String()
}

// inherit hands the socket of a VIP to the dataplane.
func (v vips) inherit(id config.VirtualID) []*os.File {
	l := v[id.Addr]
	if l == nil {
		return nil // not added to the test: the dataplane opens it
	}
	delete(v, id.Addr)
	defer l.Close()
	f, err := l.File()
	if err != nil {
		return nil
	}
	return []*os.File{f}
}

// director is a running Director and what it reports.
type director struct {
	*lvsproxy.Director
	t      testing.TB
	vips   vips
	cancel context.CancelFunc
	done   chan error
	events chan service.Event
}

// parse reads a configuration whose checks run every few milliseconds.
func parse(t testing.TB, text string) *config.File {
	t.Helper()
	file, err := config.Parse("test.cf", []byte(text), config.SystemResolver{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range file.Spec.Virtuals {
		file.Spec.Virtuals[i].Check.Interval /= 500 // seconds become 2 ms
	}
	return file
}

// run starts a director and waits until it is ready.
func run(t testing.TB, v vips, text string, o lvsproxy.Options) *director {
	t.Helper()
	d := &director{t: t, vips: v, done: make(chan error, 1), events: make(chan service.Event, 10000)}
	o.OnEvent = func(e service.Event) { d.events <- e }
	if o.Userspace.Inherit == nil {
		o.Userspace.Inherit = v.inherit
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = -1
	}
	var err error
	if d.Director, err = lvsproxy.New(parse(t, text), o); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	go func() { d.done <- d.Run(ctx) }()
	t.Cleanup(d.stop)
	select {
	case <-d.Ready():
	case err := <-d.done:
		d.done <- err
		t.Fatalf("the director ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the director is not ready")
	}
	return d
}

// stop ends the director and waits for it. It may be called twice.
func (d *director) stop() {
	d.cancel()
	select {
	case err := <-d.done:
		d.done <- nil
		if err != nil {
			d.t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		d.t.Fatal("the director does not end")
	}
}

// await waits for an event about a server.
func (d *director) await(kind service.EventKind, server string) service.Event {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-d.events:
			if e.Kind == kind && (server == "" || e.Server.String() == server) {
				return e
			}
		case <-timeout:
			d.t.Fatalf("no event %q of %s; the table is %+v", kind, server, d.Table())
		}
	}
}

// listed returns "server=weight" for each server in the table of the first service, head first.
func (d *director) listed() string {
	var b []string
	for _, s := range d.Table()[0].Servers {
		b = append(b, fmt.Sprintf("%s=%d", s.Addr, s.Weight))
	}
	return strings.Join(b, " ")
}

// dial opens a connection that must not outlast the test.
func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// greeting opens a connection, reads the name of the server and leaves the connection open.
func greeting(t testing.TB, addr string) (string, *net.TCPConn) {
	t.Helper()
	c := dial(t, addr)
	line, err := bufio.NewReader(io.LimitReader(c, 100)).ReadString('\n')
	if err != nil {
		t.Fatalf("no greeting: %v", err)
	}
	return strings.TrimSpace(line), c
}

// ask returns the name of the server that answers a new connection.
func ask(t testing.TB, addr string) string {
	t.Helper()
	name, c := greeting(t, addr)
	c.Close()
	return name
}

// echoes checks that an open connection still works.
func echoes(t testing.TB, c *net.TCPConn) {
	t.Helper()
	if _, err := fmt.Fprintln(c, "ping"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping\n" {
		t.Fatalf("echo: got %q, %v", b, err)
	}
}

// relisten binds a VIP again.
func relisten(t testing.TB, vip string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", vip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}
