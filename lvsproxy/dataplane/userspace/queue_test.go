package userspace

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// TestQueue: above maxconn a connection waits for one that ends; one that goes away while it waits, or waits for too
// long, takes nobody's place.
func TestQueue(t *testing.T) {
	v := virtualTCP(freeAddr(t), echoTCP(t, "127.0.0.2"))
	v.Own.MaxConns, v.Own.Queue, v.Own.QueueTimeout = 1, 2, patience
	d := New(Options{})
	s := open(t, d, v)
	waiting := func(n int) {
		t.Helper()
		if !eventually(func() bool { return len(listConns(d, s)) == n+1 }) {
			t.Fatalf("listed: %+v", listConns(d, s))
		}
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", v.ID.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "y")
		return c
	}
	first := dialEcho(t, v.ID.Addr)
	second := dial()
	waiting(1)
	gone := dial()
	waiting(2)
	if err := ask(v.ID.Addr); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("with a full queue: got %v, want a reset", err)
	}
	gone.(*net.TCPConn).SetLinger(0)
	gone.Close()
	waiting(1)
	first.Close()
	if _, err := io.ReadFull(second, make([]byte, 1)); err != nil {
		t.Errorf("the one that waited: %v", err)
	}
	v.Own.QueueTimeout = 50 * time.Millisecond
	if _, err := s.Update(v); err != nil {
		t.Fatal(err)
	}
	if err := ask(v.ID.Addr); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the queue's time-out: got %v, want a reset", err)
	}
	second.Close()
	dialEcho(t, v.ID.Addr).Close()
	waiting(-1)
	if server := s.Snapshot().Servers[0]; server.ActiveConns != 0 || server.InactConns != 0 || server.Conns != 3 {
		t.Errorf("the server's counts at the end: %+v", server)
	}
}

// ask connects and awaits an answer. A reset may come as early as that the connecting fails.
func ask(addr netip.AddrPort) error {
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprint(c, "y"); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

// TestReuse: what an ended connection had is used again.
func TestReuse(t *testing.T) {
	v := virtualTCP(freeAddr(t), echoTCP(t, "127.0.0.2"))
	d := New(Options{Loops: 1})
	open(t, d, v)
	for range 100 { // one after the other, so that one place is used again and again
		dialEcho(t, v.ID.Addr).Close()
	}
	if !eventually(func() bool {
		var conns, spare, sources int
		d.loops[0].call(func() { l := d.loops[0]; conns, spare, sources = len(l.conns), len(l.spare), len(l.sources) })
		return conns == 0 && spare > 0 && spare < 50 && sources < 120
	}) {
		t.Error("ended connections are not used again")
	}
}
