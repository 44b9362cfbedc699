package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/sessionstore"
)

// Config says how to make a history.
type Config struct {
	// Seed decides what the workers do. How their operations interleave it does not decide, so no run is like another.
	Seed uint64
	// Sessions are the same namespace through each sessiond. Time-outs, tombstone and grace time, and leases must be
	// longer than the run. None may repeat an operation of unknown outcome.
	Sessions []sessionstore.Sessions
	// Workers is how many operations there are at once, Live on how many sessions. Defaults are 12 and 6.
	Workers, Live int
	// Operations is how many are answered at least.
	Operations int
	// Pause is the longest time between two operations of a worker. With none a long run has more operations than it needs.
	Pause time.Duration
	// Disturb, if not nil, breaks things meanwhile. Its progress waits until so many more operations were answered. The run
	// lasts until it returns.
	Disturb func(ctx context.Context, progress func(n int) error) error
}

// Run makes a history: the workers' operations, and in the end two reads of each session through each sessiond.
func Run(ctx context.Context, c Config) (*History, error) {
	if len(c.Sessions) == 0 {
		return nil, errors.New("linear: nothing to operate on")
	}
	if c.Workers == 0 {
		c.Workers = 12
	}
	if c.Live == 0 {
		c.Live = 6
	}
	h := newHistory(c.Seed)
	stage := newStage(c.Live)
	var payloads atomic.Uint64
	var answered atomic.Int64
	stop := make(chan struct{})
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(stop)
		return disturb(working, c, &answered)
	})
	for i := range c.Workers {
		w := &worker{
			number: i, rand: rand.New(rand.NewPCG(c.Seed, uint64(i))), history: h, stage: stage, sessions: c.Sessions,
			payloads: &payloads, answered: &answered, leases: map[*subject]uint64{},
		}
		group.Go(func() error { return w.loop(working, c.Pause, stop) })
	}
	if err := group.Wait(); err != nil {
		return h, fmt.Errorf("linear: seed %d: %w", c.Seed, err)
	}
	if err := lastReads(ctx, c, h, stage.all()); err != nil {
		return h, fmt.Errorf("linear: seed %d: last reads: %w", c.Seed, err)
	}
	return h, nil
}

// lastReads reads each session through each sessiond, by its first and by its last id, until that is answered.
func lastReads(ctx context.Context, c Config, h *History, subjects []*subject) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.Workers)
	for i, s := range subjects {
		group.Go(func() error {
			w := &worker{number: c.Workers + i%c.Workers, history: h, answered: new(atomic.Int64)}
			for _, at := range c.Sessions {
				for _, id := range []string{s.ids[0], s.ids[len(s.ids)-1]} {
					if err := w.lastRead(ctx, s, at, id); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// lastRead reads until the outcome is known.
func (w *worker) lastRead(ctx context.Context, s *subject, at sessionstore.Sessions, id string) error {
	for {
		o := Operation{Kind: Read, Session: s.name}
		call := w.history.now()
		got, err := perform(ctx, at, id, o, nil)
		if class, _ := classify(err); class != Unknown || ctx.Err() != nil {
			return errors.Join(w.record(s, o, got, err, call), ctx.Err())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// disturb waits for the run's operations, and has things broken meanwhile.
func disturb(ctx context.Context, c Config, answered *atomic.Int64) error {
	until := func(goal int64) error {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for answered.Load() < goal {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("%d of %d operations were answered: %w", answered.Load(), goal, ctx.Err())
			}
		}
		return nil
	}
	if c.Disturb != nil {
		if err := c.Disturb(ctx, func(n int) error { return until(answered.Load() + int64(n)) }); err != nil {
			return err
		}
	}
	return until(int64(c.Operations))
}

// loop works until stop is closed.
func (w *worker) loop(ctx context.Context, pause time.Duration, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := w.work(ctx); err != nil {
			return err
		}
		if pause > 0 {
			select {
			case <-time.After(time.Duration(w.rand.Int64N(int64(pause)))):
			case <-stop:
			}
		}
	}
}
