package lvsproxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// sequence asks n times and returns the names in a row.
func sequence(t testing.TB, vip string, n int) string {
	t.Helper()
	var b strings.Builder
	for range n {
		b.WriteString(ask(t, vip))
	}
	return b.String()
}

// section writes a virtual service whose servers are only connected to, to check them.
func section(vip string, lines ...string) string {
	return "virtual=" + vip + "\n\tchecktype=connect\n\t" + strings.Join(lines, "\n\t") + "\n"
}

func TestSequence(t *testing.T) {
	a, b, c := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b")), startServer(t, "127.0.0.4", named("c"))
	tests := []struct {
		scheduler string
		weights   [3]int
		want      string
	}{
		// IPVS adds to the head of its list, so the file's last server comes first.
		{"rr", [3]int{1, 1, 1}, "cbacbacba"},
		{"rr", [3]int{1, 0, 1}, "cacacaca"},
		{"wrr", [3]int{1, 1, 1}, "cbacba"},
		// Servers come into the table one by one, which leaves IPVS's wrr in the walk that takes each of them once.
		{"wrr", [3]int{4, 3, 2}, "cba" + "abacbacba" + "abacbacba"},
		{"wrr", [3]int{1, 2, 3}, "cba" + "ccbcba" + "ccbcba"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.scheduler, tt.weights), func(t *testing.T) {
			v := vips{}
			vip := v.add(t, "127.0.0.1")
			real := func(s *realServer, i int) string { return fmt.Sprintf("real=%s masq %d", s.addr, tt.weights[i]) }
			run(t, v, section(vip, "scheduler="+tt.scheduler, real(a, 0), real(b, 1), real(c, 2)), lvsproxy.Options{})
			if got := sequence(t, vip, len(tt.want)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestRetry: a server that died since its last check costs no client anything.
func TestRetry(t *testing.T) {
	a, b := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	d := run(t, v, "checkinterval=3600\n"+strings.Replace(section(vip, "scheduler=rr", "real="+a.addr+" masq", "real="+b.addr+" masq"), "connect", "on", 1), lvsproxy.Options{})
	b.kill()
	if got := sequence(t, vip, 6); got != "aaaaaa" {
		t.Errorf("got %s, want only the server that lives", got)
	}
	for _, s := range d.Table()[0].Servers {
		if s.Addr == b.addrPort() && (s.ConnectErrors == 0 || s.ActiveConns != 0 || s.InactConns != 0) {
			t.Errorf("the dead server's counts are wrong: %+v", s)
		}
	}
}

// TestLastResort: all real servers died since their last check; the fallback answers though no check has failed yet.
func TestLastResort(t *testing.T) {
	a, f := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.9", named("f"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	run(t, v, "virtual="+vip+"\n\tchecktype=on\n\treal="+a.addr+" masq\n\tfallback="+f.addr+"\n", lvsproxy.Options{})
	a.kill()
	if got := sequence(t, vip, 2); got != "ff" {
		t.Errorf("got %s, want the fallback", got)
	}
}

func TestFailover(t *testing.T) {
	for _, quiescent := range []string{"yes", "no"} {
		t.Run("quiescent="+quiescent, func(t *testing.T) {
			a, b, f := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b")), startServer(t, "127.0.0.9", named("f"))
			v := vips{}
			vip := v.add(t, "127.0.0.1")
			d := run(t, v, section(vip, "scheduler=rr", "quiescent="+quiescent, "fallback="+f.addr+" gate", // local: as good as masq
				"real="+a.addr+" masq 2", "real="+b.addr+" masq 3"), lvsproxy.Options{})
			expect := func(when, table, answers string) {
				t.Helper()
				if got := d.listed(); got != table {
					t.Errorf("%s: the table is %s, want %s", when, got, table)
				}
				if got := sequence(t, vip, len(answers)); got != answers {
					t.Errorf("%s: answers from %s, want %s", when, got, answers)
				}
			}
			failed := func(s *realServer) string { // as it stands in the table after the other entries, or not at all
				if quiescent == "yes" {
					return " " + s.addr + "=0"
				}
				return ""
			}
			expect("at first", b.addr+"=3 "+a.addr+"=2", "baba")

			b.kill()
			d.await(service.ServerDown, b.addr)
			if quiescent == "yes" {
				expect("without b", b.addr+"=0 "+a.addr+"=2", "aa")
			} else {
				expect("without b", a.addr+"=2", "aa")
			}

			a.kill()
			d.await(service.FallbackOn, f.addr)
			expect("without all", f.addr+"=1"+failed(b)+failed(a), "ff")

			b.start()
			d.await(service.ServerUp, b.addr)
			d.await(service.FallbackOff, f.addr)
			expect("with b again", b.addr+"=3"+failed(a), "bb")

			a.start()
			d.await(service.ServerUp, a.addr)
			if quiescent == "yes" {
				expect("with all again", b.addr+"=3 "+a.addr+"=2", "abab")
			} else { // a was removed and added: now it is the list's head
				expect("with all again", a.addr+"=2 "+b.addr+"=3", "abab")
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		need.Skip(t, "IPv6 is off: sysctl net.ipv6.conf.lo.disable_ipv6=0")
	} else {
		l.Close()
	}
	a := startServer(t, "[::1]", named("a"))
	v := vips{}
	vip := v.add(t, "[::1]")
	d := run(t, v, "virtual6="+vip+"\n\tchecktype=connect\n\treal6="+a.addr+" masq\n", lvsproxy.Options{})
	if got := sequence(t, vip, 2); got != "aa" {
		t.Errorf("got %s", got)
	}
	a.kill()
	d.await(service.ServerDown, a.addr)
}

// TestNobody: without any server the client gets a reset, not an empty answer.
func TestNobody(t *testing.T) {
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	run(t, v, section(vip, "checktype=off", "real=127.0.0.2:1 masq"), lvsproxy.Options{})
	c, err := net.Dial("tcp", vip)
	if err == nil { // else the reset came before connect(2) had returned
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

// single runs a director in front of one server.
func single(t testing.TB, serve func(*net.TCPConn), o lvsproxy.Options) (string, *director) {
	t.Helper()
	s := startServer(t, "127.0.0.2", serve)
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	return vip, run(t, v, "virtual="+vip+"\n\tchecktype=on\n\treal="+s.addr+" masq\n", o)
}

func TestHalfClose(t *testing.T) {
	t.Run("by the client", func(t *testing.T) {
		vip, _ := single(t, func(c *net.TCPConn) {
			body, err := io.ReadAll(c) // until the client has closed its half
			fmt.Fprintf(c, "%d bytes, %v", len(body), err)
		}, lvsproxy.Options{})
		c := dial(t, vip)
		fmt.Fprint(c, "question")
		c.CloseWrite()
		if answer, err := io.ReadAll(c); err != nil || string(answer) != "8 bytes, <nil>" {
			t.Errorf("got %q, %v", answer, err)
		}
	})
	t.Run("by the server", func(t *testing.T) {
		got := make(chan string, 1)
		vip, d := single(t, func(c *net.TCPConn) {
			fmt.Fprint(c, "all I have to say")
			c.CloseWrite()
			body, err := io.ReadAll(c)
			got <- fmt.Sprintf("%s, %v", body, err)
		}, lvsproxy.Options{})
		c := dial(t, vip)
		if answer, err := io.ReadAll(c); err != nil || string(answer) != "all I have to say" {
			t.Errorf("got %q, %v", answer, err)
		}
		if s := d.Table()[0].Servers[0]; s.ActiveConns != 0 || s.InactConns != 1 {
			t.Errorf("a half-closed connection is counted as %d active, %d inactive", s.ActiveConns, s.InactConns)
		}
		fmt.Fprint(c, "but I go on")
		c.CloseWrite()
		if body := <-got; body != "but I go on, <nil>" {
			t.Errorf("the server got %q", body)
		}
	})
}

func TestResets(t *testing.T) {
	t.Run("by the server", func(t *testing.T) {
		vip, _ := single(t, func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 1))
			c.SetLinger(0)
		}, lvsproxy.Options{})
		c := dial(t, vip)
		fmt.Fprint(c, "x")
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client got %v, want a reset", err)
		}
	})
	t.Run("by the client", func(t *testing.T) {
		got := make(chan error, 1)
		vip, _ := single(t, func(c *net.TCPConn) {
			fmt.Fprint(c, "x")
			_, err := c.Read(make([]byte, 1))
			got <- err
		}, lvsproxy.Options{})
		c := dial(t, vip)
		io.ReadFull(c, make([]byte, 1))
		c.SetLinger(0)
		c.Close()
		if err := <-got; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server got %v, want a reset", err)
		}
	})
	t.Run("early answer", func(t *testing.T) { // the server answers and closes while the client still sends
		vip, _ := single(t, func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 1))
			fmt.Fprint(c, "too large")
		}, lvsproxy.Options{})
		c := dial(t, vip)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			io.CopyN(c, rand.New(rand.NewSource(1)), 1<<20)
		}()
		answer := make([]byte, 9)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "too large" {
			t.Errorf("got %q, %v", answer, err)
		}
		c.Close()
		<-sent
	})
}

// TestBodies: 10 MB each way at once, on several connections, arrive as they were sent.
func TestBodies(t *testing.T) {
	body := make([]byte, 10<<20)
	rand.New(rand.NewSource(1)).Read(body)
	vip, d := single(t, func(c *net.TCPConn) { io.Copy(c, c) }, lvsproxy.Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := dial(t, vip)
			go func() {
				c.Write(body)
				c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes came back, want %d; %v", len(got), len(body), err)
			}
		})
	}
	wg.Wait()
	d.stop()
	if s := d.Table()[0].Servers[0]; s.Conns != 4 || s.ActiveConns != 0 || s.InactConns != 0 {
		t.Errorf("at the end: %+v, want 4 connections in all and none left", s)
	}
}

func TestCounts(t *testing.T) {
	vip, d := single(t, named("a"), lvsproxy.Options{})
	for range 3 {
		greeting(t, vip)
	}
	if s := d.Table()[0].Servers[0]; s.ActiveConns != 3 || s.InactConns != 0 || s.Conns != 3 {
		t.Errorf("got %+v, want 3 active connections", s)
	}
}

// TestLimit: above the limit a connection waits, and gets its turn.
func TestLimit(t *testing.T) {
	vip, _ := single(t, named("a"), lvsproxy.Options{Userspace: userspace.Options{MaxConns: 1}})
	_, first := greeting(t, vip)
	second := dial(t, vip)
	second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := second.Read(make([]byte, 10)); err == nil {
		t.Fatalf("the second connection got %d bytes while the first was open", n)
	}
	first.Close()
	second.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(second, make([]byte, 2)); err != nil {
		t.Errorf("the second connection: %v", err)
	}
}

// TestReload: while connections are opened all the time, servers, weights, scheduler and services change; none fails, and
// those that were open go on.
func TestReload(t *testing.T) {
	a, b, c := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b")), startServer(t, "127.0.0.4", named("c"))
	v := vips{}
	vip, other, third := v.add(t, "127.0.0.1"), v.add(t, "127.0.0.1"), v.add(t, "127.0.0.1")
	base := section(vip, "scheduler=rr", "real="+a.addr+" masq", "real="+b.addr+" masq")
	d := run(t, v, base+section(other, "real="+a.addr+" masq"), lvsproxy.Options{})
	_, onB := greeting(t, vip) // rr begins with the last
	_, onA := greeting(t, vip)
	_, onOther := greeting(t, other)

	traffic, stop := context.WithCancel(context.Background())
	var asked atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for traffic.Err() == nil {
				ask(t, vip)
				asked.Add(1)
			}
		})
	}
	more := func(n int64) { // lets traffic go on
		for until := asked.Load() + n; asked.Load() < until && !t.Failed(); {
			ask(t, vip)
		}
	}
	reload := func(text string) {
		t.Helper()
		if err := d.Reload(parse(t, text)); err != nil {
			t.Fatal(err)
		}
		more(50)
	}
	more(50)
	reload(section(vip, "scheduler=wrr", "quiescent=yes", "real="+a.addr+" masq 3", "real="+c.addr+" masq") + section(third, "real="+a.addr+" masq"))
	d.await(service.ServerUp, c.addr)
	more(50)
	if got := d.listed(); got != c.addr+"=1 "+a.addr+"=3" {
		t.Errorf("the table is %s", got)
	}
	if state := d.Table()[0].Servers[1]; state.State.String() != "up" || state.ActiveConns == 0 {
		t.Errorf("server a lost its state or its connections: %+v", state)
	}
	if got := ask(t, third); got != "a" {
		t.Errorf("the new service answers %s", got)
	}
	if conn, err := net.Dial("tcp", other); err == nil {
		conn.Close()
		t.Error("the removed service still takes connections")
	}
	reload(base)
	stop()
	wg.Wait()
	for _, open := range []*net.TCPConn{onA, onB, onOther} {
		echoes(t, open)
	}
	for {
		select {
		case e := <-d.events:
			if e.Kind == service.ServerDown {
				t.Errorf("a reload took a server out: %+v", e)
			}
			continue
		default:
		}
		break
	}
}

// TestReloadChecks: a changed check leaves the state alone until it has a result, and a bad file leaves everything alone.
func TestReloadChecks(t *testing.T) {
	a := startServer(t, "127.0.0.2", named("a"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	d := run(t, v, section(vip, "real="+a.addr+" masq"), lvsproxy.Options{})

	err := d.Reload(parse(t, section(vip, "real="+a.addr+" masq", "real=10.0.0.1:80 gate", "scheduler=xx")))
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("got %v, want two problems", err)
	}
	if err := d.Reload(parse(t, section("192.0.2.1:80", "real="+a.addr+" masq")+section(vip, "real="+a.addr+" masq 7"))); err == nil {
		t.Error("a VIP that cannot be opened was accepted")
	}
	if got := d.listed(); got != a.addr+"=1" {
		t.Errorf("after bad files the table is %s", got)
	}
	// Nobody listens on the new checkport: the server stays up for as long as its check has not failed three times.
	if err := d.Reload(parse(t, section(vip, "real="+a.addr+" masq", "checkport=1", "failurecount=3"))); err != nil {
		t.Fatal(err)
	}
	d.await(service.ServerDown, a.addr)
	if err := d.Reload(parse(t, section(vip, "real="+a.addr+" masq"))); err != nil {
		t.Fatal(err)
	}
	d.await(service.ServerUp, a.addr)
	d.stop()
	if err := d.Reload(parse(t, section(vip, "real="+a.addr+" masq"))); !errors.Is(err, lvsproxy.ErrNotRunning) {
		t.Errorf("reload after the end: %v", err)
	}
}

func TestDrain(t *testing.T) {
	t.Run("waits for connections", func(t *testing.T) {
		vip, d := single(t, named("a"), lvsproxy.Options{DrainTimeout: patience})
		_, open := greeting(t, vip)
		d.cancel()
		for { // until the VIP is closed
			c, err := net.Dial("tcp", vip)
			if err != nil {
				break
			}
			c.Close()
		}
		echoes(t, open)
		select {
		case err := <-d.done:
			d.done <- err
			t.Fatalf("Run ended with a connection open: %v", err)
		default:
		}
		open.Close()
		d.stop()
	})
	t.Run("but not for ever", func(t *testing.T) {
		vip, d := single(t, named("a"), lvsproxy.Options{DrainTimeout: 50 * time.Millisecond})
		_, open := greeting(t, vip)
		d.stop()
		if _, err := open.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want a reset", err)
		}
		if s := d.Table()[0].Servers[0]; s.ActiveConns != 0 || s.InactConns != 0 {
			t.Errorf("counts at the end: %+v", s)
		}
	})
}

// TestSettles: a director that has just started holds the first clients until it knows whom to send them to, and does
// not wait for a server that does not answer when another does.
func TestSettles(t *testing.T) {
	release := make(chan struct{})
	slow := startServer(t, "127.0.0.3", func(c *net.TCPConn) { <-release })
	a := startServer(t, "127.0.0.2", func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 4))
		fmt.Fprint(c, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\na\n")
	})
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	text := "virtual=" + vip + "\n\tservice=http\n\tfallback=127.0.0.9:1\n\treal=" + a.addr + " masq\n\treal=" + slow.addr + " masq\n"
	d, err := lvsproxy.New(parse(t, text), lvsproxy.Options{Userspace: userspace.Options{Inherit: v.inherit}, DrainTimeout: -1})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, vip) // queued by the kernel
	fmt.Fprint(c, "GET ")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 200") {
		t.Errorf("got %q, %v", answer, err)
	}
	select {
	case <-d.Ready():
		t.Error("ready before each server had its first check")
	default:
	}
	close(release)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRunFails: a VIP that is not this machine's is an error that says what to do, and nothing stays open.
func TestRunFails(t *testing.T) {
	v := vips{}
	good := v.add(t, "127.0.0.1")
	d, err := lvsproxy.New(parse(t, section(good, "scheduler=rr")+section("192.0.2.1:80", "scheduler=rr")), lvsproxy.Options{Userspace: userspace.Options{Inherit: v.inherit}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "ip address add 192.0.2.1/32") {
		t.Errorf("got %v, want advice to add the address", err)
	}
	if len(d.Table()) != 0 {
		t.Errorf("the table is %v", d.Table())
	}
	if c, err := net.Dial("tcp", good); err == nil {
		c.Close()
		t.Error("the service that could be opened is still open")
	}
}
