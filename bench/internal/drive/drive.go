// Package drive puts a closed load on something: clients who each make one visit after the other.
package drive

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// Load is how much of it.
type Load struct {
	Clients int
	Warm    time.Duration // load before the measurement
	Span    time.Duration // the measurement
}

// Outcome is one measurement.
type Outcome struct {
	Latency *hdrhistogram.Histogram // of the visits that lie wholly in the measurement, microseconds
	Seconds float64
}

// Run runs the load. The visit gets a client's number from 0 and does that client's next visit; an error of any visit
// ends the measurement.
func Run(ctx context.Context, l Load, visit func(ctx context.Context, client int) error) (Outcome, error) {
	begin := time.Now().Add(l.Warm)
	end := begin.Add(l.Span)
	all := make([]*hdrhistogram.Histogram, l.Clients)
	group, ctx := errgroup.WithContext(ctx)
	for client := range l.Clients {
		all[client] = figures.Histogram()
		group.Go(func() error {
			for ctx.Err() == nil {
				began := time.Now()
				if began.After(end) {
					return nil
				}
				if err := visit(ctx, client); err != nil {
					return err
				}
				if now := time.Now(); began.After(begin) && !now.After(end) {
					_ = all[client].RecordValue(max(1, now.Sub(began).Microseconds())) // a minute at most
				}
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	out := Outcome{all[0], l.Span.Seconds()}
	for _, h := range all[1:] {
		out.Latency.Merge(h)
	}
	return out, err
}
