package lvsproxy

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// target is a real server of a service whose state a check decides.
type target struct {
	service *service.Service
	addr    netip.AddrPort
	// monitorFile gets each result, under a name; empty means none.
	monitorFile, name string
}

// checks are the running checkers, one for each distinct Spec, and whom their results concern.
type checks struct {
	limit   check.Limit
	publish func([]service.Event)
	// onResult is called with each result, or nil.
	onResult func(virtual config.VirtualID, server netip.AddrPort, r check.Result)
	monitor  *monitor
	log      *slog.Logger
	ctx      context.Context // ends all checkers
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex
	running map[check.Spec]*running
	pending int           // checks that have had no result yet
	first   chan struct{} // closed when pending is 0 for the first time after a set
}

// running is a checker at work. Its fields are guarded by the checks' lock.
type running struct {
	stop    context.CancelFunc
	targets []target
	last    check.Result // its State is Unknown before the first result
	done    bool         // has had a result
}

func newChecks(limit check.Limit, publish func([]service.Event), monitor *monitor, log *slog.Logger) *checks {
	return &checks{limit: limit, publish: publish, monitor: monitor, log: log, running: map[check.Spec]*running{}, first: make(chan struct{})}
}

// start is called once, before set.
func (c *checks) start(ctx context.Context) { c.ctx, c.cancel = context.WithCancel(ctx) }

// stop ends all checkers and waits for them. No result is reported afterwards.
func (c *checks) stop() {
	c.cancel()
	c.wg.Wait()
}

// set has exactly the wanted checks running. Those that are running already go on undisturbed; a new one begins with the
// state that its server has, so that a changed check takes nobody out before it has a result.
func (c *checks) set(wanted map[check.Spec][]target) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for spec, targets := range wanted {
		if r := c.running[spec]; r != nil {
			r.targets = targets
			c.tell(r)
			continue
		}
		if err := c.launch(spec, targets); err != nil {
			return err
		}
	}
	for spec, r := range c.running {
		if wanted[spec] == nil {
			r.stop()
			delete(c.running, spec)
			if !r.done {
				c.pending--
			}
		}
	}
	c.noteFirst()
	return nil
}

func (c *checks) launch(spec check.Spec, targets []target) error {
	r := &running{targets: targets}
	initial := commonState(targets)
	checker, err := check.New(spec, initial, c.limit, func(result check.Result) { c.result(r, result) })
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(c.ctx)
	r.stop = stop
	c.running[spec] = r
	c.pending++
	c.wg.Go(func() { checker.Run(ctx) })
	return nil
}

// commonState returns the state that all targets have, or check.Unknown if they differ: the first result decides then.
func commonState(targets []target) check.State {
	state := targets[0].service.State(targets[0].addr)
	for _, t := range targets[1:] {
		if t.service.State(t.addr) != state {
			return check.Unknown
		}
	}
	return state
}

// result takes a checker's result.
func (c *checks) result(r *running, result check.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[result.Spec] != r {
		return // taken away by a reload while the check was under way
	}
	if result.Streak > 0 {
		c.log.Info("result against the state", "target", result.Spec.Target, "state", result.State, "in_a_row", result.Streak, "reason", result.Reason)
	}
	if !r.done {
		c.pending--
	}
	r.last, r.done = result, true
	for _, t := range r.targets {
		if c.onResult != nil {
			c.onResult(t.service.ID(), t.addr, result)
		}
		if t.monitorFile != "" {
			c.monitor.add(t.monitorFile, monitorText(t.name, result))
		}
	}
	c.tell(r)
	c.noteFirst()
}

// tell passes a check's last result on to its servers.
func (c *checks) tell(r *running) {
	if !r.done {
		return
	}
	for _, t := range r.targets {
		c.publish(t.service.SetState(t.addr, r.last.State, r.last.Reason))
	}
}

// noteFirst closes first once every check has had a result.
func (c *checks) noteFirst() {
	select {
	case <-c.first:
	default:
		if c.pending == 0 {
			close(c.first)
		}
	}
}

// awaitFirst waits until every check has had a result, and reports false if ctx ends before.
func (c *checks) awaitFirst(ctx context.Context) bool {
	select {
	case <-c.first:
		return true
	case <-ctx.Done():
		return false
	}
}
