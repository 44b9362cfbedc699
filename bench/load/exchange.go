package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// closeWait is how long to wait, after an answer, for the real server to close the connection as asked. Who closes first
// keeps the port in TIME_WAIT for a minute; if that were this machine, it would soon have none left.
const closeWait = 50 * time.Millisecond

// freshFor is how long a kept connection needs no look whether the server has closed it.
const freshFor = time.Millisecond

// readBuffer also bounds the header of an answer.
const readBuffer = 8 << 10

// exchange is one attempt at a request and what became of it.
type exchange struct {
	due        time.Time // the intended start
	begin, end time.Time
	answer     Answer
	class      Class // empty if the answer is acknowledged
	detail     string
	fresh      bool // the connection was opened for it
	sent       bool // at least a part of the request may have left
	cut        bool // the run was interrupted: count neither answer nor error
}

func (e *exchange) fail(class Class, detail string) { e.class, e.detail = class, detail }

// cause is an error without the addresses that the net package puts around it: they are the same in all.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// source is a connection that remembers why it ended: fasthttp's parser reports a reset as an EOF.
type source struct {
	conn net.Conn
	err  error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.conn.Read(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

// place is room for one request in flight: its buffers and its connection.
type place struct {
	reader *bufio.Reader
	out    []byte
	answer fasthttp.Response

	mu   sync.Mutex
	conn net.Conn // in use, for cut
	over bool     // cut was called
}

func newPlace() *place { return &place{reader: bufio.NewReaderSize(nil, readBuffer)} }

// cut ends the exchange under way, and each later one at once. It is safe to call at any time.
func (p *place) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.conn != nil {
		p.conn.SetDeadline(time.Unix(1, 0))
	}
}

// use makes conn the one that cut ends, and gives it a deadline. A nil conn takes it out of cut's reach.
func (p *place) use(conn net.Conn, deadline time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = conn
	if conn == nil {
		return
	}
	if p.over {
		deadline = time.Unix(1, 0)
	}
	conn.SetDeadline(deadline)
}

// do makes one attempt at the user's next request.
func (p *place) do(ctx context.Context, t *target, u *user, q request, now time.Time) (e exchange) {
	e.begin = now
	deadline := e.begin.Add(t.timeout)
	defer func() {
		if e.end.IsZero() {
			e.end = time.Now()
		}
		if e.class != "" && ctx.Err() != nil {
			e.cut = true
		}
	}()
	conn, fresh, err := t.connect(ctx, u, now, deadline)
	e.fresh = fresh
	if err != nil {
		e.fail(classify(err), "connect: "+cause(err))
		return e
	}
	p.use(conn, deadline)
	defer p.use(nil, time.Time{})

	again := t.protocol.talk(p, conn, u, q, &e)
	if e.class != "" && !again {
		conn.Close()
		e.end = time.Now()
		return e
	}
	p.release(t, u, conn, again, e.end)
	return e
}

// send sends what was built in out.
func (p *place) send(conn net.Conn, e *exchange) bool {
	n, err := conn.Write(p.out)
	e.sent = e.sent || n > 0
	if err != nil {
		e.fail(classify(err), "send: "+cause(err))
	}
	return err == nil
}

// receive reads one answer over HTTP.
func (p *place) receive(conn net.Conn, e *exchange) bool { return p.receiveAtMost(conn, e, MaxBody) }

// receiveAtMost reads one answer over HTTP, whose body has at most so many bytes.
func (p *place) receiveAtMost(conn net.Conn, e *exchange, most int) bool {
	runtime.Gosched() // while others have their turn the answer comes: often that saves a read in vain, and the wait for another
	from := source{conn: conn}
	p.reader.Reset(&from)
	p.answer.Reset()
	p.answer.Header.SetNoDefaultContentType(true) // else an answer without one is told as text/plain
	err := p.answer.ReadLimitBody(p.reader, most)
	if err != nil && from.err != nil {
		err = from.err
	}
	if err != nil {
		e.fail(classify(err), "receive: "+cause(err))
		return false
	}
	e.end = time.Now()
	return true
}

// excerpt is the beginning of a body on one line.
func excerpt(body []byte) string {
	const length = 120
	end := ""
	if len(body) > length {
		body, end = body[:length], "..."
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "?")), " ") + end
}

// release keeps the connection for the user's next request if it can be used again, or sees it closed. The request ended then.
func (p *place) release(t *target, u *user, conn net.Conn, again bool, ended time.Time) {
	if t.keepAlive && again && p.reader.Buffered() == 0 {
		u.conn, u.used = conn, ended
		return
	}
	if p.reader.Buffered() == 0 {
		p.use(conn, time.Now().Add(closeWait))
		var b [1]byte
		conn.Read(b[:]) // whatever it says, the connection ends here
	}
	conn.Close()
}

// target is where requests go.
type target struct {
	kind      Target
	protocol  protocol
	addr      netip.AddrPort
	timeout   time.Duration
	keepAlive bool
	tls       *tls.Config // nil for none
	origin    *url.URL    // that cookies belong to
	connected func()      // called for each connection opened
}

// protocol is what a target speaks.
type protocol interface {
	// talk makes the user's request on the connection and notes in e what became of it; end only if that was before it
	// returns. It tells whether the connection may be used again.
	talk(p *place, conn net.Conn, u *user, q request, e *exchange) (again bool)
}

// connect returns the user's kept connection if it is still good, else a fresh one.
func (t *target) connect(ctx context.Context, u *user, now, deadline time.Time) (conn net.Conn, fresh bool, err error) {
	if conn := u.conn; conn != nil {
		u.conn = nil
		if now.Sub(u.used) < freshFor || idle(conn) {
			return conn, false, nil
		}
		conn.Close()
	}
	conn, err = t.dial(ctx, deadline)
	return conn, err == nil, err
}

// dial opens a connection. Over TLS each has a whole handshake, as a visitor's first one has.
func (t *target) dial(ctx context.Context, deadline time.Time) (net.Conn, error) {
	d := net.Dialer{Deadline: deadline, KeepAlive: -1}
	conn, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, t.addr)
	if err != nil {
		return nil, err
	}
	t.connected()
	if t.tls == nil {
		return conn, nil
	}
	over := tls.Client(conn, t.tls)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := over.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return over, nil
}

// idle tells whether a kept connection is open and has nothing to say. A server may close a kept connection at any
// time; a browser then opens another one, and so do we.
func idle(conn net.Conn) bool {
	conn.SetDeadline(time.Time{}) // that of its last request may be over
	if over, is := conn.(*tls.Conn); is {
		conn = over.NetConn() // nothing is left in between: an answer was read to its end
	}
	plain, is := conn.(*net.TCPConn)
	if !is {
		return false
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return open && err == nil
}
