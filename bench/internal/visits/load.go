package visits

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
type visit func(ctx context.Context, s Side, client int, key sessionstore.Key, payload []byte) error

// Mix is a kind of load.
type Mix struct {
	Name  string
	What  string
	begin func() visit // of one client's visits
	// Targets at full concurrency: how many times the reference's rate, and what part of its p99. 0 means none.
	Rate, P99 float64
}

// Mixes are all that can be measured.
var Mixes = []Mix{
	{"read", "read", always(read), 6, 1. / 5},
	{"write", "write", write, 0, 0},
	{"cycle", "read, then write", always(cycle), 2.5, 1. / 2},
	{"php", "read, then touch, one in ten writes", always(php(0)), 5, 0},
	{"coarse", "the same, ours with coarse touches", always(php(coarsely)), 0, 0},
	{"lease", "lock, read, write, unlock", always(lease), 0, 0},
}

// Find returns the mix of a name.
func Find(name string) (Mix, bool) {
	for _, m := range Mixes {
		if m.Name == name {
			return m, true
		}
	}
	return Mix{}, false
}

// always is for visits that need nothing of those before.
func always(v visit) func() visit { return func() visit { return v } }

// write begins visits that write, and read only a session's version before its first write.
func write() visit {
	versions := map[sessionstore.Key]uint64{}
	return func(ctx context.Context, s Side, client int, key sessionstore.Key, payload []byte) (err error) {
		version, known := versions[key]
		if !known {
			if version, err = s.read(ctx, client, key); err != nil {
				return err
			}
		}
		versions[key] = version + 1
		return s.write(ctx, client, key, version, payload)
	}
}

func read(ctx context.Context, s Side, client int, key sessionstore.Key, _ []byte) error {
	_, err := s.read(ctx, client, key)
	return err
}

func cycle(ctx context.Context, s Side, client int, key sessionstore.Key, payload []byte) error {
	version, err := s.read(ctx, client, key)
	if err != nil {
		return err
	}
	return s.write(ctx, client, key, version, payload)
}

func php(coarse time.Duration) visit {
	return func(ctx context.Context, s Side, client int, key sessionstore.Key, payload []byte) error {
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

func lease(ctx context.Context, s Side, client int, key sessionstore.Key, payload []byte) error {
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

// Key returns the key of a session by its number.
func Key(n int) sessionstore.Key { return sessionstore.NewKey("bench", fmt.Sprintf("session%020d", n)) }

// Load writes all sessions, each once under a lease, so that there are rows to change.
func (o Options) Load(ctx context.Context, s *Ours) error {
	group, ctx := errgroup.WithContext(ctx)
	for client := range o.Clients {
		group.Go(func() error {
			payload := figures.Payload(o.Payload)
			for n := client; n < o.Sessions; n += o.Clients {
				figures.Renew(payload)
				w := sessionstore.Write{Payload: payload, Idle: idle, IfVersion: sessionstore.AnyVersion}
				if _, err := s.Store.Write(ctx, Key(n), w); err != nil {
					return err
				}
				if err := lease(ctx, s, client, Key(n), payload); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// Options are the size of a load, and of which mixes it is.
type Options struct {
	Only                       figures.List // names of mixes; empty for all
	Rounds                     int
	Sessions, Payload, Clients int
	Warm, Span                 time.Duration
	NodesOf                    int // the process that started the cluster's nodes
}

// Flags adds the flags that tell the options, with the defaults that they have already for rounds and times.
func (o *Options) Flags(f *flag.FlagSet) {
	names := make([]string, len(Mixes))
	for i, m := range Mixes {
		names[i] = m.Name
	}
	f.Var(&o.Only, "mix", "measure only this mix ("+strings.Join(names, ", ")+"); may be repeated")
	f.IntVar(&o.Sessions, "sessions", 10_000, "sessions in the store")
	f.IntVar(&o.Payload, "payload", 2048, "bytes of a payload")
	f.IntVar(&o.Clients, "clients", 256, "concurrent clients, beside the measurements with one")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds; figures are medians over them")
	f.DurationVar(&o.Span, "span", o.Span, "length of one measurement")
	f.DurationVar(&o.Warm, "warm", o.Warm, "load before each measurement")
}

// Check returns what is wrong with the options.
func (o Options) Check() error {
	if o.Rounds < 1 || o.Span <= 0 || o.Warm < 0 || o.Clients < 1 || o.Sessions < o.Clients || o.Payload < 1 || o.Payload > 29_000 {
		return errors.New("rounds, span, clients, sessions or payload are out of range")
	}
	for _, name := range o.Only {
		if _, ok := Find(name); !ok {
			return fmt.Errorf("there is no mix %q", name)
		}
	}
	return nil
}

// Wanted returns the mixes to be measured.
func (o Options) Wanted() (list []Mix) {
	for _, m := range Mixes {
		if len(o.Only) == 0 || slices.Contains(o.Only, m.Name) {
			list = append(list, m)
		}
	}
	return list
}

// Outcome is one measurement.
type Outcome struct {
	Latency *hdrhistogram.Histogram // microseconds
	Seconds float64
	CPU     Usage
	Lasted  time.Duration
	Visits  int64 // that cpu was used for: those of the warm-up too
}

// Apply puts one side under load.
func (o Options) Apply(ctx context.Context, s Side, m Mix, clients int) (Outcome, error) {
	before, visits := used(o.NodesOf), atomic.Int64{}
	start := time.Now()
	begin := start.Add(o.Warm)
	end := begin.Add(o.Span)
	all := make([]*hdrhistogram.Histogram, clients)
	group, ctx := errgroup.WithContext(ctx)
	for client := range clients {
		all[client] = figures.Histogram()
		group.Go(func() error {
			payload, visit := figures.Payload(o.Payload), m.begin()
			own := (o.Sessions - client + o.Clients - 1) / o.Clients
			for {
				figures.Renew(payload)
				began := time.Now()
				if began.After(end) {
					return nil
				}
				if err := visit(ctx, s, client, Key(client+o.Clients*rand.IntN(own)), payload); err != nil {
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
	out := Outcome{all[0], o.Span.Seconds(), used(o.NodesOf).minus(before), time.Since(start), visits.Load()}
	for _, h := range all[1:] {
		out.Latency.Merge(h)
	}
	return out, err
}
