// Command service measures sessiond from outside, in a process of its own, over kept connections. On the embedded store,
// with --sync always and everysec, it stands next to Redis with appendfsync always and everysec, which promise about as much;
// on MySQL NDB Cluster there are two of it; and on the cluster's NDB API, where the rig finds it, one for tables that are
// logged to disk and one for tables that are not, next to Redis with appendfsync everysec. Then redis-benchmark is a load too.
//
//	go run ./bench/service
//	go run ./bench/service --store ndb
//	go run ./bench/service --store ndbapi
//
// All sides get the same load from equally cheap clients and take turns in every round; figures are medians over the
// rounds. Servers, load and disk are those of one machine, so a server that needs less processor leaves more to the load.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/drive"
	"github.com/lvsession/lvsession/bench/internal/figures"
)

type options struct {
	store    string
	mixes    figures.List
	clients  []int
	sessions int
	payload  int
	rounds   int
	span     time.Duration
	warm     time.Duration
	dir      string
}

func main() {
	command.Main("service", func(ctx context.Context) error {
		o, err := parse()
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	var clients figures.List
	flag.StringVar(&o.store, "store", "embedded", "measure sessiond on the store embedded, next to Redis, two sessiond on ndb, or on ndbapi, next to Redis")
	flag.Var(&o.mixes, "mix", "measure only this mix (mixed, cycle, php); may be repeated")
	flag.Var(&clients, "clients", "concurrent clients; may be repeated; default 1, 64 and 256")
	flag.IntVar(&o.sessions, "sessions", 10_000, "sessions in the store")
	flag.IntVar(&o.payload, "payload", 2048, "bytes of a payload")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; figures are medians over them")
	flag.DurationVar(&o.span, "span", 2*time.Second, "length of one measurement")
	flag.DurationVar(&o.warm, "warm", time.Second/2, "load before each measurement")
	flag.StringVar(&o.dir, "dir", "", "where the servers keep their files, on the kind of disk that counts; default: a new temporary folder")
	flag.Parse()
	if o.clients, err = counts(clients); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.span <= 0 || o.warm < 0 || o.sessions < 1 || o.payload < 1 || o.payload > 1<<20 {
		return o, errors.New("rounds, span, warm, sessions or payload are out of range")
	}
	for _, name := range o.mixes {
		if _, ok := find(name); !ok {
			return o, fmt.Errorf("there is no mix %q", name)
		}
	}
	return o, nil
}

func counts(list figures.List) (clients []int, err error) {
	if len(list) == 0 {
		return []int{1, 64, 256}, nil
	}
	for _, text := range list {
		var n int
		if _, err := fmt.Sscanf(text, "%d", &n); err != nil || n < 1 || n > 10_000 {
			return nil, fmt.Errorf("%q clients", text)
		}
		clients = append(clients, n)
	}
	return clients, nil
}

func (o options) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(o.dir, "service-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	u := &setup{dir: dir}
	defer u.stop()
	switch o.store {
	case "embedded":
		err = u.embedded(ctx)
	case "ndb":
		err = u.ndb(ctx)
	case "ndbapi":
		err = u.ndbapi(ctx)
	default:
		err = fmt.Errorf("--store %q: there are embedded, ndb and ndbapi", o.store)
	}
	if err != nil {
		return err
	}
	for _, s := range u.sides {
		if err := o.prepare(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	results, err := o.measure(ctx, u.sides)
	if err != nil {
		return err
	}
	sheet := figures.Sheet{
		Name: "service", About: fmt.Sprintf("%d sessions of %d bytes, %d rounds of %v", o.sessions, o.payload, o.rounds, o.span),
		Tables: []figures.Table{tabulate(results)},
	}
	if o.store == "ndbapi" {
		outside, err := o.measureOutside(ctx, u.sides)
		if err != nil {
			return err
		}
		sheet.Tables = append(sheet.Tables, outside)
	}
	return command.Publish(sheet)
}

// prepare connects all clients of a side and stores the sessions.
func (o options) prepare(ctx context.Context, s *side) error {
	most := 0
	for _, n := range o.clients {
		most = max(most, n)
	}
	for n := range most {
		c, err := s.dial(ctx, n)
		if err != nil {
			return err
		}
		s.clients = append(s.clients, c)
	}
	return o.fill(ctx, s)
}

// measure runs every mix at every concurrency on all sides by turns.
func (o options) measure(ctx context.Context, sides []*side) ([]*result, error) {
	var results []*result
	for _, m := range mixes {
		if len(o.mixes) > 0 && !o.wants(m.name) {
			continue
		}
		for _, clients := range o.clients {
			r := &result{mix: m, clients: clients}
			for _, s := range sides {
				r.sides = append(r.sides, &figuresOf{side: s})
			}
			results = append(results, r)
		}
	}
	for round := range o.rounds {
		for _, r := range results {
			for i := range sides {
				f := r.sides[(i+round)%len(sides)]
				if err := o.one(ctx, r, f); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", f.side.name, r.mix.name, err)
				}
			}
			fmt.Fprintf(os.Stderr, "round %d: %s, %d clients\n", round+1, r.mix.name, r.clients)
		}
	}
	return results, nil
}

// one measures one side once.
func (o options) one(ctx context.Context, r *result, f *figuresOf) error {
	visit := o.visits(f.side, r.mix, r.clients)
	before := f.side.processor()
	out, err := drive.Run(ctx, drive.Load{Clients: r.clients, Warm: o.warm, Span: o.span}, visit)
	if err != nil {
		return err
	}
	f.latency.Add(out.Latency, out.Seconds)
	// The warming up counts in both.
	visits := float64(out.Latency.TotalCount()) * (o.warm + o.span).Seconds() / o.span.Seconds()
	f.processor.Add(float64((f.side.processor() - before).Microseconds()) / visits)
	return nil
}

func (o options) wants(mix string) bool {
	for _, name := range o.mixes {
		if name == mix {
			return true
		}
	}
	return false
}
