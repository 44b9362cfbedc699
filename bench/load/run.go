package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrUnreachable is wrapped by the error of [Run] when the target is not to be found, or is no counter page.
var ErrUnreachable = errors.New("no counter page was reached")

// progressEvery is how often progress is reported.
const progressEvery = 250 * time.Millisecond

// Snapshot is the state of a load under way.
type Snapshot struct {
	Elapsed      time.Duration
	Planned      int64 // requests
	Done         int64 // of the planned requests, with whatever outcome
	Acknowledged int64
	Errors       int64
	Violations   int64
	InFlight     int64
	P50, P99     time.Duration // latency so far
	Phase        string        // under way
	Second       Second        // the last complete one, zero before that
}

// Run makes the load and returns what it showed, also if ctx ends it early: then requests in flight are cut. It returns
// once everything it started has ended.
//
// progress, if not nil, is called from one goroutine about four times a second and once at the end.
//
// Errors: [ErrConfig] for a configuration that makes no sense or that this machine's limits forbid, [ErrUnreachable] if
// the counter page cannot be reached at the start, or the error of ctx if it ends before the load has begun.
func Run(ctx context.Context, cfg Config, progress func(Snapshot)) (*Result, error) {
	cfg = cfg.Defaults()
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if err := checkFiles(cfg); err != nil {
		return nil, err
	}
	t, err := resolve(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if !cfg.NoProbe {
		if err := probe(ctx, cfg, t); err != nil {
			return nil, err
		}
	}
	r := newRun(cfg, t)
	stopProgress := r.report(progress)
	why := r.users(ctx)
	stopProgress()
	return r.collector.result(cfg, why), nil
}

// run is one load under way.
type run struct {
	cfg       Config
	target    *target
	schedule  schedule
	collector *collector
	places    []*place
	free      chan *place
}

func newRun(cfg Config, t *target) *run {
	start := time.Now()
	r := &run{
		cfg: cfg, target: t,
		schedule:  schedule{start: start, rate: cfg.Rate, users: cfg.Users},
		collector: newCollector(start, nil),
		free:      make(chan *place, min(cfg.Concurrency, cfg.Users)),
	}
	t.connected = r.collector.connected
	for range cap(r.free) {
		p := newPlace()
		r.places = append(r.places, p)
		r.free <- p
	}
	return r
}

// users lets all users make their requests and returns why they ended.
func (r *run) users(ctx context.Context) Ended {
	stop, cancel := context.WithCancel(ctx)
	if r.cfg.Duration > 0 {
		stop, cancel = context.WithDeadline(ctx, r.schedule.start.Add(r.cfg.Duration))
	}
	defer cancel()
	uncut := context.AfterFunc(ctx, func() {
		for _, p := range r.places {
			p.cut()
		}
	})
	defer uncut()

	var wg sync.WaitGroup
	for i := range r.cfg.Users {
		wg.Go(func() {
			u := newUser(i, r.cfg.UserPrefix+strconv.Itoa(i))
			defer u.close()
			for n := 0; n < r.cfg.Requests && r.request(ctx, stop, u, n); n++ {
			}
			r.collector.leave(u.verifier)
		})
	}
	wg.Wait()
	switch planned := int64(r.cfg.Users) * int64(r.cfg.Requests); {
	case r.collector.snapshot(planned).Done == planned:
		return Complete
	case ctx.Err() != nil:
		return Interrupted
	}
	return OutOfTime
}

// request makes the user's n-th request, with its retries. It returns false if the load is over.
func (r *run) request(ctx, stop context.Context, u *user, n int) bool {
	due, ok := r.await(stop, u, n)
	if !ok {
		return false
	}
	for try := 0; ; try++ {
		p := r.take(stop)
		if p == nil {
			return false
		}
		now := time.Now()
		if due.IsZero() {
			due = now
		}
		r.collector.began(now, try > 0)
		e := p.do(ctx, r.target, u)
		r.free <- p
		r.settle(u, due, &e)
		if e.cut {
			return false
		}
		if e.class == "" || try == r.cfg.Retries {
			r.collector.done()
			return true
		}
		if !sleep(stop, r.cfg.RetryWait) {
			return false
		}
	}
}

// await returns when the user's n-th request is due, once it is. In a closed load it is due when it gets a place; the
// time is zero then.
func (r *run) await(stop context.Context, u *user, n int) (due time.Time, ok bool) {
	if !r.schedule.open() {
		return time.Time{}, stop.Err() == nil
	}
	due = r.schedule.due(u.index, n)
	wait := time.Until(due)
	if wait <= 0 {
		return due, stop.Err() == nil
	}
	if !sleep(stop, wait) {
		return due, false
	}
	r.collector.late(time.Since(due))
	return due, true
}

// take returns a free place, or nil if the load is over.
func (r *run) take(stop context.Context) *place {
	select {
	case p := <-r.free:
		return p
	default:
	}
	if r.schedule.open() {
		r.collector.held()
	}
	select {
	case p := <-r.free:
		return p
	case <-stop.Done():
		return nil
	}
}

// settle verifies and notes the outcome of an attempt.
func (r *run) settle(u *user, due time.Time, e *exchange) {
	if e.cut {
		r.collector.interrupted()
		return
	}
	at := r.collector.since(e.end)
	if e.class != "" {
		// Without a cookie after the failed attempt the user has no session that the visit could have counted in.
		unknown := e.sent && u.hasSession(r.target)
		r.collector.failed(u.name, due, e, unknown)
		u.verifier.Fail(at, e.class, unknown)
		return
	}
	e.answer.Server = r.collector.acknowledged(e.answer.Server, due, e)
	if v := u.verifier.Ack(at, e.answer); v != nil {
		r.collector.violated(v, due)
	}
}

// report calls progress until the returned function is called, which waits for the last call.
func (r *run) report(progress func(Snapshot)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	planned := int64(r.cfg.Users) * int64(r.cfg.Requests)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress(r.collector.snapshot(planned))
			case <-done:
				progress(r.collector.snapshot(planned))
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// schedule gives the intended starts of an open load: the users take turns in a fixed order, at a constant rate.
type schedule struct {
	start time.Time
	rate  float64 // requests a second; 0 for a closed load
	users int
}

func (s schedule) open() bool { return s.rate > 0 }

func (s schedule) due(user, n int) time.Time {
	k := float64(n)*float64(s.users) + float64(user)
	return s.start.Add(time.Duration(k / s.rate * float64(time.Second)))
}

// sleep waits for d and returns true, or false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// resolve finds the target's address.
func resolve(ctx context.Context, cfg Config) (*target, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	port := uint64(80)
	if s := u.Port(); s != "" {
		if port, err = strconv.ParseUint(s, 10, 16); err != nil || port == 0 {
			return nil, fmt.Errorf("%w: port %q of the URL is not 1 to 65535", ErrConfig, s)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("%w: resolve %s: %w", ErrUnreachable, u.Hostname(), err)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	path += "?"
	if u.RawQuery != "" {
		path += u.RawQuery + "&"
	}
	return &target{
		addr: netip.AddrPortFrom(ips[0].Unmap(), uint16(port)), host: u.Host, path: path + "user=", origin: u,
		timeout: cfg.Timeout, keepAlive: cfg.KeepAlive, connected: func() {},
	}, nil
}

// probe makes sure, with a user of its own, that the target is a counter page. It tries three times, since one real
// server may be down.
func probe(ctx context.Context, cfg Config, t *target) error {
	const tries = 3
	var e exchange
	for try := range tries {
		if try > 0 && !sleep(ctx, cfg.RetryWait) {
			break
		}
		u := newUser(-1, cfg.UserPrefix+"probe")
		e = newPlace().do(ctx, t, u)
		u.close()
		if e.class == "" && !u.hasSession(t) {
			e.fail(BadBody, "the answer set no cookie that a browser would send back over http")
		}
		if e.class == "" || ctx.Err() != nil {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("probe %s: %w", cfg.URL, err)
	}
	if e.class != "" {
		return fmt.Errorf("%w at %s (%s): %s: %s", ErrUnreachable, cfg.URL, t.addr, e.class, e.detail)
	}
	return nil
}

// checkFiles makes sure that the load's connections fit under this process's limit of open files.
func checkFiles(cfg Config) error {
	const spare = 32 // standard streams, resolver, the program around us
	need := uint64(min(cfg.Concurrency, cfg.Users))
	if cfg.KeepAlive {
		need = uint64(cfg.Users)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("ask for the limit of open files: %w", err)
	}
	if need+spare > limit.Cur {
		return fmt.Errorf("%w: %d connections do not fit under the limit of %d open files: raise it (ulimit -n %d) or lower the concurrency",
			ErrConfig, need, limit.Cur, need+spare)
	}
	return nil
}
