package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Result is the outcome of one check.
type Result struct {
	Spec Spec
	// OK tells whether this check succeeded.
	OK bool
	// State is what the server counts as after it, and Changed whether that differs from before.
	State   State
	Changed bool
	// Streak is how many results in a row contradict State, while they are too few to change it.
	Streak int
	// Reason says for people why the check succeeded or failed. It holds nothing of an answer's body.
	Reason string
	// Took is how long the check took.
	Took time.Duration
}

// Limit bounds how many checks run at once over all the checkers that share it. Its capacity is the bound.
type Limit chan struct{}

// NewLimit returns a Limit of n checks at once.
func NewLimit(n int) Limit { return make(Limit, n) }

// Checker runs one check again and again.
type Checker struct {
	spec      Spec
	limit     Limit
	report    func(Result)
	negotiate probe // nil except for negotiate and combined checks
	connect   probe // the one probe of all other types
	streak    streak
	connects  int // connect checks since the last negotiate check, for config.CheckCombined
}

// New returns a checker. It reports every result by calling report, from Run's goroutine. initial is the state to begin
// with: that of a check that this one replaces, or [Unknown]. The error is about the Spec.
func New(spec Spec, initial State, limit Limit, report func(Result)) (*Checker, error) {
	c := &Checker{spec: spec, limit: limit, report: report, streak: streak{state: initial}, connects: spec.Every}
	switch spec.Type {
	case config.CheckNegotiate, config.CheckCombined:
		var err error
		if c.negotiate, err = newNegotiate(spec); err != nil {
			return nil, err
		}
		c.connect = newConnect(spec)
	case config.CheckConnect:
		c.connect = newConnect(spec)
	case config.CheckPing:
		c.connect = newPing(spec)
	case config.CheckExternal, config.CheckExternalPerl:
		c.connect = newExternal(spec)
	case config.CheckOn, config.CheckOff:
	default:
		return nil, fmt.Errorf("check of %s: checktype %q is not supported", spec.Target, spec.Type)
	}
	return c, nil
}

// Run checks almost at once, and then after every interval, until the context ends. A check that has one outcome for ever
// reports it, and that is all.
func (c *Checker) Run(ctx context.Context) {
	if c.runFixed() {
		return
	}
	timer := time.NewTimer(c.firstPause())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !c.once(ctx) {
			return
		}
		timer.Reset(jitter(c.spec.Interval))
	}
}

// runFixed runs a check that has one outcome for ever, and reports whether this is one.
func (c *Checker) runFixed() bool {
	switch c.spec.Type {
	case config.CheckOn:
		c.finish(true, "checktype=on", 0)
	case config.CheckOff:
		c.finish(false, "checktype=off", 0)
	default:
		return false
	}
	return true
}

// once runs one check. It reports false, and no result, if the context ended.
func (c *Checker) once(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case c.limit <- struct{}{}:
	}
	start := time.Now()
	reason, err := c.probe(ctx)
	<-c.limit
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		reason = err.Error()
	}
	c.finish(err == nil, reason, time.Since(start))
	return true
}

func (c *Checker) finish(ok bool, reason string, took time.Duration) {
	changed := c.streak.add(ok, &c.spec)
	c.report(Result{Spec: c.spec, OK: ok, State: c.streak.state, Changed: changed, Streak: c.streak.count, Reason: reason, Took: took})
}

// probe asks the server in the way that is due. With a number N as checktype, a negotiate check comes first, after N
// connect checks, after a failed connect check, and again until it succeeds.
func (c *Checker) probe(ctx context.Context) (reason string, err error) {
	switch c.spec.Type {
	case config.CheckNegotiate:
		return c.negotiate(ctx)
	case config.CheckCombined:
	default:
		return c.connect(ctx)
	}
	if c.connects >= c.spec.Every {
		if reason, err = c.negotiate(ctx); err == nil {
			c.connects = 0
		}
		return reason, err
	}
	if reason, err = c.connect(ctx); err != nil {
		c.connects = c.spec.Every
	} else {
		c.connects++
	}
	return reason, err
}

// firstPause spreads the first checks: over a hundredth of the interval while nothing is known of the server, because
// connections wait for that, else over a tenth.
func (c *Checker) firstPause() time.Duration {
	if c.streak.state == Unknown {
		return rand.N(c.spec.Interval/100 + 1)
	}
	return rand.N(c.spec.Interval/10 + 1)
}

// jitter returns nine to ten tenths of d.
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/10+1)
}
