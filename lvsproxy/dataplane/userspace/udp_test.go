package userspace

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// echoUDP is a server that answers each datagram with its name and the datagram.
func echoUDP(t testing.TB, ip, name string) (addr netip.AddrPort, stop func()) {
	t.Helper()
	s, err := net.ListenPacket("udp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, from, err := s.ReadFrom(b)
			if err != nil {
				return
			}
			s.WriteTo(append([]byte(name), b[:n]...), from)
		}
	}()
	stop = func() { s.Close(); <-done }
	t.Cleanup(stop)
	return s.LocalAddr().(*net.UDPAddr).AddrPort(), stop
}

func virtualUDP(vip netip.AddrPort, reals ...netip.AddrPort) config.Virtual {
	v := config.Virtual{ID: config.VirtualID{Protocol: config.UDP, Addr: vip}, Scheduler: "rr"}
	for _, r := range reals {
		v.Reals = append(v.Reals, config.Real{Addr: r, Forward: config.Masq, Weight: 1})
	}
	return v
}

func dialUDP(t testing.TB, vip netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", vip.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.UDPConn)
}

// askUDP sends a datagram and returns the answer.
func askUDP(t testing.TB, c net.Conn, datagram string) string {
	t.Helper()
	if _, err := c.Write([]byte(datagram)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestUDP: a client stays with its server, another gets the next one, and the largest datagram arrives whole.
func TestUDP(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			free, err := net.ListenPacket("udp", net.JoinHostPort(ip, "0"))
			if err != nil {
				need.Skip(t, "no IPv6: sysctl net.ipv6.conf.lo.disable_ipv6=0")
			}
			vip := free.LocalAddr().(*net.UDPAddr).AddrPort()
			free.Close()
			a, _ := echoUDP(t, ip, "a")
			b, _ := echoUDP(t, ip, "b")
			d := New(Options{Loops: 2})
			s := open(t, d, virtualUDP(vip, a, b))
			seen := map[string]int{}
			var clients []*net.UDPConn
			for range 4 {
				c := dialUDP(t, vip)
				clients = append(clients, c)
				first := askUDP(t, c, "x")
				seen[first]++
				for range 3 {
					if again := askUDP(t, c, "x"); again != first {
						t.Errorf("a client got answers from %s and %s", first, again)
					}
				}
			}
			if seen["ax"] != 2 || seen["bx"] != 2 {
				t.Errorf("flows were spread as %v", seen)
			}
			large := string(bytes.Repeat([]byte("0123456789"), 6000))
			if got := askUDP(t, clients[0], large); got[1:] != large {
				t.Errorf("%d bytes came back, want %d", len(got)-1, len(large))
			}
			for range 100 { // more than a batch
				clients[1].Write([]byte("y"))
			}
			for range 100 {
				if _, err := clients[1].Read(make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
			}
			var in uint64
			for _, server := range s.Snapshot().Servers {
				if server.InactConns != 2 || server.ActiveConns != 0 || server.Conns != 2 {
					t.Errorf("the server's counts: %+v", server)
				}
				in += server.InPackets
			}
			if in != 4*4+1+100 {
				t.Errorf("%d datagrams were counted", in)
			}
			listed := 0
			d.Conns(s, func(c service.Conn) bool {
				listed++
				if c.State != "UDP" || c.Protocol != config.UDP || c.Virtual != vip || c.Expires <= 4*time.Minute || c.Expires > DefaultUDPTimeout {
					t.Errorf("listed: %+v", c)
				}
				return true
			})
			if listed != 4 {
				t.Errorf("%d flows are listed", listed)
			}
		})
	}
}

// TestUDPServerDies: the datagrams after the one that finds nobody go to another server.
func TestUDPServerDies(t *testing.T) {
	a, _ := echoUDP(t, "127.0.0.2", "a")
	b, stop := echoUDP(t, "127.0.0.3", "b")
	vip := freeAddr(t)
	s := open(t, New(Options{}), virtualUDP(vip, a, b))
	c := dialUDP(t, vip)
	if got := askUDP(t, c, "x"); got != "bx" { // rr begins with the last
		t.Fatalf("got %s", got)
	}
	stop()
	c.Write([]byte("lost"))
	if !eventually(func() bool {
		for _, server := range s.Snapshot().Servers {
			if server.Addr == b {
				return server.ConnectErrors > 0 && server.InactConns == 0
			}
		}
		return false
	}) {
		t.Fatal("nobody noticed")
	}
	var got string
	for range maxAttempts { // rr may give the dead one again, which loses one datagram more
		c.Write([]byte("x"))
		c.SetReadDeadline(time.Now().Add(time.Second))
		answer := make([]byte, 10)
		if n, err := c.Read(answer); err == nil {
			got = string(answer[:n])
			break
		}
	}
	if got != "ax" {
		t.Errorf("got %q", got)
	}
}

// TestOnePacket: each datagram is scheduled for itself, and gets its answer.
func TestOnePacket(t *testing.T) {
	a, _ := echoUDP(t, "127.0.0.2", "a")
	b, _ := echoUDP(t, "127.0.0.3", "b")
	v := virtualUDP(freeAddr(t), a, b)
	v.OnePacket = true
	s := open(t, New(Options{}), v)
	c := dialUDP(t, v.ID.Addr)
	var got string
	for range 4 {
		got += askUDP(t, c, "")
	}
	if got != "baba" {
		t.Errorf("answers from %s", got)
	}
	if !eventually(func() bool {
		servers := s.Snapshot().Servers
		return servers[0].InactConns+servers[1].InactConns == 0
	}) {
		t.Errorf("flows are left: %+v", s.Snapshot().Servers)
	}
}

// TestUDPEnds: flows end when they are idle, when they are to, and, above the limit, the idlest for a new one.
func TestUDPEnds(t *testing.T) {
	a, _ := echoUDP(t, "127.0.0.2", "a")
	flows := func(s *service.Service) int64 { return s.Snapshot().Servers[0].InactConns }
	t.Run("idle", func(t *testing.T) {
		v := virtualUDP(freeAddr(t), a)
		v.Own.IdleTimeout = 20 * time.Millisecond
		s := open(t, New(Options{}), v)
		askUDP(t, dialUDP(t, v.ID.Addr), "x")
		if !eventually(func() bool { return flows(s) == 0 }) {
			t.Error("the flow is still there")
		}
	})
	t.Run("limit", func(t *testing.T) {
		v := virtualUDP(freeAddr(t), a)
		s := open(t, New(Options{MaxConns: 3, Loops: 1}), v)
		for i := range 10 {
			if got, want := askUDP(t, dialUDP(t, v.ID.Addr), fmt.Sprint(i)), fmt.Sprint("a", i); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if flows(s) != 3 {
			t.Errorf("%d flows", flows(s))
		}
	})
	t.Run("End", func(t *testing.T) {
		v := virtualUDP(freeAddr(t), a)
		d := New(Options{})
		s := open(t, d, v)
		askUDP(t, dialUDP(t, v.ID.Addr), "x")
		server := s.Pick(flowOf(v.ID.Addr), nil)
		if ended := d.End(s, server); ended != 1 || flows(s) != 0 {
			t.Errorf("%d ended, %d left", ended, flows(s))
		}
	})
	t.Run("close", func(t *testing.T) {
		v := virtualUDP(freeAddr(t), a)
		d := New(Options{})
		s := open(t, d, v)
		askUDP(t, dialUDP(t, v.ID.Addr), "x")
		d.Close(s)
		if !eventually(func() bool { return flows(s) == 0 }) {
			t.Error("the flow is still there")
		}
	})
}
