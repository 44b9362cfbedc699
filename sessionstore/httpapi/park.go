package httpapi

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// parkAfter is how long a connection may be silent after an answer before it is parked.
const parkAfter = 100 * time.Millisecond

// lot is a listener whose connections are parked while they are idle. fasthttp serves a connection in a goroutine whose
// stack has grown with the requests; a parked one waits for its next byte in a fresh goroutine that needs a quarter of
// that. With the byte it is accepted again. To fasthttp it is a new connection each time.
type lot struct {
	net.Listener
	most    int           // connections at once
	idle    time.Duration // how long a connection may be parked
	accepts chan accept
	done    chan struct{} // closed by Close

	open    atomic.Int64 // connections
	waiting sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	parked  map[*conn]struct{}
}

// accept is what Accept returns.
type accept struct {
	conn net.Conn
	err  error
}

// newLot takes the listener over. The caller closes the lot.
func newLot(l net.Listener, most int, idle time.Duration) *lot {
	p := &lot{Listener: l, most: most, idle: idle, accepts: make(chan accept), done: make(chan struct{}), parked: map[*conn]struct{}{}}
	p.waiting.Add(1)
	go p.run()
	return p
}

// run accepts new connections until the listener is closed or broken.
func (p *lot) run() {
	defer p.waiting.Done()
	for {
		c, err := p.Listener.Accept()
		if err == nil {
			c = p.admit(c)
		}
		if c == nil && err == nil {
			continue
		}
		if !p.hand(accept{c, err}) {
			if c != nil {
				c.Close()
			}
			return
		}
		var network net.Error
		if err != nil && !(errors.As(err, &network) && network.Timeout()) {
			return
		}
	}
}

// hand has Accept return a connection or an error, unless the lot is closed.
func (p *lot) hand(a accept) bool {
	select {
	case p.accepts <- a:
		return true
	case <-p.done:
		return false
	}
}

// admit prepares a new connection. It refuses one too many, and returns nil then.
func (p *lot) admit(c net.Conn) net.Conn {
	raw, ok := c.(syscall.Conn)
	if !ok {
		return c // TLS: it has a state of its own in memory, and is served as it is
	}
	w := &conn{Conn: c, lot: p}
	if !w.prepare(raw) {
		return c
	}
	if p.open.Add(1) > int64(p.most) {
		c.SetWriteDeadline(time.Now().Add(time.Second))
		io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		w.Close()
		return nil
	}
	return w
}

// Accept implements net.Listener.
func (p *lot) Accept() (net.Conn, error) {
	select {
	case a := <-p.accepts:
		return a.conn, a.err
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It closes what is parked too, and returns once nothing is left of it. It may be called
// again.
func (p *lot) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	for c := range p.parked {
		c.Conn.Close()
	}
	p.mu.Unlock()
	if first {
		close(p.done)
	}
	err := p.Listener.Close()
	p.waiting.Wait()
	return err
}

// park lets a connection wait for its next byte, unless the lot is closed.
func (p *lot) park(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.parked[c] = struct{}{}
	p.waiting.Add(1)
	go p.wait(c)
	return true
}

func (p *lot) wait(c *conn) {
	defer p.waiting.Done()
	err := c.Conn.SetReadDeadline(time.Now().Add(p.idle))
	if err == nil {
		err = c.fill()
	}
	p.mu.Lock()
	delete(p.parked, c)
	p.mu.Unlock()
	if err != nil || !p.hand(accept{c, nil}) {
		c.Close()
	}
}

// conn is a connection that can be parked. fasthttp reads the first byte of each request by itself (see its
// ReduceMemoryUsage): where that does not come, it is told that the connection has ended, and closes it, which parks it.
type conn struct {
	net.Conn
	lot      *lot
	deadline time.Time // for reading, as fasthttp set it
	due      bool      // the deadline is not in force yet
	answered bool      // something was answered, and nothing read since
	leaving  atomic.Bool
	gone     atomic.Bool
	source   // what was read ahead
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if n := c.take(p); n > 0 {
		return n, nil
	}
	deadline, parks := c.deadline, false
	if soon := time.Now().Add(parkAfter); c.answered && len(p) == 1 && (deadline.IsZero() || soon.Before(deadline)) {
		deadline, parks, c.due = soon, true, true
	}
	if err := c.arm(deadline); err != nil {
		return 0, err
	}
	c.due = parks // what is in force then is not fasthttp's
	if len(p) != 1 {
		c.answered = false
		return c.Conn.Read(p)
	}
	if err := c.fill(); err != nil {
		if parks && errors.Is(err, os.ErrDeadlineExceeded) {
			c.answered = false
			c.leaving.Store(true)
			err = io.EOF
		}
		return 0, err
	}
	c.answered = false
	return c.take(p), nil
}

// arm puts a deadline in force if it is due.
func (c *conn) arm(deadline time.Time) error {
	if !c.due {
		return nil
	}
	c.due = false
	return c.Conn.SetReadDeadline(deadline)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	c.answered = true
	return c.Conn.Write(p)
}

// SetReadDeadline implements net.Conn. The deadline is in force from the next Read on.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.deadline, c.due = t, true
	return nil
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.Conn.SetWriteDeadline(t))
}

// Close implements net.Conn.
func (c *conn) Close() error {
	if c.leaving.Swap(false) && c.lot.park(c) {
		return nil
	}
	if !c.gone.Swap(true) {
		c.lot.open.Add(-1)
	}
	return c.Conn.Close()
}
