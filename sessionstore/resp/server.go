package resp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/access"
)

// Options bound and tune a server. Zero values mean the defaults.
type Options struct {
	// Namespace is that of a client that has named none. Default "default", as phpclient's.
	Namespace string
	// Prefixes are what clients put before session ids. Default "PHPREDIS_SESSION:".
	Prefixes []string
	// LockWait is how long a SET NX of a lock is held back while somebody else has the lock. Default 2 s; a negative
	// value: not at all. It must be shorter than clients wait for an answer.
	LockWait time.Duration
	// Timeout is how long one command may take, to a sixteenth; waiting for a lock is not counted. Default 10 s.
	Timeout time.Duration
	// IdleTimeout is how long a connection may be silent. Default 1 hour.
	IdleTimeout time.Duration
	// ReadTimeout is how long a command may take to arrive, and an answer to be taken, half of it at least. Default 30 s.
	ReadTimeout time.Duration
	// MaxConns is how many connections are served at once; more are refused. Default 16,384.
	MaxConns int
	// Secrets, if there are any, must be shown before anything else.
	Secrets *access.Secrets
	// Rate limits how fast one address creates sessions.
	Rate *access.Rate
	// Logger gets one line for each command that failed through no fault of the client's. Default: none.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Namespace = orDefault(o.Namespace, "default")
	if o.Prefixes == nil {
		o.Prefixes = []string{"PHPREDIS_SESSION:"}
	}
	o.LockWait = orDefault(o.LockWait, 2*time.Second)
	o.Timeout = orDefault(o.Timeout, 10*time.Second)
	o.IdleTimeout = orDefault(o.IdleTimeout, time.Hour)
	o.ReadTimeout = orDefault(o.ReadTimeout, 30*time.Second)
	o.MaxConns = orDefault(o.MaxConns, 16384)
	o.Logger = orDefault(o.Logger, slog.New(slog.DiscardHandler))
	return o
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Server is the face of a service for clients of Redis.
type Server struct {
	svc     *sessionstore.Service
	opts    Options
	names   names
	scripts *scripts
	scans   scans
	home    sessionstore.Keyspace // of Options.Namespace
	metrics *metrics
	began   time.Time
	ids     atomic.Uint64 // of connections

	ctx     context.Context // of all commands; ends when draining is over
	prompt  contexts        // of those that wait for nobody
	patient contexts        // of those that may wait for a lock
	stop    context.CancelFunc
	closing atomic.Bool
	serving sync.WaitGroup // connections

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
}

// New returns a server that is not listening yet. The error says what is wrong with the options.
func New(svc *sessionstore.Service, o Options) (*Server, error) {
	o = o.withDefaults()
	home, err := svc.Keyspace(o.Namespace)
	if err != nil {
		return nil, err
	}
	s := &Server{
		svc: svc, opts: o, home: home, began: time.Now(),
		names: names{prefixes: o.Prefixes, standIns: newStandIns()}, scripts: newScripts(),
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
	}
	s.metrics = newMetrics(s)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.prompt.parent, s.prompt.timeout = s.ctx, o.Timeout
	s.patient.parent, s.patient.timeout = s.ctx, o.Timeout+max(0, o.LockWait)
	return s, nil
}

// Serve answers commands on the listener until [Server.Shutdown] and then returns nil, at once if that was called before.
// It closes the listener. It may be called several times, once for each listener.
func (s *Server) Serve(l net.Listener) error {
	if !s.take(l) {
		return l.Close()
	}
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(c)
		case s.closing.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serve Redis protocol on %v: %w", l.Addr(), err)
		default: // too many open files, say: others will be closed
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.opts.Logger.Warn("a connection was not accepted", "error", err)
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
			}
		}
	}
}

// take notes a listener to be closed at the end, unless that has come already.
func (s *Server) take(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

// accept serves a connection on a goroutine of its own, or refuses it.
func (s *Server) accept(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	full := len(s.conns) >= s.opts.MaxConns
	closing := s.closing.Load()
	if !full && !closing {
		s.conns[c] = struct{}{}
		s.serving.Add(1)
	}
	s.mu.Unlock()
	if full || closing {
		s.refuse(nc, closing)
		return
	}
	go s.attend(c)
}

// attend serves a connection until it is over. A client that has been silent for a while goes on with a new goroutine,
// whose stack has not grown with commands: most clients are silent most of the time, and there may be many.
func (s *Server) attend(c *conn) {
	if c.serve() {
		go s.attend(c)
		return
	}
	c.net.Close()
	s.forget(c)
	s.serving.Done()
}

// refuse tells a client why it is not served. Over TLS that would take a handshake, so there it is only closed.
func (s *Server) refuse(nc net.Conn, closing bool) {
	defer nc.Close()
	s.metrics.refused.Inc()
	if _, encrypted := nc.(*tls.Conn); encrypted {
		return
	}
	text := "-ERR max number of clients reached\r\n"
	if closing {
		text = "-LOADING sessiond is draining\r\n"
	}
	nc.SetWriteDeadline(time.Now().Add(time.Second)) // an empty buffer takes it at once
	nc.Write([]byte(text))
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// connections returns how many are open.
func (s *Server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops listening, lets the commands in progress end and closes each connection after that. It returns when all
// are closed, or when the context ends, which then cancels them.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing.Store(true)
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.interrupt()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("shut down the Redis protocol: %w", ctx.Err())
		s.stop()
		s.mu.Lock()
		for c := range s.conns {
			c.net.Close()
		}
		s.mu.Unlock()
		<-done
	}
	s.stop()
	return err
}
