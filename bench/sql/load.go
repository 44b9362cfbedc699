package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/sessionstore"
)

const (
	idle     = 24 * time.Minute // the sessions' idle time-out
	coarsely = idle / 12        // what a coarse touch may leave
	leaseFor = 30 * time.Second
)

// visit is one request's use of a session. The session must be as this client left it: each client has sessions of its
// own, so a refusal is a bug of the store and ends the measurement.
type visit func(ctx context.Context, s side, client int, key sessionstore.Key, payload []byte) error

// mix is a kind of load.
type mix struct {
	name  string
	what  string
	visit visit
	// Targets at full concurrency: how many times the reference's rate, and what part of its p99. 0 means none.
	rate, p99 float64
}

var mixes = []mix{
	{"read", "read", read, 6, 1. / 5},
	{"cycle", "read, then write", cycle, 2.5, 1. / 2},
	{"php", "read, then touch, one in ten writes", php(0), 5, 0},
	{"coarse", "the same, ours with coarse touches", php(coarsely), 0, 0},
	{"lease", "lock, read, write, unlock", lease, 0, 0},
}

func find(name string) (mix, bool) {
	for _, m := range mixes {
		if m.name == name {
			return m, true
		}
	}
	return mix{}, false
}

func read(ctx context.Context, s side, client int, key sessionstore.Key, _ []byte) error {
	_, err := s.read(ctx, client, key)
	return err
}

func cycle(ctx context.Context, s side, client int, key sessionstore.Key, payload []byte) error {
	version, err := s.read(ctx, client, key)
	if err != nil {
		return err
	}
	return s.write(ctx, client, key, version, payload)
}

func php(coarse time.Duration) visit {
	return func(ctx context.Context, s side, client int, key sessionstore.Key, payload []byte) error {
		version, err := s.read(ctx, client, key)
		if err != nil {
			return err
		}
		if rand.IntN(10) == 0 {
			return s.write(ctx, client, key, version, payload)
		}
		return s.touch(ctx, client, key, coarse)
	}
}

func lease(ctx context.Context, s side, client int, key sessionstore.Key, payload []byte) error {
	token, err := s.lock(ctx, client, key)
	if err != nil {
		return err
	}
	version, err := s.read(ctx, client, key)
	if err != nil {
		return err
	}
	return s.writeLast(ctx, client, key, version, token, payload)
}

// key returns the key of a session by its number.
func key(n int) sessionstore.Key { return sessionstore.NewKey("bench", fmt.Sprintf("session%020d", n)) }

// load writes all sessions, each once under a lease, so that there are rows to change.
func (o options) load(ctx context.Context, s *ours) error {
	group, ctx := errgroup.WithContext(ctx)
	for client := range o.clients {
		group.Go(func() error {
			payload := figures.Payload(o.payload)
			for n := client; n < o.sessions; n += o.clients {
				figures.Renew(payload)
				w := sessionstore.Write{Payload: payload, Idle: idle, IfVersion: sessionstore.AnyVersion}
				if _, err := s.store.Write(ctx, key(n), w); err != nil {
					return err
				}
				if err := lease(ctx, s, client, key(n), payload); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// outcome is one measurement.
type outcome struct {
	latency *hdrhistogram.Histogram // microseconds
	seconds float64
	cpu     usage
	lasted  time.Duration
	visits  int64 // that cpu was used for: those of the warm-up too
}

// apply puts one side under load.
func (o options) apply(ctx context.Context, s side, m mix, clients int) (outcome, error) {
	before, visits := used(o.nodesOf), atomic.Int64{}
	start := time.Now()
	begin := start.Add(o.warm)
	end := begin.Add(o.span)
	all := make([]*hdrhistogram.Histogram, clients)
	group, ctx := errgroup.WithContext(ctx)
	for client := range clients {
		all[client] = figures.Histogram()
		group.Go(func() error {
			payload := figures.Payload(o.payload)
			own := (o.sessions - client + o.clients - 1) / o.clients
			for {
				figures.Renew(payload)
				began := time.Now()
				if began.After(end) {
					return nil
				}
				if err := m.visit(ctx, s, client, key(client+o.clients*rand.IntN(own)), payload); err != nil {
					return err
				}
				visits.Add(1)
				if now := time.Now(); began.After(begin) && !now.After(end) {
					_ = all[client].RecordValue(max(1, now.Sub(began).Microseconds())) // a minute at most
				}
			}
		})
	}
	err := group.Wait()
	out := outcome{all[0], o.span.Seconds(), used(o.nodesOf).minus(before), time.Since(start), visits.Load()}
	for _, h := range all[1:] {
		out.latency.Merge(h)
	}
	return out, err
}
