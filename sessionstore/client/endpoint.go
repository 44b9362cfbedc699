package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// Sizes of a connection's buffers, and what an answer may have.
const (
	readBuffer  = 16 << 10 // also the limit of an answer's headers
	writeBuffer = 4 << 10
	maxBody     = sessionstore.MaxPayload + 64<<10 // a problem's detail is small
)

// endpoint is one sessiond and the connections to it. fasthttp's codec runs on them, but not its pool: that one cannot
// give up a request when its context ends, and does not tell whether a request was sent.
type endpoint struct {
	network, address string

	opts   Options
	health health
	inUse  chan struct{} // one token for each connection in use
	queued chan struct{} // one token for each that may wait for a lease; fewer, so that its holder gets a connection

	mu     sync.Mutex
	idle   []*conn // the one used last is at the end
	closed bool
}

func newEndpoint(network, address string, o Options) *endpoint {
	return &endpoint{
		network: network, address: address, opts: o,
		health: health{avoid: o.Avoid},
		inUse:  make(chan struct{}, o.MaxConns),
		queued: make(chan struct{}, o.MaxConns-max(1, o.MaxConns/4)),
	}
}

// conn is a connection and its buffers. One request at a time uses it.
type conn struct {
	net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	unused time.Time // since
}

// exchangeError says how far a request came.
type exchangeError struct {
	sent   bool // at least in part, so that it may have taken effect
	stale  bool // on a connection that was used before, which the endpoint may have closed meanwhile
	busy   bool // all connections are in use: this says nothing about the endpoint
	reason error
}

func (e *exchangeError) Error() string { return e.reason.Error() }
func (e *exchangeError) Unwrap() error { return e.reason }

// exchange sends a request and reads its answer, which may take wait longer than usual. An error is an
// [exchangeError].
func (e *endpoint) exchange(ctx context.Context, req *fasthttp.Request, resp *fasthttp.Response, wait time.Duration) error {
	if wait > 0 {
		if err := e.take(ctx, e.queued); err != nil {
			return err
		}
		defer func() { <-e.queued }()
	}
	c, reused, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	sent, err := e.converse(ctx, c, req, resp, wait)
	keep := err == nil && !resp.ConnectionClose()
	e.release(c, keep)
	if err != nil {
		return &exchangeError{sent: sent, stale: reused, reason: fmt.Errorf("%s: %w", e.address, err)}
	}
	return nil
}

// converse runs the exchange on a connection, and cuts it short when the context ends.
func (e *endpoint) converse(ctx context.Context, c *conn, req *fasthttp.Request, resp *fasthttp.Response, wait time.Duration) (sent bool, err error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() { // the deadline is, or is about to be, in the past
			err = errors.Join(context.Cause(ctx), err)
		}
	}()
	if err := c.SetWriteDeadline(time.Now().Add(e.opts.WriteTimeout)); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := req.Write(c.w); err != nil {
		return true, fmt.Errorf("send: %w", err)
	}
	if err := c.w.Flush(); err != nil {
		return true, fmt.Errorf("send: %w", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(e.opts.ReadTimeout + wait)); err != nil {
		return true, err
	}
	if err := ctx.Err(); err != nil { // the deadline just set may have replaced that of the context's end
		return true, err
	}
	if err := resp.ReadLimitBody(c.r, maxBody); err != nil {
		return true, fmt.Errorf("receive: %w", err)
	}
	return true, nil
}

// acquire returns a connection, an idle one if there is any that still stands.
func (e *endpoint) acquire(ctx context.Context) (c *conn, reused bool, err error) {
	if err := e.take(ctx, e.inUse); err != nil {
		return nil, false, err
	}
	for {
		c, err := e.popIdle()
		if err != nil {
			<-e.inUse
			return nil, false, &exchangeError{busy: true, reason: err}
		}
		if c == nil {
			break
		}
		if time.Since(c.unused) < e.opts.IdleTimeout && c.r.Buffered() == 0 && quiet(c.Conn) {
			return c, true, nil
		}
		c.Close()
	}
	bare, err := (&net.Dialer{Timeout: e.opts.ConnectTimeout}).DialContext(ctx, e.network, e.address)
	if err != nil {
		<-e.inUse
		return nil, false, &exchangeError{reason: fmt.Errorf("connect: %w", err)}
	}
	return &conn{Conn: bare, r: bufio.NewReaderSize(bare, readBuffer), w: bufio.NewWriterSize(bare, writeBuffer)}, false, nil
}

// take takes a token, and waits for one no longer than for a connection.
func (e *endpoint) take(ctx context.Context, tokens chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.ConnectTimeout)
	defer cancel()
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &exchangeError{busy: true, reason: fmt.Errorf("%s: all %d connections that it may have are in use", e.address, cap(tokens))}
	}
}

func (e *endpoint) popIdle() (*conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	n := len(e.idle)
	if n == 0 {
		return nil, nil
	}
	c := e.idle[n-1]
	e.idle[n-1] = nil
	e.idle = e.idle[:n-1]
	return c, nil
}

// release takes a connection back. Those unused for too long are closed on the way, oldest first.
func (e *endpoint) release(c *conn, keep bool) {
	c.unused = time.Now()
	e.mu.Lock()
	var old []*conn
	if keep && !e.closed {
		e.idle = append(e.idle, c)
		n := 0
		for n < len(e.idle) && c.unused.Sub(e.idle[n].unused) > e.opts.IdleTimeout {
			n++
		}
		old = append(old, e.idle[:n]...)
		e.idle = append(e.idle[:0], e.idle[n:]...)
	} else {
		old = append(old, c)
	}
	e.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
	<-e.inUse
}

// dropIdle closes the idle connections: one of them was found broken, so the others are, most likely.
func (e *endpoint) dropIdle() {
	e.mu.Lock()
	idle := e.idle
	e.idle = nil
	e.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

// close ends the endpoint. Connections in use are closed when they are released.
func (e *endpoint) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.dropIdle()
}
