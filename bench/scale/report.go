package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/sessionstore"
)

// column is the figures of one kind of measurement.
type column struct{ reads, writes, all figures.Latency }

func (c *column) add(l latencies, seconds float64) {
	c.reads.Add(l.reads, seconds)
	c.writes.Add(l.writes, seconds)
	c.all.Add(l.all, seconds)
}

// table makes a table of two columns and the ratios of the second to the first.
func table(first, second string, a, b *column, aim float64) figures.Table {
	t := figures.Table{Labels: []string{"ms"}, Figures: []string{first, second, "ratio"}}
	row := func(what string, x, y figures.Samples) { t.Add([]string{what}, x, y, y.Over(x)) }
	row("read p50", a.reads.P50, b.reads.P50)
	row("read p99", a.reads.P99, b.reads.P99)
	row("write p50", a.writes.P50, b.writes.P50)
	row("write p99", a.writes.P99, b.writes.P99)
	ratio := b.all.P99.Over(a.all.P99)
	if aim != 0 {
		ratio = ratio.Most(aim)
	}
	t.Add([]string{"all p99"}, a.all.P99, b.all.P99, ratio)
	return t
}

// compare measures few and many sessions by turns.
func (o options) compare(ctx context.Context, sheet *figures.Sheet, few, many *population) error {
	var a, b column
	turns := []struct {
		population *population
		column     *column
	}{{few, &a}, {many, &b}}
	for round := -1; round < o.rounds; round++ { // the first one warms up
		for i := range turns {
			t := turns[(i+max(0, round))%2]
			l, err := o.drive(ctx, t.population)
			if err != nil {
				return err
			}
			if round >= 0 {
				t.column.add(l, o.span.Seconds())
			}
		}
	}
	sheet.Tables = append(sheet.Tables, table(fmt.Sprintf("%d sessions", few.live), fmt.Sprintf("%d sessions", many.live), &a, &b, 0))
	return nil
}

// collect measures without and with collection by turns, until nothing is left to be collected.
func (o options) collect(ctx context.Context, sheet *figures.Sheet, p *population) error {
	if o.expired == 0 {
		return nil
	}
	if err := o.fill(ctx, p, true); err != nil {
		return err
	}
	svc, err := sessionstore.NewService(p.store, sessionstore.DefaultPolicy(), nil)
	if err != nil {
		return err
	}
	users := &population{store: svc.Store(), live: p.live} // collection follows what it does to them
	var before, during column
	removed, spent := 0, time.Duration(0)
	for turn := 0; removed < o.expired && turn < 200; turn++ {
		l, err := o.drive(ctx, users)
		if err != nil {
			return err
		}
		g := startCollector(ctx, svc)
		began := time.Now()
		with, err := o.drive(ctx, users)
		spent += time.Since(began)
		n, collectErr := g.stop()
		if err := errors.Join(err, collectErr); err != nil {
			return err
		}
		removed += n
		if removed < o.expired || turn == 0 { // the last turn may have had nothing to do
			before.add(l, o.span.Seconds())
			during.add(with, o.span.Seconds())
		}
	}
	sheet.Tables = append(sheet.Tables, table("without collection", "during collection", &before, &during, 1.25))
	sheet.Note("collected %d of %d expired sessions in %.0f s: %.0f a second", removed, o.expired, spent.Seconds(), float64(removed)/spent.Seconds())
	return nil
}

// collector runs collection over and over until it is stopped.
type collector struct {
	cancel  context.CancelFunc
	done    chan struct{}
	removed int
	err     error
}

func startCollector(ctx context.Context, svc *sessionstore.Service) *collector {
	ctx, cancel := context.WithCancel(ctx)
	c := &collector{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for ctx.Err() == nil && c.err == nil {
			var n int
			n, c.err = svc.GC(ctx)
			c.removed += n
		}
	}()
	return c
}

func (c *collector) stop() (removed int, err error) {
	c.cancel()
	<-c.done
	if errors.Is(c.err, context.Canceled) {
		c.err = nil
	}
	return c.removed, c.err
}
