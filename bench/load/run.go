package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
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
	Until        time.Duration // when no more requests begin, 0 if only their number ends the load
	Planned      int64         // requests
	Done         int64         // of the planned requests, with whatever outcome
	Acknowledged int64
	Errors       int64
	Violations   int64
	InFlight     int64
	P50, P99     time.Duration // latency so far
	Phase        string        // under way
	Fault        Fault         // the latest that was begun, without what is judged later; none if it has no name
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
	stopFaults := r.faults(ctx)
	why := r.users(ctx)
	stopFaults()
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
	through   atomic.Int64 // users who made all their requests
}

// newRun prepares a run.
func newRun(cfg Config, t *target) *run {
	start := time.Now()
	r := &run{
		cfg: cfg, target: t,
		schedule:  newSchedule(start, cfg),
		collector: newCollector(start, cfg.Phases, cfg.Faults),
		free:      make(chan *place, cfg.inFlight()),
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
			u := newUser(i, r.cfg.UserPrefix, r.cfg.Seed)
			defer u.close()
			if r.user(ctx, stop, u) {
				r.through.Add(1)
			}
			r.collector.leave(u.verifier)
		})
	}
	wg.Wait()
	switch {
	case r.through.Load() == int64(r.cfg.Users):
		return Complete
	case ctx.Err() != nil:
		return Interrupted
	}
	return OutOfTime
}

// faults carries out the faults of the load until the returned function is called, which waits for those under way.
func (r *run) faults(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	s := saboteur{collector: r.collector}
	s.start(ctx)
	return func() { cancel(); s.wg.Wait() }
}

// user lets a user have its turns. It returns false if the load ended before.
func (r *run) user(ctx, stop context.Context, u *user) bool {
	r.arrive(u)
	for range r.cfg.Requests {
		due, more := r.due(u)
		if !more {
			return true
		}
		if !r.await(stop, due) || !r.turn(ctx, stop, u, due) {
			return false
		}
		r.collector.done()
	}
	return true
}

// arrive spreads the first requests of users who think.
func (r *run) arrive(u *user) {
	u.free = r.schedule.start
	if !r.cfg.Think.IsZero() {
		u.free = u.free.Add(-time.Duration(u.random.Float64() * float64(r.cfg.Think.Draw(u.random))))
	}
}

// due returns when the user's next turn is due, the zero time if that is at once, and false if the load has no more of them.
func (r *run) due(u *user) (time.Time, bool) {
	switch {
	case r.schedule.open():
		return r.schedule.next(u.index, &u.clock, u.random)
	case len(r.schedule.ramps) > 0:
		return r.admit(u, r.thought(u))
	}
	return r.thought(u), true
}

// thought returns when the user has thought, the zero time if users do not think.
func (r *run) thought(u *user) time.Time {
	if r.cfg.Think.IsZero() {
		return time.Time{}
	}
	return u.free.Add(r.cfg.Think.Draw(u.random))
}

// admit returns when the user, who is ready by then, is there to take its turn, and false if it does not come back.
func (r *run) admit(u *user, ready time.Time) (time.Time, bool) {
	at := time.Since(r.schedule.start)
	if !ready.IsZero() {
		at = max(at, ready.Sub(r.schedule.start))
	}
	admitted, more := r.schedule.admit(u.index, at)
	if admitted == at {
		return ready, more
	}
	return r.schedule.start.Add(admitted), more
}

// await waits until a turn is due. It returns false if the load is over.
func (r *run) await(stop context.Context, due time.Time) bool {
	if due.IsZero() {
		return stop.Err() == nil
	}
	wait := time.Until(due)
	if wait <= 0 {
		return stop.Err() == nil
	}
	if !sleep(stop, wait) {
		return false
	}
	r.collector.late(time.Since(due))
	return true
}

// turn makes the requests of a user's turn. It returns false if the load is over.
func (r *run) turn(ctx, stop context.Context, u *user, due time.Time) bool {
	plan := u.plan(&r.cfg)
	going := true
	if len(plan) == 1 {
		going = r.request(ctx, stop, u, due, plan[0])
	} else {
		going = r.burst(ctx, stop, u, due, plan)
	}
	if !r.cfg.Think.IsZero() {
		u.free = time.Now()
	}
	return going
}

// request makes a request, with its retries. It returns false if the load is over.
func (r *run) request(ctx, stop context.Context, u *user, due time.Time, q request) bool {
	for try := 0; ; try++ {
		var cookies []*http.Cookie
		if q.action == LogOut {
			cookies = u.jar.Cookies(r.target.origin)
		}
		e, ok := r.attempt(ctx, stop, u, due, q, try > 0)
		if !ok {
			return false
		}
		due = e.due
		r.settle(u, q, &e)
		switch {
		case e.cut:
			return false
		case q.action == LogOut && e.class == "":
			u.haunt(r.target.origin, cookies)
			return true
		case q.action == LogOut, q.action == LogIn && e.class != "": // nobody knows what became of the session, or of its new id
			u.leave()
			return true
		}
		if e.class == "" || try == r.cfg.Retries {
			return true
		}
		if !sleep(stop, r.cfg.RetryWait) {
			return false
		}
	}
}

// attempt makes one attempt at a request. It returns false if the load is over before.
func (r *run) attempt(ctx, stop context.Context, u *user, due time.Time, q request, again bool) (exchange, bool) {
	p := r.take(stop)
	if p == nil {
		return exchange{}, false
	}
	now := time.Now()
	if due.IsZero() {
		due = now
	}
	r.collector.began(now, again)
	e := p.do(ctx, r.target, u, q, now)
	e.due = due
	r.free <- p
	return e, true
}

// burst makes requests of one user at once. It returns false if the load is over.
func (r *run) burst(ctx, stop context.Context, u *user, due time.Time, plan []request) bool {
	outcomes := make([]exchange, len(plan))
	going := make([]bool, len(plan))
	var wg sync.WaitGroup
	for i, q := range plan {
		wg.Go(func() {
			b := u.branch()
			defer b.close()
			outcomes[i], going[i] = r.attempt(ctx, stop, b, due, q, false)
		})
	}
	wg.Wait()
	u.baked = time.Time{} // the answers may have set cookies
	r.settleBurst(u, plan, outcomes, going)
	for i := range going {
		if !going[i] || outcomes[i].cut {
			return false
		}
	}
	return true
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
func (r *run) settle(u *user, q request, e *exchange) {
	switch {
	case e.cut:
		r.collector.interrupted()
	case e.class != "":
		r.failed(u, q, e)
	default:
		answer := r.acknowledged(q, e)
		if !r.target.kind.Verified() {
			break
		}
		if v := u.verifier.check(answer, Lost); v != nil {
			r.collector.violated(v, e.due)
		}
	}
}

// settleBurst verifies and notes the outcomes of requests made at once, as far as they were made.
func (r *run) settleBurst(u *user, plan []request, outcomes []exchange, made []bool) {
	var answers []outcome
	for i := range outcomes {
		switch e := &outcomes[i]; {
		case !made[i]:
		case e.cut:
			r.collector.interrupted()
			u.verifier.fail(r.collector.since(e.end), plan[i].action, Closed, true) // the others may show it
		case e.class != "":
			r.failed(u, plan[i], e)
		default:
			answers = append(answers, r.acknowledged(plan[i], e))
		}
	}
	for _, v := range u.verifier.burst(answers) {
		r.collector.violated(v, outcomes[0].due)
	}
}

// failed notes a request without an acknowledged answer.
func (r *run) failed(u *user, q request, e *exchange) {
	// Without a cookie after the failed attempt the user has no session that the visit could have counted in.
	acted := e.sent && u.hasSession(r.target)
	r.collector.failed(u.name, e, acted && q.action.counts())
	u.verifier.fail(r.collector.since(e.end), q.action, e.class, acted)
}

// acknowledged notes an answer and returns it for the verifier.
func (r *run) acknowledged(q request, e *exchange) outcome {
	e.answer.Server = r.collector.acknowledged(e.answer.Server, e)
	return outcome{r.collector.since(e.end), q, e.answer}
}

// report calls progress until the returned function is called, which waits for the last call.
func (r *run) report(progress func(Snapshot)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	planned := r.cfg.plannedRequests()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress(r.snapshot(planned))
			case <-done:
				progress(r.snapshot(planned))
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// inFlight is how many requests can be in flight at most.
func (c Config) inFlight() int {
	return min(c.Concurrency, c.Users*max(1, int(c.Parallel.most())))
}

func (r *run) snapshot(planned int64) Snapshot {
	s := r.collector.snapshot(planned)
	s.Until = r.cfg.until()
	return s
}

// until is when no more requests begin, 0 if only their number ends the load.
func (c Config) until() time.Duration {
	if !c.ramps() {
		return c.Duration
	}
	var all time.Duration
	for _, p := range c.Phases {
		all += time.Duration(p.Duration)
	}
	if c.Duration > 0 {
		return min(all, c.Duration)
	}
	return all
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

// checkFiles makes sure that the load's connections fit under this process's limit of open files.
func checkFiles(cfg Config) error {
	const spare = 32 // standard streams, resolver, the program around us
	need := uint64(cfg.inFlight())
	if cfg.KeepAlive {
		need += uint64(cfg.Users)
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
