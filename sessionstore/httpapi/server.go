package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/access"
)

// Options bound what a server takes. Zero values mean the defaults.
type Options struct {
	// Timeout is how long one operation on the store may take; waiting for a lease is not counted. Default 10 s.
	Timeout time.Duration
	// IdleTimeout is how long a connection may be silent between requests. Default 5 minutes.
	IdleTimeout time.Duration
	// ReadTimeout is how long a request may take to arrive. Default 30 s.
	ReadTimeout time.Duration
	// MaxConns is how many connections are served at once; more are refused with 503. Default 16,384.
	MaxConns int
	// Secrets, if there are any, must be shown with every request on a namespace.
	Secrets *access.Secrets
	// Rate limits how fast one address creates sessions.
	Rate *access.Rate
	// Collectors are shown on /metrics too.
	Collectors []prometheus.Collector
	// Logger gets one line for each request that failed through no fault of the client's. Default: none.
	Logger *slog.Logger
}

// Sizes that are nobody's to choose.
const (
	maxHeader = 32 << 10 // request line and headers
	// A body this much over the limit is read like any other, and the connection stays good after the 413.
	maxExcess = 1 << 20
	// What is read of a larger one before the connection is closed.
	maxLingering = 64 << 20
	maxLinger    = 2 * time.Second
)

// Server is the HTTP face of a service.
type Server struct {
	svc      *sessionstore.Service
	opts     Options
	http     *fasthttp.Server
	metrics  *metrics
	draining atomic.Bool
	ctx      context.Context // of all operations; ends when draining is over
	stop     context.CancelFunc

	mu        sync.Mutex
	listeners []net.Listener
	ended     bool
}

// New returns a server that is not listening yet.
func New(svc *sessionstore.Service, o Options) *Server {
	o.Timeout = orDefault(o.Timeout, 10*time.Second)
	o.IdleTimeout = orDefault(o.IdleTimeout, 5*time.Minute)
	o.ReadTimeout = orDefault(o.ReadTimeout, 30*time.Second)
	o.MaxConns = orDefault(o.MaxConns, 16384)
	o.Logger = orDefault(o.Logger, slog.New(slog.DiscardHandler))
	s := &Server{svc: svc, opts: o, metrics: newMetrics(svc, o.Collectors)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = &fasthttp.Server{
		Handler:                      s.serve,
		ErrorHandler:                 s.refuse,
		Name:                         "sessiond",
		Concurrency:                  o.MaxConns,
		IdleTimeout:                  o.IdleTimeout,
		ReadTimeout:                  o.ReadTimeout,
		ReadBufferSize:               maxHeader,
		MaxRequestBodySize:           svc.MaxPayload() + maxExcess,
		ReduceMemoryUsage:            true, // an idle connection keeps no buffers
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
		Logger:                       fasthttpLog{o.Logger},
	}
	return s
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Serve answers requests on the listener until [Server.Shutdown] and then returns nil, at once if that was called
// before. It closes the listener. It may be called several times, once for each listener.
func (s *Server) Serve(l net.Listener) error {
	parking := newLot(l, s.opts.MaxConns, s.opts.IdleTimeout)
	if !s.take(parking) {
		return parking.Close()
	}
	if err := s.http.Serve(parking); err != nil {
		return errors.Join(fmt.Errorf("serve HTTP on %v: %w", l.Addr(), err), parking.Close())
	}
	return nil
}

// take notes a listener to be closed at the end, unless that has come already.
func (s *Server) take(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, l)
	return !s.ended
}

// closeListeners closes those listeners too that fasthttp had not begun to serve when it was shut down.
func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, l := range s.listeners {
		l.Close() // closed already, most often
	}
}

// Drain makes /readyz say no, so that those who balance load send nothing new. Everything else goes on.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown stops listening, lets the requests in flight end, and returns when they have or when the context ends, which
// then cancels them.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	defer s.stop()
	defer s.closeListeners()
	if err := s.http.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("shut down HTTP: %w", err)
	}
	return nil
}

// refuse answers a request that fasthttp could not parse. The connection is closed afterwards.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.As(err, &small):
		fail(ctx, 431, "invalid", fmt.Sprintf("request line and headers are over %d bytes", maxHeader))
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		linger(ctx.Conn())
		fail(ctx, 413, "too large", fmt.Sprintf("the limit is %d bytes", s.svc.MaxPayload()))
	case errors.As(err, &network) && network.Timeout():
		fail(ctx, 408, "invalid", "the request did not arrive in time")
	default:
		fail(ctx, 400, "invalid", "not a well-formed HTTP request")
	}
	ctx.SetConnectionClose()
}

// linger reads what a client is still sending, within bounds: a connection closed on unread bytes is reset, and the
// client would not get to see the answer.
func linger(c net.Conn) {
	c.SetReadDeadline(time.Now().Add(maxLinger))
	io.Copy(io.Discard, io.LimitReader(c, maxLingering))
}

// fasthttpLog passes fasthttp's own messages on. They can quote a request, ids included, so only the format is kept.
type fasthttpLog struct{ log *slog.Logger }

// Printf implements fasthttp.Logger.
func (l fasthttpLog) Printf(format string, _ ...any) { l.log.Debug("http: " + format) }
