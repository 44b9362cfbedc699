package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/sessionstore"
)

// fillers is how many store sessions at once.
const fillers = 256

// population is the sessions of a store.
type population struct {
	store sessionstore.Store
	live  int
}

func (p *population) key(n int, expired bool) sessionstore.Key {
	kind := "live"
	if expired {
		kind = "late"
	}
	return sessionstore.NewKey("scale", fmt.Sprintf("%s%020d", kind, n))
}

// fill stores the live sessions, or as many as are to be collected.
func (o options) fill(ctx context.Context, p *population, expired bool) error {
	total, idle := p.live, 24*time.Hour
	if expired {
		total, idle = o.expired, time.Millisecond
	}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range fillers {
		group.Go(func() error {
			payload := figures.Payload(o.payload)
			for {
				n := int(next.Add(1)) - 1
				if n >= total {
					return nil
				}
				if n > 0 && n%500_000 == 0 {
					fmt.Fprintf(os.Stderr, "%d of %d stored\n", n, total)
				}
				figures.Renew(payload)
				if err := store(ctx, p.store, p.key(n, expired), payload, idle); err != nil {
					return fmt.Errorf("store session %d of %d: %w", n+1, total, err)
				}
			}
		})
	}
	return group.Wait()
}

// store writes a session, again and again for as long as the store cannot keep up with this.
func store(ctx context.Context, s sessionstore.Store, key sessionstore.Key, payload []byte, idle time.Duration) error {
	for try := 0; ; try++ {
		_, err := s.Write(ctx, key, sessionstore.Write{Payload: payload, Idle: idle, IfVersion: sessionstore.AnyVersion})
		if !errors.Is(err, sessionstore.ErrUnavailable) || try == 100 {
			return err
		}
		select {
		case <-time.After(100*time.Millisecond + rand.N(400*time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// latencies of one measurement, in microseconds from when an operation was due.
type latencies struct{ reads, writes, all *hdrhistogram.Histogram }

func newLatencies() latencies {
	return latencies{figures.Histogram(), figures.Histogram(), figures.Histogram()}
}

// drive puts a population under the load for one measurement.
func (o options) drive(ctx context.Context, p *population) (latencies, error) {
	began := time.Now()
	interval := time.Second / time.Duration(o.rate)
	total := int64(o.span / interval)
	var next atomic.Int64
	var mu sync.Mutex
	sum := newLatencies()
	group, ctx := errgroup.WithContext(ctx)
	for range o.clients {
		group.Go(func() error {
			own := newLatencies()
			payload := figures.Payload(o.payload)
			for n := next.Add(1) - 1; n < total; n = next.Add(1) - 1 {
				due := began.Add(time.Duration(n) * interval)
				time.Sleep(time.Until(due))
				if err := o.operate(ctx, p, payload, due, own); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sum.reads.Merge(own.reads)
			sum.writes.Merge(own.writes)
			sum.all.Merge(own.all)
			return nil
		})
	}
	return sum, group.Wait()
}

func (o options) operate(ctx context.Context, p *population, payload []byte, due time.Time, l latencies) (err error) {
	key := p.key(rand.IntN(p.live), false)
	kind := l.reads
	if rand.IntN(2) == 0 {
		_, err = p.store.Read(ctx, key)
	} else {
		kind = l.writes
		figures.Renew(payload)
		_, err = p.store.Write(ctx, key, sessionstore.Write{Payload: payload, Idle: 24 * time.Hour, IfVersion: sessionstore.AnyVersion})
	}
	if err != nil {
		return err
	}
	took := max(1, time.Since(due).Microseconds())
	_ = kind.RecordValue(took) // a minute at most
	_ = l.all.RecordValue(took)
	return nil
}
