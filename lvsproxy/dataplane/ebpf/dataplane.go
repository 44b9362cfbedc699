package ebpf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Options for a dataplane. The zero value is good.
type Options struct {
	// Pin is a folder in a bpffs, which is mounted where there is none; empty means DefaultPin.
	Pin string
	// Interfaces are the names of those at which packets are taken; none means all that are up and have an address.
	Interfaces []string
	// MaxConns bounds the connections; beyond, those make room on which nothing has moved for longest. 0 means
	// DefaultMaxConns. What is pinned already keeps its bound.
	MaxConns int
	// MaxServers bounds the real servers of all services together; 0 means DefaultMaxServers.
	MaxServers int
	// Logger gets what an operator should know; nil means none.
	Logger *slog.Logger

	// TunnelSources are what the outer headers of tunnels (ipip) come from: an address of IPv4 and one of IPv6, of which the
	// bits beyond the prefix's length differ by connection, so that receivers spread them over their processors. None means
	// the machine's own address, the same for all.
	TunnelSources []netip.Prefix

	// SloppyTCP has a connection of TCP begin with any packet of a client, as IPVS's sloppy_tcp does: then one that another
	// director has begun goes on here, where the scheduler sends its client to the same server as there (sh, mh).
	SloppyTCP bool

	// XDP says where packets are taken by XDP, too; empty means XDPOff.
	XDP XDP

	noTCX bool // for tests: attach as on a kernel before 6.6
}

// DefaultMaxServers is enough for 1,000 services of 100 real servers each, and for some that still drain.
const DefaultMaxServers = 1 << 17

// bytesPerConn is about what a connection takes in the kernel: an entry for each of its two directions.
const bytesPerConn = 400

// DefaultMaxConns is how many connections a 32nd part of the machine's memory can hold, from 65,536 to 1,048,576. The kernel
// takes that memory at once.
func DefaultMaxConns() int {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 1 << 16
	}
	memory := uint64(info.Totalram) * uint64(info.Unit)
	return int(min(max(memory/32/bytesPerConn, 1<<16), 1<<20))
}

// Dataplane is a service.Dataplane. It also is a service.Conns, Ender, Counter, Leaver, TimeoutSetter and TimeoutGetter.
type Dataplane struct {
	options Options
	log     *slog.Logger
	wake    chan struct{} // some front is dirty
	pass    *pass         // of the goroutine that sweeps
	using   sync.RWMutex  // held while the maps are read without mu; taken after that

	mu       sync.Mutex // of what follows, and of the fronts
	kernel   *kernel    // nil while nothing is open
	attached *attachments
	stop     func() // ends what runs beside
	fronts   map[config.VirtualID]*front
	timeouts service.Timeouts
	leave    bool

	predecessors []*predecessor
	opened       int // how many services were there, and all in the kernel, when that was last asked for predecessors
}

// New returns a dataplane without services. It has nothing open and no goroutines before [Dataplane.Open].
func New(o Options) *Dataplane {
	if o.Pin == "" {
		o.Pin = DefaultPin
	}
	if o.MaxConns <= 0 {
		o.MaxConns = DefaultMaxConns()
	}
	if o.MaxServers <= 0 {
		o.MaxServers = DefaultMaxServers
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Dataplane{
		options: o, log: o.Logger, wake: make(chan struct{}, 1),
		fronts: map[config.VirtualID]*front{}, timeouts: service.DefaultTimeouts,
	}
}

// Open implements [service.Dataplane]. The VIP need not be an address of this machine yet: keepalived may bring it later.
func (d *Dataplane) Open(_ context.Context, s *service.Service) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.start(); err != nil {
		return fmt.Errorf("virtual service %s: %w", s.ID().Name(), err)
	}
	f, err := d.kernel.front(s, d.fronts[s.ID()])
	if err != nil {
		return fmt.Errorf("virtual service %s: %w", s.ID().Name(), err)
	}
	d.fronts[s.ID()] = f
	s.Watch(func() { d.mark(f) })
	d.mark(f)
	return nil
}

// start loads and attaches the programs if they are not, and has what runs beside run.
func (d *Dataplane) start() error {
	if d.kernel != nil {
		return nil
	}
	if err := d.Missing(); err != nil {
		return err
	}
	pins, err := openPins(d.options.Pin)
	if err != nil {
		return err
	}
	k, err := loadKernel(pins, d.options, d.log)
	if err != nil {
		pins.close()
		return err
	}
	if err := k.setTimeouts(d.timeouts); err != nil {
		k.close()
		return err
	}
	predecessors, err := pins.predecessors()
	if err != nil {
		k.close()
		return err
	}
	a := newAttachments(pins, k.hooks(), d.options)
	a.last = len(predecessors) > 0
	a.short = k.objects.Shortcuts
	a.early = early{xdp: d.options.XDP, program: k.objects.Early, interfaces: k.objects.EarlyInterfaces}
	unfollow, err := a.follow()
	if err != nil {
		k.close()
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.run(ctx) })
	d.kernel, d.attached, d.predecessors, d.opened = k, a, predecessors, 0
	d.stop = func() {
		unfollow()
		cancel()
		wg.Wait()
		a.close()
	}
	return nil
}

// mark has a front brought into the kernel. It does not wait for that.
func (d *Dataplane) mark(f *front) {
	f.dirty.Store(true)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// sweepInterval is how often the connections are looked through.
const sweepInterval = service.EstimateInterval

// run brings the tables of services into the kernel as they change, and sweeps, until ctx ends.
func (d *Dataplane) run(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
			d.syncAll()
		case <-ticker.C:
			if d.owns() {
				d.syncAll() // also those that could not be brought there before
				d.sweep(ctx)
				d.succeed()
			}
		}
	}
}

// syncAll brings the services that have changed into the kernel.
func (d *Dataplane) syncAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncDirty()
}

// syncDirty is syncAll with mu held.
func (d *Dataplane) syncDirty() {
	if d.kernel.pins.lent.Load() {
		return // what is dirty stays so
	}
	var dirty []*front
	for _, f := range d.fronts {
		if !f.closed && f.dirty.Swap(false) {
			dirty = append(dirty, f)
		}
	}
	if len(dirty) == 0 {
		return
	}
	d.kernel.lookAround()
	var changes []*change
	for _, f := range dirty {
		c, err := d.kernel.begin(f)
		if err != nil {
			d.retry(f, err)
			continue
		}
		changes = append(changes, c)
	}
	var swaps errgroup.Group
	swaps.SetLimit(swapsAtOnce)
	for _, c := range changes {
		swaps.Go(func() error { d.kernel.swap(c); return nil })
	}
	swaps.Wait()
	for _, c := range changes {
		if err := d.kernel.end(c); err != nil {
			d.retry(c.front, err)
		}
	}
}

// swapsAtOnce is how many services get other slots at the same time.
const swapsAtOnce = 64

// retry has a front brought into the kernel again, at the next tick.
func (d *Dataplane) retry(f *front, err error) {
	f.dirty.Store(true)
	if !errors.Is(err, errNotSettled) {
		d.log.Error("the kernel has not got the table of a virtual service; it is tried again", "virtual", f.service.ID().Name(), "error", err)
	}
}

// Close implements [service.Dataplane].
func (d *Dataplane) Close(s *service.Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.fronts[s.ID()]
	if f == nil || f.service != s {
		return // it was opened anew
	}
	if err := d.kernel.closeFront(f); err != nil {
		d.log.Error("a virtual service is still in the kernel", "virtual", s.ID().Name(), "error", err)
	}
}

// Sockets lets another process take the maps over, for as long as that takes: it has no sockets to give. Until the other
// process has ended, if it fails, this one changes nothing in the kernel.
func (d *Dataplane) Sockets() ([]*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kernel == nil {
		return nil, nil
	}
	return nil, d.kernel.pins.lend()
}

// owns reports whether the maps are this process's to change. If another one was to take them and has not, they are again.
func (d *Dataplane) owns() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.kernel.pins.lent.Load() {
		return true
	}
	if !d.kernel.pins.reclaim() {
		return false
	}
	d.log.Warn("nobody has taken the maps over; this process goes on with them")
	for _, f := range d.fronts {
		f.dirty.Store(true) // who was to take them over may have closed it
	}
	predecessors, err := d.kernel.pins.predecessors()
	if err != nil {
		d.log.Warn("what other versions have left in the kernel is not known", "error", err)
	}
	d.predecessors = predecessors
	return true
}

// Leave implements [service.Leaver].
func (d *Dataplane) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leave = true
}

// Shutdown implements [service.Dataplane]. It waits for no connection: they go on in the kernel without this process. With
// cleanstop=no, or after Leave, the services take new ones too.
func (d *Dataplane) Shutdown(context.Context) (ended int) {
	d.mu.Lock()
	stop := d.stop
	d.mu.Unlock()
	if stop == nil {
		return 0
	}
	stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.fronts {
		if f.closed || d.leave || d.kernel.pins.lent.Load() || !f.service.Spec().CleanStop {
			continue
		}
		if err := d.kernel.closeFront(f); err != nil {
			d.log.Error("a virtual service is still in the kernel", "virtual", f.service.ID().Name(), "error", err)
		}
	}
	clear(d.fronts)
	d.using.Lock()
	defer d.using.Unlock()
	d.pass = nil
	d.kernel.close()
	d.kernel, d.attached, d.stop = nil, nil, nil
	return 0
}

// SetTimeouts implements [service.TimeoutSetter]. What is 0 stays as it is.
func (d *Dataplane) SetTimeouts(t service.Timeouts) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timeouts = t.Or(d.timeouts)
	if d.kernel == nil {
		return nil
	}
	return d.kernel.setTimeouts(d.timeouts)
}

// Timeouts implements [service.TimeoutGetter].
func (d *Dataplane) Timeouts() (t service.Timeouts, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.timeouts, true
}
