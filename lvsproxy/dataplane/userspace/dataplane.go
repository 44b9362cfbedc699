package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Options for a dataplane. The zero value is good.
type Options struct {
	// ConnectTimeout bounds one attempt to reach one real server; 0 means DefaultConnectTimeout. A service may have its
	// own.
	ConnectTimeout time.Duration
	// MaxConns bounds the connections over all services; further ones wait in the listening socket's queue. 0 means
	// what the limit on open files allows, see DefaultMaxConns.
	MaxConns int
	// Loops is how many cores are used; 0 means as many as Go has processors (GOMAXPROCS). With fewer than that a loop
	// that waits for a moment keeps its processor, which is cheaper.
	Loops int
	// Inherit returns the sockets of a service that someone handed over: bound, and listening if it is TCP. The
	// dataplane owns what it gets. With none it opens new ones; nil means that there are none.
	Inherit func(config.VirtualID) []*os.File
	// Logger gets what an operator should know; nil means none.
	Logger *slog.Logger
}

// DefaultConnectTimeout is long enough for one lost SYN, which the kernel sends again after a second.
const DefaultConnectTimeout = 3 * time.Second

// filesPerConn is how many files a connection needs: two sockets. Pipes are for some only, and limited by themselves.
const filesPerConn = 2

// DefaultMaxConns is what the limit on open files leaves room for, at most a million.
func DefaultMaxConns() int {
	const reserve, most = 128, 1 << 20
	files := openFiles()
	return max(1, min(most, (files-reserve-files/pipeShare)/filesPerConn))
}

// pipeShare is the part of the open files that may be pipes.
const pipeShare = 16

func openFiles() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 1024
	}
	return int(min(files.Cur, 1<<30))
}

// Dataplane is a service.Dataplane. It also is a service.Conns and a service.Ender.
type Dataplane struct {
	options  Options
	log      *slog.Logger
	began    time.Time
	maxPipes int          // of each loop
	spare    bool         // Go has processors that no loop needs
	control  func(fd int) // called with each socket before it connects to a real server; nil outside of tests
	open     atomic.Int64 // connections
	starving atomic.Int64 // doors that wait for connections to end
	idle     chan struct{}

	limited, unreached, refused, strangers throttle

	mu     sync.Mutex
	loops  []*loop // none before the first service is opened, and after Shutdown
	fronts map[*service.Service]*front
}

// New returns a dataplane without services. It has nothing open and no goroutines before [Dataplane.Open].
func New(o Options) *Dataplane {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.MaxConns <= 0 {
		o.MaxConns = DefaultMaxConns()
	}
	if o.Loops <= 0 {
		o.Loops = runtime.GOMAXPROCS(0)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Dataplane{
		options: o, log: o.Logger, began: time.Now(), idle: make(chan struct{}, 1), fronts: map[*service.Service]*front{},
		maxPipes: min(256, openFiles()/pipeShare/pipeFiles/o.Loops),
	}
}

// now is the time as loops count it: nanoseconds since New, never 0.
func (d *Dataplane) now() int64 { return int64(time.Since(d.began)) + 1 }

// Abilities implements [service.Dataplane].
func (*Dataplane) Abilities() config.Abilities {
	return config.Abilities{
		Dataplane: "userspace",
		Protocols: []config.Protocol{config.TCP, config.UDP},
		Forwards:  []config.Forward{config.Masq},
		Local:     netip.Addr.IsLoopback,

		ProxyIn: true, ProxyOut: true, ConnectTimeout: true, IdleTimeout: true, OnePacket: true, MaxConns: true, Queue: true,

		// The service sees to these whenever it is asked for a server.
		Thresholds: true, Persistence: true, SchedFlags: true,
	}
}

// Open implements [service.Dataplane].
func (d *Dataplane) Open(_ context.Context, s *service.Service) error {
	id := s.ID()
	if id.Protocol != config.TCP && id.Protocol != config.UDP {
		return fmt.Errorf("virtual service %s: the userspace dataplane cannot do %s", id.Addr, id.Protocol)
	}
	if own := s.Own(); id.Protocol == config.UDP && (own.ProxyIn || own.ProxyOut != 0) {
		return fmt.Errorf("virtual service %s: the PROXY protocol is for tcp only", id.Addr)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.start(); err != nil {
		return fmt.Errorf("event loops: %w", err)
	}
	sockets, err := d.sockets(id)
	if err != nil {
		return fmt.Errorf("virtual service %s: %w%s", id.Addr, err, hint(err, id.Addr))
	}
	f := &front{d: d, loops: d.loops, service: s, sockets: sockets, closing: make(chan struct{}), begun: make(chan struct{})}
	d.fronts[s] = f
	go f.begin()
	return nil
}

// start starts the loops if they do not run.
func (d *Dataplane) start() error {
	if d.loops != nil {
		return nil
	}
	var loops []*loop
	for range d.options.Loops {
		l, err := newLoop(d)
		if err != nil {
			for _, l := range loops {
				l.release()
			}
			return err
		}
		loops = append(loops, l)
	}
	d.spare = runtime.GOMAXPROCS(0) > len(loops)
	for _, l := range loops {
		go l.run()
	}
	d.loops = loops
	return nil
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

// Close implements [service.Dataplane]. It returns once the service's sockets are closed.
func (d *Dataplane) Close(s *service.Service) {
	d.mu.Lock()
	f := d.fronts[s]
	delete(d.fronts, s)
	d.mu.Unlock()
	if f != nil {
		f.close()
	}
}

// Shutdown implements [service.Dataplane].
func (d *Dataplane) Shutdown(ctx context.Context) (ended int) {
	d.mu.Lock()
	fronts := d.fronts
	d.fronts = map[*service.Service]*front{}
	loops := d.loops
	d.mu.Unlock()
	var closing sync.WaitGroup
	for _, f := range fronts {
		closing.Go(f.close)
	}
	closing.Wait()
	for d.open.Load() > 0 {
		select {
		case <-d.idle:
			continue
		case <-ctx.Done():
		}
		for _, l := range loops {
			l.call(func() { ended += l.end(nil, nil) })
		}
	}
	for _, l := range loops {
		l.stop()
	}
	d.mu.Lock()
	d.loops = nil
	d.mu.Unlock()
	return ended
}

// enter counts a connection that is to begin, unless there are too many.
func (d *Dataplane) enter() bool {
	if d.open.Add(1) <= int64(d.options.MaxConns) {
		return true
	}
	d.open.Add(-1)
	return false
}

// left takes back enter, and tells those who wait for it.
func (d *Dataplane) left() {
	if d.open.Add(-1) == 0 {
		select {
		case d.idle <- struct{}{}:
		default:
		}
	}
	if d.starving.Load() > 0 {
		for _, l := range d.running() {
			l.do(l.reopen)
		}
	}
}

func (d *Dataplane) running() []*loop {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.loops
}

// Conns implements [service.Conns].
func (d *Dataplane) Conns(s *service.Service, yield func(service.Conn) bool) {
	for _, l := range d.running() {
		var listed []service.Conn
		l.call(func() { listed = l.list(s) })
		for _, c := range listed {
			if !yield(c) {
				return
			}
		}
	}
}

// End implements [service.Ender].
func (d *Dataplane) End(s *service.Service, server *service.Server) (ended int) {
	for _, l := range d.running() {
		l.call(func() { ended += l.end(s, server) })
	}
	return ended
}

// end cuts off the connections of a service to a server, or all if the service is nil, and returns how many there were.
func (l *loop) end(s *service.Service, server *service.Server) (ended int) {
	for i := len(l.conns) - 1; i >= 0; i-- { // the last one moves to the place of one that ends
		if c := l.conns[i]; s == nil || c.service == s && c.server == server {
			c.abort()
			ended++
		}
	}
	for i := len(l.counters) - 1; i >= 0; i-- {
		var older *flow
		for f := l.counters[i].newest; f != nil; f = older {
			older = f.older
			if s == nil || f.counter.front.service == s && f.server == server {
				f.end()
				ended++
			}
		}
	}
	return ended
}

// list returns the connections of a service.
func (l *loop) list(s *service.Service) (listed []service.Conn) {
	for _, c := range l.conns {
		if c.service == s {
			listed = append(listed, c.list())
		}
	}
	for _, c := range l.counters {
		if c.front.service == s {
			for f := c.newest; f != nil; f = f.older {
				listed = append(listed, f.list())
			}
		}
	}
	return listed
}
