package userspace

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/scheduler"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// maxAttempts bounds how many real servers are tried for one connection.
const maxAttempts = 8

// conn is a client's connection and the one to its real server.
type conn struct {
	client, upstream *net.TCPConn
	server           *service.Server
	closing          atomic.Bool // one direction has ended
}

// serve carries one client's connection from its first byte to its last.
func (d *Dataplane) serve(s *service.Service, client *net.TCPConn) {
	server, upstream := d.connect(s, flowOf(s, client))
	if upstream == nil {
		reset(client) // as IPVS: the client sees an error, not an empty answer
		return
	}
	c := &conn{client: client, upstream: upstream, server: server}
	d.mu.Lock()
	d.conns[c] = struct{}{}
	d.mu.Unlock()
	if d.ctx.Err() != nil { // endAll may have come before we were in its list
		c.abort()
	}
	c.run()
	d.mu.Lock()
	delete(d.conns, c)
	d.mu.Unlock()
}

// flowOf tells the scheduler whose connection it is.
func flowOf(s *service.Service, client *net.TCPConn) scheduler.Flow {
	flow := scheduler.Flow{VIP: s.ID().Addr}
	if addr, ok := client.RemoteAddr().(*net.TCPAddr); ok {
		from := addr.AddrPort()
		flow.Client = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	}
	return flow
}

// connect opens the connection to a real server. One that cannot be reached is replaced by another: nothing has been
// sent yet, so the client does not notice. It returns nil if there is nobody left to try.
func (d *Dataplane) connect(s *service.Service, flow scheduler.Flow) (*service.Server, *net.TCPConn) {
	var tried []*service.Server
	for len(tried) < maxAttempts {
		server := s.Pick(flow, tried)
		if server == nil {
			break
		}
		server.Opening()
		upstream, err := d.dialer.DialContext(d.ctx, "tcp", server.String())
		if err == nil {
			server.Established()
			return server, upstream.(*net.TCPConn)
		}
		if isOurs(err) || d.ctx.Err() != nil {
			server.Canceled()
		} else {
			server.Failed()
		}
		d.warn(&d.unreached, "real server not reached", "virtual", s.ID().Addr, "server", server, "error", err)
		tried = append(tried, server)
	}
	d.warn(&d.refused, "connection refused: no real server", "virtual", s.ID().Addr, "tried", len(tried))
	return nil, nil
}

// isOurs tells errors that are no fault of the real server: no more files, or no more ports to connect from.
func isOurs(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// run moves bytes both ways until both ways have ended.
func (c *conn) run() {
	var wg sync.WaitGroup
	wg.Go(func() { c.carry(c.upstream, c.client) })
	c.carry(c.client, c.upstream)
	wg.Wait()
	c.client.Close()
	c.upstream.Close()
	c.server.Closed(c.closing.Load())
}

// carry moves bytes one way. An end of the stream is passed on alone, so that a side that has said all it has to say
// still gets its answer; a reset is passed on as a reset.
func (c *conn) carry(to, from *net.TCPConn) {
	_, err := to.ReadFrom(from) // splice(2), because both are bare TCP connections
	if c.closing.CompareAndSwap(false, true) {
		c.server.Closing()
	}
	switch {
	case err == nil:
		to.CloseWrite()
	case isDead(from):
		c.abort()
	default:
		// to takes no more. What it has sent before is still on its way in the other direction, which ends by itself.
		from.CloseRead()
	}
}

// abort ends the connection on both sides with a reset.
func (c *conn) abort() {
	reset(c.client)
	reset(c.upstream)
}

// reset closes a connection so that its peer gets a RST.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// isDead reports whether a connection is over in both directions, as it is after a reset.
func isDead(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	dead := true
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			dead = info.State == unix.BPF_TCP_CLOSE
		}
	})
	return dead
}
