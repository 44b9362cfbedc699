package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Options for a dataplane. The zero value is good.
type Options struct {
	// ConnectTimeout bounds one attempt to reach one real server; 0 means DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// MaxConns bounds the connections over all services; further ones wait in the listening socket's queue. 0 means
	// what the limit on open files allows, see DefaultMaxConns.
	MaxConns int
	// Listen opens the listening socket for a VIP; nil means a new one. It is for sockets that someone handed over.
	Listen func(ctx context.Context, vip netip.AddrPort) (*net.TCPListener, error)
	// Logger gets what an operator should know; nil means none.
	Logger *slog.Logger
}

// DefaultConnectTimeout is long enough for one lost SYN, which the kernel sends again after a second.
const DefaultConnectTimeout = 3 * time.Second

// filesPerConn is how many files a connection needs: two sockets, and a pipe for each direction.
const filesPerConn = 6

// DefaultMaxConns is what the limit on open files leaves room for, at most 32,768.
func DefaultMaxConns() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 1024 / filesPerConn
	}
	const reserve, most = 128, 32768
	n := min(files.Cur, 1<<30)
	return max(1, min(most, (int(n)-reserve)/filesPerConn))
}

// Dataplane is a service.Dataplane for TCP.
type Dataplane struct {
	options Options
	log     *slog.Logger
	dialer  net.Dialer
	slots   chan struct{} // one for each connection
	ctx     context.Context
	cancel  context.CancelFunc // ends connection attempts
	serving sync.WaitGroup     // a count for each connection

	limited, unreached, refused throttle

	mu        sync.Mutex
	listeners map[*service.Service]*listener
	conns     map[*conn]struct{}
}

// New returns a dataplane without services.
func New(o Options) *Dataplane {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.MaxConns <= 0 {
		o.MaxConns = DefaultMaxConns()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Dataplane{
		options: o, log: o.Logger, dialer: net.Dialer{Timeout: o.ConnectTimeout}, slots: make(chan struct{}, o.MaxConns),
		listeners: map[*service.Service]*listener{}, conns: map[*conn]struct{}{},
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Abilities implements [service.Dataplane].
func (*Dataplane) Abilities() config.Abilities {
	return config.Abilities{
		Dataplane: "userspace",
		Protocols: []config.Protocol{config.TCP},
		Forwards:  []config.Forward{config.Masq},
		Local:     netip.Addr.IsLoopback,
	}
}

// Open implements [service.Dataplane].
func (d *Dataplane) Open(ctx context.Context, s *service.Service) error {
	vip := s.ID().Addr
	if s.ID().Protocol != config.TCP {
		return fmt.Errorf("virtual service %s: the userspace dataplane cannot do %s", vip, s.ID().Protocol)
	}
	listen := d.options.Listen
	if listen == nil {
		listen = Listen
	}
	socket, err := listen(ctx, vip)
	if err != nil {
		return fmt.Errorf("virtual service %s: %w%s", vip, err, hint(err, vip))
	}
	l := &listener{dataplane: d, service: s, socket: socket, closing: make(chan struct{}), done: make(chan struct{})}
	d.mu.Lock()
	d.listeners[s] = l
	d.mu.Unlock()
	go l.run()
	return nil
}

// Listen opens a new listening socket for a VIP. It is what [Options].Listen does unless told otherwise.
func Listen(ctx context.Context, vip netip.AddrPort) (*net.TCPListener, error) {
	network := "tcp4"
	if vip.Addr().Is6() {
		network = "tcp6"
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, network, vip.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// hint tells the operator what to do about the common reasons why a VIP cannot be listened on.
func hint(err error, vip netip.AddrPort) string {
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf(" (add it to this machine first: ip address add %s/%d dev INTERFACE)", vip.Addr(), vip.Addr().BitLen())
	case errors.Is(err, syscall.EACCES):
		return fmt.Sprintf(" (port %d needs the capability CAP_NET_BIND_SERVICE)", vip.Port())
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf(" (see who listens: ss -ltnp sport = :%d)", vip.Port())
	}
	return ""
}

// Close implements [service.Dataplane]. It returns once the service's socket is closed.
func (d *Dataplane) Close(s *service.Service) {
	d.mu.Lock()
	l := d.listeners[s]
	delete(d.listeners, s)
	d.mu.Unlock()
	if l != nil {
		l.close()
		<-l.done
	}
}

// Shutdown implements [service.Dataplane].
func (d *Dataplane) Shutdown(ctx context.Context) (ended int) {
	d.mu.Lock()
	listeners := d.listeners
	d.listeners = map[*service.Service]*listener{}
	d.mu.Unlock()
	for _, l := range listeners {
		l.close()
	}
	for _, l := range listeners {
		<-l.done
	}
	idle := make(chan struct{})
	go func() {
		d.serving.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		ended = d.endAll()
		<-idle
	}
	d.cancel()
	return ended
}

// endAll cuts off every connection and returns how many there were.
func (d *Dataplane) endAll() int {
	d.cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.abort()
	}
	return len(d.conns)
}
