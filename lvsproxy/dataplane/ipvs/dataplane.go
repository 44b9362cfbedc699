package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/netlink"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Kernel is the IPVS that a dataplane drives; [netlink.Client] says what its methods do.
type Kernel interface {
	Services() ([]table.Service, error)
	Servers(id config.VirtualID) ([]netlink.Counted, error)
	Do(s table.Step) error
	Timeouts() (service.Timeouts, error)
	SetTimeouts(t service.Timeouts) error
	StartSync(d service.SyncDaemon) error
	StopSync(state string) error
	SyncDaemons() ([]service.SyncDaemon, error)
}

// Options for a dataplane. The zero value is good.
type Options struct {
	// Kernel returns the IPVS to drive; nil means that of the network namespace.
	Kernel func() (Kernel, error)
	// Conns opens the list of connections; nil means the kernel's.
	Conns func() (io.ReadCloser, error)
	// Logger gets what an operator should know; nil means none.
	Logger *slog.Logger
}

// Dataplane is a service.Dataplane. It also is a service.Conns, Counter, Leaver, Syncer, TimeoutSetter and TimeoutGetter.
type Dataplane struct {
	options Options
	log     *slog.Logger
	wake    chan struct{} // some front is dirty

	mu     sync.Mutex // of what follows, and of the fronts
	kernel Kernel     // nil before it is needed
	stop   func()     // ends what runs beside; nil while nothing does
	fronts map[config.VirtualID]*front
	leave  bool
}

// front is a service that is open, or closing.
type front struct {
	service *service.Service
	opened  time.Time
	dirty   atomic.Bool
	closing bool // it was closed, and goes when none of its connections is active
	counts  counted
}

// New returns a dataplane without services. It has no goroutines before [Dataplane.Open].
func New(o Options) *Dataplane {
	if o.Kernel == nil {
		o.Kernel = ofNamespace
	}
	if o.Conns == nil {
		o.Conns = func() (io.ReadCloser, error) { return os.Open("/proc/net/ip_vs_conn") }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Dataplane{options: o, log: o.Logger, wake: make(chan struct{}, 1), fronts: map[config.VirtualID]*front{}}
}

// ofNamespace returns the IPVS of the network namespace.
func ofNamespace() (Kernel, error) {
	c, err := netlink.NewClient()
	if err != nil {
		return nil, err // c would be a Kernel that is not nil
	}
	return c, nil
}

// Abilities implements [service.Dataplane].
func (*Dataplane) Abilities() config.Abilities {
	return config.Abilities{
		Dataplane: "ipvs",
		Protocols: []config.Protocol{config.TCP, config.UDP, config.FWM},
		Forwards:  []config.Forward{config.Masq, config.Gate, config.IPIP},
		KeepTable: true,
		AnyPort:   true,
		OnePacket: true, Persistence: true, Thresholds: true, SchedFlags: true,
	}
}

// Missing returns what keeps this process from having IPVS carry connections, in words for an operator; nil if nothing is
// known to. It changes nothing.
func (d *Dataplane) Missing() error {
	k, err := d.options.Kernel()
	if err != nil {
		return err
	}
	_, err = k.Services()
	if errors.Is(err, unix.EPERM) {
		return errors.New("no CAP_NET_ADMIN")
	}
	return err
}

// connect has d.kernel be there.
func (d *Dataplane) connect() (err error) {
	if d.kernel == nil {
		d.kernel, err = d.options.Kernel()
	}
	return err
}

var errEveryPort = errors.New("IPVS carries a service of every port only with persistence: expected persistent=")

// Open implements [service.Dataplane]. The VIP need not be an address of this machine yet.
func (d *Dataplane) Open(_ context.Context, s *service.Service) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := s.Spec()
	if s.ID().Protocol != config.FWM && s.ID().Addr.Port() == 0 && v.Persistence.Timeout == 0 {
		return fmt.Errorf("virtual service %s: %w", s.ID().Name(), errEveryPort)
	}
	if err := d.connect(); err != nil {
		return fmt.Errorf("virtual service %s: %w", s.ID().Name(), err)
	}
	d.start()
	f := &front{service: s, opened: time.Now(), counts: counted{}}
	d.fronts[s.ID()] = f
	s.Watch(func() { d.mark(f) })
	d.mark(f)
	time.AfterFunc(grace, func() { d.mark(f) })
	return nil
}

// start has what runs beside run.
func (d *Dataplane) start() {
	if d.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.run(ctx) })
	d.stop = func() {
		cancel()
		wg.Wait()
	}
}

// mark has a front brought into the kernel. It does not wait for that.
func (d *Dataplane) mark(f *front) {
	f.dirty.Store(true)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run brings the tables of services into the kernel as they change, until ctx ends, and now and then those that could not be
// brought there before.
func (d *Dataplane) run(ctx context.Context) {
	ticker := time.NewTicker(service.EstimateInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-ticker.C:
		}
		d.mu.Lock()
		d.sync()
		d.mu.Unlock()
	}
}

// Close implements [service.Dataplane].
func (d *Dataplane) Close(s *service.Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.fronts[s.ID()]; f != nil && f.service == s {
		f.closing = true
		d.mark(f)
	}
}

// Leave implements [service.Leaver].
func (d *Dataplane) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leave = true
}

// drainPoll is how often it is asked whether connections still are active.
const drainPoll = 100 * time.Millisecond

// Shutdown implements [service.Dataplane]. After Leave it removes at once what was closing, and leaves the rest as it is; so
// it does with services of cleanstop=no.
func (d *Dataplane) Shutdown(ctx context.Context) (ended int) {
	d.mu.Lock()
	stop, wait := d.stop, !d.leave
	d.stop = nil
	d.mu.Unlock()
	if stop == nil {
		return 0
	}
	stop()
	d.closeAll()
	ticker := time.NewTicker(drainPoll)
	defer ticker.Stop()
	for wait && !d.drained() {
		select {
		case <-ctx.Done():
			wait = false
		case <-ticker.C:
		}
	}
	return d.end()
}

// closeAll closes the services that are not to stay, and forgets those that are.
func (d *Dataplane) closeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, f := range d.fronts {
		if !f.closing && (d.leave || !f.service.Spec().CleanStop) {
			delete(d.fronts, id)
			continue
		}
		f.closing = true
		f.dirty.Store(true)
	}
}

// drained reports whether all services are gone, after it has removed those that can go.
func (d *Dataplane) drained() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sync()
	return len(d.fronts) == 0
}

// end removes what is left and returns how many connections were active.
func (d *Dataplane) end() (ended int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, f := range d.fronts {
		servers, err := d.kernel.Servers(id)
		if err == nil {
			err = d.kernel.Do(table.Step{Op: table.RemoveService, Service: table.Service{ID: id}})
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			d.log.Error("a virtual service is still in the kernel", "virtual", f.service.ID().Name(), "error", err)
			continue
		}
		ended += int(active(servers))
	}
	clear(d.fronts)
	return ended
}
