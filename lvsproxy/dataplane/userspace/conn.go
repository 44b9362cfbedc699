package userspace

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// maxAttempts bounds how many real servers are tried for one connection.
const maxAttempts = 8

// state is where a connection is on its way.
type state uint8

const (
	closed      state = iota // not in use
	introducing              // the client is to send its PROXY protocol header
	queued                   // waits for a real server to become free
	connecting               // to a real server, no byte was sent yet
	established              // bytes go both ways
	halfClosed               // one side has sent its last byte
)

// conn is a client's connection and the one to its real server. It belongs to its loop.
type conn struct {
	l                *loop
	service          *service.Service
	server           *service.Server
	client, upstream end
	up, down         way            // to the real server, and back
	from, to         netip.AddrPort // the client's address and the one that it went to
	claim            service.Claim
	until            int64         // when the attempt to connect ends
	touched          int64         // when something moved last, for the idle time-out
	idle, patience   time.Duration // the idle time-out, 0 for none, and the time for one attempt to connect
	place            int           // in the loop's conns
	state            state
	proxyOut         uint8 // version of the PROXY protocol header that the server gets; 0 is none
	waiting          bool  // in the loop's again
	counted          counted
}

// counted is what the server's counters have had of a connection.
type counted struct {
	up, down        uint64
	segsIn, segsOut uint32
}

// events are all that a loop wants to know of a socket. They are told once, when they come to pass (EPOLLET): what holds
// on is noted in the socket's end, so that nothing need be changed in epoll for as long as the socket lives.
const events = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// serve takes a client's connection over.
func (l *loop) serve(s *service.Service, fd int, from netip.AddrPort) {
	c := l.newConn()
	c.service, c.from, c.to, c.client.fd = s, from, s.ID().Addr, int32(fd)
	own := s.Own()
	if own.Queue > 0 {
		c.claim.Ready = c.ready
	}
	c.touched, c.idle, c.patience, c.proxyOut = l.now, own.IdleTimeout, own.ConnectTimeout, uint8(own.ProxyOut)
	if c.patience <= 0 {
		c.patience = l.d.options.ConnectTimeout
	}
	place, err := l.add(fd, events, &c.client)
	if err != nil {
		l.d.warn(&l.d.refused, "connection refused", "virtual", s.ID().Addr, "error", err)
		c.abort()
		return
	}
	c.client.place = place
	if own.ProxyIn {
		c.state = introducing
		c.until = l.now + int64(c.patience)
		l.dueBy(c.until)
		return
	}
	c.choose()
}

func (l *loop) newConn() *conn {
	var c *conn
	if n := len(l.spare); n > 0 {
		c, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		c = new(conn)
	}
	*c = conn{
		l: l, place: len(l.conns),
		client: end{c: c, fd: -1, place: noPlace}, upstream: end{c: c, fd: -1, place: noPlace},
	}
	c.up.from, c.up.to = &c.client, &c.upstream
	c.down.from, c.down.to = &c.upstream, &c.client
	l.conns = append(l.conns, c)
	return c
}

// choose begins to connect to the next real server that the service gives, or waits in its queue for one. With nobody
// left, the client gets a reset: as with IPVS, it sees an error, not an empty answer.
func (c *conn) choose() {
	err := service.ErrNobody
	c.claim.Flow = scheduler.Flow{VIP: c.service.ID().Addr, Client: c.from}
	for len(c.claim.Tried) < maxAttempts {
		var server *service.Server
		if server, err = c.service.Take(&c.claim); err != nil {
			break
		}
		if c.try(server) {
			return
		}
	}
	if err == service.ErrWaiting {
		c.state, c.until = queued, 0
		return
	}
	c.refuse(err)
}

// try begins to connect to a server, and reports whether it can.
func (c *conn) try(server *service.Server) bool {
	c.state, c.server = connecting, server
	errno := c.dial()
	if errno != 0 {
		c.unreached(errno)
	}
	return errno == 0
}

// ready is the claim's Ready.
func (c *conn) ready(server *service.Server, err error) {
	if !c.l.do(func() { c.served(server, err) }) && server != nil {
		server.Canceled() // the loop and all its connections have ended
	}
}

// served is called when a connection has waited in the queue.
func (c *conn) served(server *service.Server, err error) {
	switch {
	case c.state == closed: // it ended at the same moment, see leave
		if server != nil {
			server.Canceled()
		}
		c.service.Leave(&c.claim)
		c.service = nil
		c.l.spare = append(c.l.spare, c)
	case err != nil:
		c.refuse(err)
	case !c.try(server):
		c.choose()
	}
}

func (c *conn) refuse(reason error) {
	d := c.l.d
	d.warn(&d.refused, "connection refused", "virtual", c.service.ID().Addr, "tried", len(c.claim.Tried), "reason", reason)
	c.abort()
}

// dial begins to connect to the server that was picked.
func (c *conn) dial() unix.Errno {
	l := c.l
	family, size := rawOf(c.server.Addr(), &l.target)
	fd, errno := socket(family, unix.SOCK_STREAM)
	if errno != 0 {
		return errno
	}
	setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	keepAlive(fd)
	if l.d.control != nil {
		l.d.control(fd)
	}
	c.upstream.fd = int32(fd)
	if errno := connect(fd, &l.target, size); errno != 0 && errno != unix.EINPROGRESS {
		return errno
	}
	place, err := l.add(fd, events, &c.upstream)
	if err != nil {
		return unix.ENFILE
	}
	c.upstream.place = place
	c.until = l.now + int64(c.patience)
	l.dueBy(c.until)
	return 0
}

// unreached notes that the server which was picked could not be reached, and that the next may be tried.
func (c *conn) unreached(errno unix.Errno) {
	c.upstream.close()
	c.until = 0
	if isOurs(errno) {
		c.server.Canceled()
	} else {
		c.server.Failed()
	}
	d := c.l.d
	d.warn(&d.unreached, "real server not reached", "virtual", c.service.ID().Addr, "server", c.server, "error", errno)
	c.claim.Tried = append(c.claim.Tried, c.server)
	c.server = nil
}

// isOurs tells errors that are no fault of the real server: no more files, or no more ports to connect from.
func isOurs(errno unix.Errno) bool {
	return errno == unix.EMFILE || errno == unix.ENFILE || errno == unix.EADDRNOTAVAIL
}

// ready implements source.
func (e *end) ready(events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.readable = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.writable = true
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.hup = true
	}
	c := e.c
	switch {
	case c.state >= established:
		c.proceed()
	case e == &c.upstream:
		c.answered(events)
	case c.state == introducing:
		c.introduce()
	case events&(unix.EPOLLHUP|unix.EPOLLERR) != 0: // the client is gone
		c.abort()
	}
}

// answered goes on when the attempt to connect has come to an end.
func (c *conn) answered(events uint32) {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		errno := socketError(int(c.upstream.fd))
		if errno == 0 {
			errno = unix.ECONNRESET
		}
		c.unreached(errno)
		c.choose()
		return
	}
	if events&unix.EPOLLOUT == 0 {
		return
	}
	c.server.Established()
	if c.proxyOut != 0 {
		c.up.held = c.header()
	}
	c.state, c.until, c.touched = established, 0, c.l.now
	if c.idle > 0 {
		c.l.dueBy(c.touched + int64(c.idle))
	}
	c.proceed()
}

// proceed moves what can be moved, both ways. An end of the stream is passed on alone, so that a side that has said all
// it has to say still gets its answer; a reset is passed on as a reset.
func (c *conn) proceed() {
	l := c.l
	before := c.up.bytes + c.down.bytes
	var unfinished bool
	for _, w := range [...]*way{&c.up, &c.down} {
		if w.over {
			continue
		}
		switch w.pump(l) {
		case more:
			unfinished = true
		case dead:
			c.abort()
			return
		case over:
			if c.up.over && c.down.over {
				c.close()
				return
			}
			c.halfClose() // before the other side sees it, so that whoever has seen it finds it counted
			if !w.broken {
				shutdown(int(w.to.fd), unix.SHUT_WR)
			}
		}
	}
	if c.up.bytes+c.down.bytes != before {
		c.touched = l.now
		l.moved()
	}
	if unfinished && !c.waiting {
		c.waiting = true
		l.again = append(l.again, c)
	}
}

// resume goes on with a connection that had enough for one turn.
func (c *conn) resume() {
	c.waiting = false
	if c.state == closed { // ended since
		c.l.spare = append(c.l.spare, c)
		return
	}
	c.proceed()
}

func (c *conn) halfClose() {
	if c.state == established {
		c.state = halfClosed
		c.server.Closing()
	}
}

// deadline is when the connection expires if nothing more happens; 0 is never.
func (c *conn) deadline() int64 {
	switch {
	case c.until != 0:
		return c.until
	case c.idle > 0:
		return c.touched + int64(c.idle)
	}
	return 0
}

// expired is called at the deadline.
func (c *conn) expired() {
	switch c.state {
	case introducing:
		c.stranger(unix.ETIMEDOUT)
		return
	case connecting:
		c.unreached(unix.ETIMEDOUT)
		c.choose()
		return
	}
	c.abort()
}

// close ends the connection after its last byte.
func (c *conn) close() {
	c.count()
	c.client.close()
	c.upstream.close()
	c.leave()
}

// abort ends the connection on both sides with a reset.
func (c *conn) abort() {
	if c.state >= established {
		c.count()
	}
	c.client.reset()
	c.upstream.reset()
	c.leave()
}

// leave takes the connection, whose sockets are closed, out of all books.
func (c *conn) leave() {
	l := c.l
	if c.server != nil {
		switch {
		case c.state >= established:
			c.server.Closed(c.state == halfClosed)
		case c.state == connecting:
			c.server.Canceled()
		}
	}
	c.up.release(l)
	c.down.release(l)
	last := len(l.conns) - 1
	l.conns[last].place = c.place
	l.conns[c.place] = l.conns[last]
	l.conns[last] = nil
	l.conns = l.conns[:last]
	answered := true // the service has nothing more to say about the claim
	if !c.service.Leave(&c.claim) {
		answered = c.state != queued
	}
	c.state, c.server = closed, nil
	if answered {
		c.service = nil
		if !c.waiting {
			l.spare = append(l.spare, c)
		}
	}
	l.d.left()
}

func (e *end) close() {
	if e.fd >= 0 {
		e.c.l.remove(e.place)
		closeFile(int(e.fd))
		e.fd, e.place = -1, noPlace
	}
	e.readable, e.writable, e.hup = false, false, false
}

func (e *end) reset() {
	if e.fd >= 0 {
		e.c.l.remove(e.place)
		reset(int(e.fd))
		e.fd, e.place = -1, noPlace
	}
}

// count adds to the server's counters what they have not had yet. Packets are what the kernel says of the client's side.
func (c *conn) count() {
	if c.state < established || c.up.bytes == c.counted.up && c.down.bytes == c.counted.down {
		return
	}
	t := service.Traffic{InBytes: c.up.bytes - c.counted.up, OutBytes: c.down.bytes - c.counted.down}
	if info := &c.l.info; tcpInfo(int(c.client.fd), info) == 0 {
		t.InPackets, t.OutPackets = uint64(info.Segs_in-c.counted.segsIn), uint64(info.Segs_out-c.counted.segsOut)
		c.counted.segsIn, c.counted.segsOut = info.Segs_in, info.Segs_out
	}
	c.counted.up, c.counted.down = c.up.bytes, c.down.bytes
	c.server.Carried(t)
}

// word is IPVS's word for the state (ip_vs_proto_tcp.c): the end of what the client sends is CLOSE_WAIT to it, that of
// what the server sends is FIN_WAIT.
func (c *conn) word() string {
	switch {
	case c.state < established:
		return "SYN_RECV"
	case c.up.over:
		return "CLOSE_WAIT"
	case c.down.over:
		return "FIN_WAIT"
	}
	return "ESTABLISHED"
}

// list is the connection as others see it.
func (c *conn) list() service.Conn {
	listed := service.Conn{Protocol: config.TCP, State: c.word(), Client: c.from, Virtual: c.service.ID().Addr}
	if c.server != nil {
		listed.Server = c.server.Addr()
	}
	if end := c.deadline(); end != 0 {
		listed.Expires = max(time.Duration(end-c.l.d.now()), 1)
	}
	return listed
}
