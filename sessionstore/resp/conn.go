package resp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Sizes of a connection's buffers, in bytes.
const (
	smallBuffer = 512       // kept while the client is silent; most commands fit
	firstBuffer = 16 << 10  // what a larger one gets first
	keepOutput  = 4 << 10   // of the output buffer, kept
	flushAt     = 256 << 10 // answers are sent once there are so many
	maxOutput   = 64 << 20  // an answer to one command
	excess      = 1 << 20   // an argument this much too large is refused like any other mistake, not by closing
)

// maxBatch is how many commands of one client are worked on at once.
const maxBatch = 32

// conn is a client's connection. Its fields belong to the goroutine that serves it, but for those that say otherwise.
type conn struct {
	*Server
	net  net.Conn
	id   uint64
	addr netip.Addr // of the client, zero for a Unix socket

	state
	parser parser
	small  [smallBuffer]byte
	in     []byte // what has arrived and was not worked on; begins in small
	early  []byte // what arrived while a command was waiting
	since  time.Time
	parked bool      // the client has been silent for a while
	silent time.Time // the read deadline by which a client counts as silent, if that is in force
	taken  time.Time // the write deadline
	out    []byte
	leave  bool // after what was answered

	mu     sync.Mutex
	leases map[sessionstore.Key]held // taken by this connection; commands at work share it
}

// state is what commands change for those that follow.
type state struct {
	space   sessionstore.Keyspace // where keys are
	base    string                // namespace of database 0
	db      int64
	known   bool // the client has shown its secret, or needs none
	strikes int  // secrets that were wrong
	v3      bool
	label   string // CLIENT SETNAME
}

var buffers = sync.Pool{New: func() any { b := make([]byte, firstBuffer); return &b }}

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{Server: s, net: nc, id: s.ids.Add(1)}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.addr = a.AddrPort().Addr()
	}
	c.parser.reset()
	c.in = c.small[:0]
	c.state = c.initial()
	return c
}

func (s *Server) initial() state {
	return state{space: s.home, base: s.opts.Namespace, known: s.opts.Secrets.Open()}
}

// interrupt ends the connection's wait for its client, from any goroutine.
func (c *conn) interrupt() { c.net.SetReadDeadline(past) }

// arm sets the deadline of the next read.
func (c *conn) arm(t time.Time) {
	c.silent = time.Time{}
	c.net.SetReadDeadline(t)
	if c.closing.Load() {
		c.interrupt()
	}
}

// parkAfter is how long a client is silent before its connection is parked.
// The deadline that tells is set anew when half of it is over, so it may be as little as half as long.
const parkAfter = 2 * time.Second

// serve answers the client until it goes, is told to, or makes a mistake that leaves no way on. It returns true when the
// connection is to be parked: nothing of it is at work then, and serve is to be called again.
func (c *conn) serve() (park bool) {
	for !c.leave {
		batch, used, err := c.gather()
		if len(batch) > 0 {
			c.work(batch)
		}
		c.consume(used)
		if err != nil && !c.leave {
			c.metrics.malformed.Inc()
			r := reply{b: c.out, v3: c.v3}
			r.fail("ERR " + err.Error())
			c.out, c.leave = r.b, true
		}
		if !c.flush() || c.leave {
			return false
		}
		if len(batch) > 0 || used > 0 {
			continue
		}
		switch went, silent := c.fill(); {
		case silent && !c.parked:
			c.parked = true
			return true
		case !went:
			return false
		}
	}
	return false
}

// gather takes the commands that have arrived as a whole, and tells how many bytes they are.
func (c *conn) gather() (batch [][][]byte, used int, err error) {
	for len(batch) < maxBatch {
		args, n, err := c.parser.next(c.in[used:], c.limits())
		if err != nil || n == 0 {
			return batch, used, err
		}
		used += n
		if len(args) > 0 {
			batch = append(batch, args)
		}
		if !c.known {
			break // the next one's limits depend on it
		}
	}
	return batch, used, nil
}

func (c *conn) limits() limits {
	if !c.known {
		return limits{arg: maxEarly, args: maxEarlyArg, total: maxEarly}
	}
	most := c.svc.MaxPayload()
	return limits{arg: most + excess, args: maxArgs, total: 2*most + 2*excess}
}

// consume drops what was worked on. A connection that is up to date keeps only its small buffer.
func (c *conn) consume(used int) {
	if used > 0 {
		c.in = c.in[:copy(c.in, c.in[used:])]
		c.since = time.Time{}
	}
	if len(c.in) == 0 {
		c.shrink()
	}
}

func (c *conn) shrink() {
	if cap(c.in) == firstBuffer {
		whole := c.in[:firstBuffer]
		buffers.Put(&whole)
	}
	c.in = c.small[:0]
}

// grow makes room for more input.
func (c *conn) grow() {
	if len(c.in) < cap(c.in) {
		return
	}
	var b []byte
	if len(c.in) < firstBuffer {
		b = (*buffers.Get().(*[]byte))[:0]
	} else {
		b = make([]byte, 0, 2*cap(c.in))
	}
	old := c.in
	c.in = append(b, old...)
	if cap(old) == firstBuffer {
		whole := old[:firstBuffer]
		buffers.Put(&whole)
	}
}

// fill reads more input. went is false when the connection is over, unless silent says that its client has only said
// nothing for a while. A client may be silent for long between two commands, but must finish one that it has begun.
func (c *conn) fill() (went, silent bool) {
	if len(c.early) > 0 {
		for len(c.early) > 0 {
			c.grow()
			n := copy(c.in[len(c.in):cap(c.in)], c.early)
			c.in, c.early = c.in[:len(c.in)+n], c.early[n:]
		}
		c.early = nil
		return true, false
	}
	now := time.Now()
	switch {
	case len(c.in) == 0 && !c.parked && c.opts.IdleTimeout > parkAfter:
		silent = true
		if c.silent.Sub(now) < parkAfter/2 { // setting it costs, and need not be done for each command
			c.arm(now.Add(parkAfter))
			c.silent = now.Add(parkAfter)
		}
	case len(c.in) == 0:
		c.arm(now.Add(c.opts.IdleTimeout))
	case c.since.IsZero():
		c.since = now
		c.arm(now.Add(c.opts.ReadTimeout))
	}
	c.grow()
	n, err := c.net.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if n > 0 || err == nil {
		c.parked = false
		return true, false
	}
	return false, silent && timedOut(err) && !c.closing.Load()
}

func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// flush sends the answers. It returns false when the client does not take them.
func (c *conn) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	if now := time.Now(); c.taken.Sub(now) < c.opts.ReadTimeout/2 {
		c.taken = now.Add(c.opts.ReadTimeout)
		c.net.SetWriteDeadline(c.taken)
	}
	_, err := c.net.Write(c.out)
	if c.out = c.out[:0]; cap(c.out) > keepOutput {
		c.out = nil
	}
	return err == nil
}

// watch cancels a command that waits when its client goes. The caller calls the result when the waiting is over.
func (c *conn) watch(cancel context.CancelFunc) (end func()) {
	c.arm(time.Time{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b [smallBuffer]byte
		n, err := c.net.Read(b[:])
		c.early = append(c.early, b[:n]...)
		if err != nil && !timedOut(err) {
			cancel()
		}
	}()
	return func() {
		c.interrupt()
		<-done
		c.since = time.Time{}
	}
}
