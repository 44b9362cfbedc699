package dataplanetest

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// servers are both real servers. Each says its number and the client's address, and then does what the serve function does.
type servers struct {
	bed       *bed
	wg        sync.WaitGroup
	listeners [2]net.Listener
	mu        sync.Mutex
	conns     map[*net.TCPConn]bool
}

var hosts = [2]namespaces.Host{namespaces.Real1, namespaces.Real2}

// serve starts both servers until the test ends.
func (b *bed) serve(serve func(*net.TCPConn)) *servers {
	b.Helper()
	s := &servers{bed: b, conns: map[*net.TCPConn]bool{}}
	for n := range hosts {
		s.listen(n+1, serve)
	}
	b.Cleanup(func() {
		for _, l := range s.listeners {
			l.Close()
		}
		s.mu.Lock()
		for c := range s.conns {
			c.SetLinger(0) // nothing of it shall stand in the next test's way
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

// own is the address at which a real server gets what the director sends it. What listens for TCP listens at all, because
// it is checked at its own.
func (b *bed) own(n int) netip.AddrPort {
	if b.forward == config.Masq {
		return netip.AddrPortFrom(b.reals[n-1], port)
	}
	return netip.AddrPortFrom(b.vip, port)
}

func (s *servers) listen(n int, serve func(*net.TCPConn)) {
	s.bed.Helper()
	all := netip.IPv6Unspecified()
	if s.bed.vip.Is4() {
		all = netip.IPv4Unspecified()
	}
	l, err := s.bed.rig.Listen(s.bed.Context(), hosts[n-1], "tcp", netip.AddrPortFrom(all, port).String())
	if err != nil {
		s.bed.Fatal(err)
	}
	s.listeners[n-1] = l
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
				fmt.Fprintln(conn, n, conn.RemoteAddr())
				serve(conn)
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
				conn.Close()
			})
		}
	})
}

// stop has a server listen no more. Its connections go on.
func (s *servers) stop(n int) { s.listeners[n-1].Close() }

// echo sends back all that it gets, and its end.
func echo(c *net.TCPConn) { io.Copy(c, c) }
