package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// outcome is what became of requests that were sent at once.
type outcome struct {
	total  time.Duration   // until the last one had its answer
	waits  []time.Duration // of each that did
	failed int             // that had none, and changes that were lost
}

// burst sends one request on each of the side's connections at once.
func burst(ctx context.Context, s *side, hold time.Duration) (o outcome, err error) {
	before, err := s.count(ctx)
	if err != nil {
		return o, fmt.Errorf("count before: %w", err)
	}
	waits := make([]time.Duration, len(s.clients))
	errs := make([]error, len(s.clients))
	var ready, done sync.WaitGroup
	var began time.Time
	start := make(chan struct{})
	for i, c := range s.clients {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			errs[i] = c.request(ctx, hold)
			waits[i] = time.Since(began)
		})
	}
	ready.Wait()
	began = time.Now()
	close(start)
	done.Wait()
	o.total = time.Since(began)
	for i, err := range errs {
		if err == nil {
			o.waits = append(o.waits, waits[i])
		}
	}
	after, err := s.count(ctx)
	if err != nil {
		return o, fmt.Errorf("count after: %w", err)
	}
	o.failed = len(s.clients) - (after - before - 1) // counting is a request too
	if o.failed < 0 || o.failed < len(s.clients)-len(o.waits) {
		return o, fmt.Errorf("%d of %d requests succeeded, and the count grew from %d to %d", len(o.waits), len(s.clients), before, after)
	}
	if len(o.waits) == 0 {
		return o, fmt.Errorf("every request failed: %w", errs[0])
	}
	return o, nil
}
