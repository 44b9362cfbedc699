package userspace

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// DefaultUDPTimeout is how long a flow of UDP lasts after its last datagram, as with IPVS.
const DefaultUDPTimeout = 5 * time.Minute

const (
	onePacketTimeout = 10 * time.Second // for the answer to a datagram that is scheduled for itself
	lingerTimeout    = time.Second      // for answers that are on their way when a front closes
)

// counter is where the datagrams of one service come in, in one loop: a socket bound to the VIP, and the flows of the
// clients that the kernel sends there. It is a front's door for UDP.
type counter struct {
	front   *front
	l       *loop
	fd      int
	place   int32
	flows   map[netip.AddrPort]*flow
	newest  *flow // the flows by when something moved last
	oldest  *flow
	idle    time.Duration
	single  bool // each datagram is a flow of its own
	closing bool // no new flows, and nothing is read at the VIP
}

// flow is what a client and a real server send each other. Its socket is connected to the server: what comes there is
// for the client, and an error of ICMP says that the server is not there.
type flow struct {
	counter      *counter
	client       netip.AddrPort
	server       *service.Server
	fd           int
	place        int32
	touched      int64
	claim        service.Claim
	newer, older *flow
}

func (c *counter) open() {
	place, err := c.l.add(c.fd, unix.EPOLLIN, c)
	if err != nil {
		c.l.d.log.Error("cannot wait for datagrams", "virtual", c.front.service.ID().Addr, "error", err)
		return
	}
	c.place = place
	c.l.counters = append(c.l.counters, c)
	if c.l.batch == nil {
		c.l.batch = newBatch()
	}
}

// last forwards what has come, and closes once the answers are back, or soon.
func (c *counter) last() {
	c.ready(0)
	c.closing = true
	if c.place != noPlace {
		unix.EpollCtl(c.l.epoll, unix.EPOLL_CTL_DEL, c.fd, nil)
		c.l.remove(c.place)
		c.place = noPlace
	}
	c.idle = lingerTimeout
	c.l.dueBy(c.l.now + int64(lingerTimeout))
	c.leaveIfEmpty()
}

func (c *counter) leaveIfEmpty() {
	if !c.closing || c.oldest != nil || c.fd < 0 {
		return
	}
	closeFile(c.fd)
	c.fd = -1
	l := c.l
	for i := range l.counters {
		if l.counters[i] == c {
			l.counters = append(l.counters[:i], l.counters[i+1:]...)
			return
		}
	}
}

// ready implements source: it forwards datagrams of clients.
func (c *counter) ready(uint32) {
	b := c.l.batch
	n := b.receive(c.fd)
	if n == 0 {
		return
	}
	c.refresh()
	for i := 0; i < n; { // datagrams of the same client that follow each other go out together
		client := addrOf(&b.names[i])
		next := i + 1
		for !c.single && next < n && addrOf(&b.names[next]) == client {
			next++
		}
		c.forward(client, i, next)
		i = next
	}
}

// refresh takes what a reload may have changed.
func (c *counter) refresh() {
	if c.closing {
		return
	}
	c.single = c.front.service.OnePacket()
	c.idle = c.front.service.Own().IdleTimeout
	switch {
	case c.idle > 0:
	case c.single:
		c.idle = onePacketTimeout
	default:
		c.idle = DefaultUDPTimeout
	}
}

// forward sends the datagrams from, up to and without to, of the batch to the client's server. To one that is not there
// nothing more is sent: the client's next datagrams, these among them, go to another.
func (c *counter) forward(client netip.AddrPort, from, to int) {
	var tried []*service.Server
	for range maxAttempts {
		f := c.flows[client]
		if f == nil || c.single {
			if f = c.begin(client, tried); f == nil {
				return
			}
		}
		sent, bytes, errno := c.l.batch.send(f.fd, from, to, nil)
		f.touch()
		if sent > 0 {
			f.server.Carried(service.Traffic{InPackets: uint64(sent), InBytes: uint64(bytes)})
		}
		from += sent
		if errno == 0 || errno == unix.EAGAIN { // a full socket loses datagrams, as any queue does
			return
		}
		tried = append(tried, f.server)
		f.refused(errno)
	}
}

// begin begins a flow to the server that the service picks; nil if there is none. Where there is no room, the flow on
// which nothing has moved for the longest time makes it.
func (c *counter) begin(client netip.AddrPort, tried []*service.Server) *flow {
	d, s := c.l.d, c.front.service
	if !d.enter() {
		d.warn(&d.limited, "connection limit reached: the flow that is idle for longest ends", "virtual", s.ID().Addr, "limit", d.options.MaxConns)
		if c.oldest == nil {
			return nil
		}
		c.oldest.end()
		if !d.enter() {
			return nil
		}
	}
	f := &flow{counter: c, client: client, touched: c.l.now, place: noPlace}
	f.claim = service.Claim{Flow: scheduler.Flow{VIP: s.ID().Addr, Client: client}, Tried: tried}
	server, err := s.Take(&f.claim)
	if err != nil {
		d.warn(&d.refused, "datagram dropped", "virtual", s.ID().Addr, "tried", len(tried), "reason", err)
		d.left()
		return nil
	}
	// A flow of UDP is never active for IPVS: it has no state in which it would be.
	fd, errno := c.connect(server)
	if errno != 0 {
		server.Canceled()
		s.Leave(&f.claim)
		d.warn(&d.unreached, "real server not reached", "virtual", s.ID().Addr, "server", server, "error", errno)
		d.left()
		return nil
	}
	f.server, f.fd = server, fd
	server.Established()
	server.Closing()
	if place, err := c.l.add(fd, unix.EPOLLIN, f); err == nil {
		f.place = place
	}
	f.link()
	if !c.single {
		c.flows[client] = f
	}
	c.l.dueBy(c.l.now + int64(c.idle))
	return f
}

func (c *counter) connect(server *service.Server) (int, unix.Errno) {
	family, size := rawOf(server.Addr(), &c.l.target)
	fd, errno := socket(family, unix.SOCK_DGRAM)
	if errno != 0 {
		return 0, errno
	}
	if errno := connect(fd, &c.l.target, size); errno != 0 {
		closeFile(fd)
		return 0, errno
	}
	return fd, 0
}

// ready implements source: it forwards a server's answers.
func (f *flow) ready(events uint32) {
	c := f.counter
	b := c.l.batch
	n := b.receive(f.fd)
	if n == 0 {
		if errno := socketError(f.fd); errno != 0 || events&unix.EPOLLERR != 0 {
			f.refused(max(errno, unix.ECONNREFUSED))
		}
		return
	}
	f.touch()
	sent, bytes := 0, 0
	if c.fd >= 0 {
		sent, bytes, _ = b.send(c.fd, 0, n, &f.client)
	}
	f.server.Carried(service.Traffic{OutPackets: uint64(sent), OutBytes: uint64(bytes)})
	if c.single {
		f.end()
	}
}

// refused ends a flow whose server is not there, and counts that.
func (f *flow) refused(errno unix.Errno) {
	d := f.counter.l.d
	d.warn(&d.unreached, "real server not reached", "virtual", f.counter.front.service.ID().Addr, "server", f.server, "error", errno)
	f.server.Opening()
	f.server.Failed()
	f.end()
}

// end ends a flow.
func (f *flow) end() {
	c := f.counter
	c.l.remove(f.place)
	closeFile(f.fd)
	f.unlink()
	if c.flows[f.client] == f {
		delete(c.flows, f.client)
	}
	f.server.Closed(true)
	c.front.service.Leave(&f.claim)
	c.l.d.left()
	c.leaveIfEmpty()
}

// touch notes that something moves.
func (f *flow) touch() {
	f.touched = f.counter.l.now
	if f.counter.newest != f {
		f.unlink()
		f.link()
	}
}

func (f *flow) link() {
	c := f.counter
	f.older, f.newer = c.newest, nil
	if c.newest != nil {
		c.newest.newer = f
	} else {
		c.oldest = f
	}
	c.newest = f
}

func (f *flow) unlink() {
	c := f.counter
	if f.newer != nil {
		f.newer.older = f.older
	} else {
		c.newest = f.older
	}
	if f.older != nil {
		f.older.newer = f.newer
	} else {
		c.oldest = f.newer
	}
	f.older, f.newer = nil, nil
}

// expire ends the flows on which nothing has moved for too long.
func (c *counter) expire() {
	for f := c.oldest; f != nil; f = c.oldest {
		end := f.touched + int64(c.idle)
		if end > c.l.now {
			c.l.dueBy(end)
			return
		}
		f.end()
	}
}

// list is the flow as others see it.
func (f *flow) list() service.Conn {
	c := f.counter
	return service.Conn{
		Protocol: config.UDP, State: "UDP", Expires: max(time.Duration(f.touched+int64(c.idle)-c.l.d.now()), 1),
		Client: f.client, Virtual: c.front.service.ID().Addr, Server: f.server.Addr(),
	}
}
