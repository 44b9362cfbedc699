// Command sql measures the store in MySQL NDB Cluster against one statement an operation, which is what a careful
// PdoSessionHandler would do: the same operations on the same rows, by the same SQL nodes, over as many connections as
// there are clients.
//
//	go run ./bench/sql
//
// Without --dsn it starts a cluster on loopback and removes it afterwards. Both sides take turns in every round; figures
// are medians over the rounds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/visits"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

type options struct {
	visits.Options
	dsns    figures.List
	profile string
}

func main() {
	command.Main("sql", func(ctx context.Context) error {
		o, err := parse()
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	flag.Var(&o.dsns, "dsn", "DSN of an SQL node, of which the database gets the schema and the sessions; repeat it for each node")
	o.Rounds, o.Span, o.Warm = 3, 3*time.Second, time.Second/2
	o.Flags(flag.CommandLine)
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of our side's concurrent measurements to this file")
	flag.IntVar(&o.NodesOf, "nodes-of", os.Getpid(), "with --dsn: the process that started the nodes, so that their CPU time is told")
	flag.Parse()
	return o, o.Check()
}

func (o options) run(ctx context.Context) error {
	dsns := []string(o.dsns)
	if len(dsns) == 0 {
		dir, err := os.MkdirTemp("", "lvsession-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		cluster, err := ndbcluster.StartDir(ctx, dir, ndbcluster.Options{})
		if err != nil {
			return err
		}
		defer cluster.Stop()
		dsns = cluster.DSNs()
	}
	if err := install(ctx, dsns[0]); err != nil {
		return err
	}
	ours, err := visits.OpenStore(ctx, dsns)
	if err != nil {
		return err
	}
	defer ours.Close()
	reference, err := visits.OpenReference(dsns, o.Clients)
	if err != nil {
		return err
	}
	defer reference.Close()
	if err := o.Load(ctx, ours); err != nil {
		return fmt.Errorf("load sessions: %w", err)
	}
	results, err := o.measure(ctx, reference, ours)
	if err != nil {
		return err
	}
	return command.Publish(figures.Sheet{
		Name: "sql", About: fmt.Sprintf("%d sessions of %d bytes, %d rounds of %v", o.Sessions, o.Payload, o.Rounds, o.Span),
		Tables: []figures.Table{tabulate(results)},
	})
}

func install(ctx context.Context, dsn string) error {
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, _, err = schema.Apply(ctx, db, schema.NDB)
	return err
}

// measure runs every mix, alone and with all clients, on both sides by turns.
func (o options) measure(ctx context.Context, reference, ours visits.Side) ([]*result, error) {
	var results []*result
	for _, m := range o.Wanted() {
		for _, clients := range []int{o.Clients, 1} {
			results = append(results, &result{mix: m, clients: clients})
		}
	}
	stop := func() {}
	defer func() { stop() }()
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		stop = func() { pprof.StopCPUProfile(); file.Close() }
	}
	for round := range o.Rounds {
		for _, r := range results {
			turns := []turn{{reference, &r.reference, &r.referenceCPU}, {ours, &r.ours, &r.oursCPU}}
			if round%2 == 1 {
				turns[0], turns[1] = turns[1], turns[0]
			}
			for _, t := range turns {
				out, err := o.Apply(ctx, t.side, r.mix, r.clients)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", r.mix.Name, err)
				}
				t.latency.Add(out.Latency, out.Seconds)
				t.cpu.Add(out)
			}
			fmt.Fprintf(os.Stderr, "round %d: %s, %d clients: %s and %s a second\n", round+1, r.mix.Name, r.clients,
				figures.Number(r.reference.Rate[round]), figures.Number(r.ours.Rate[round]))
		}
	}
	return results, nil
}

type turn struct {
	side    visits.Side
	latency *figures.Latency
	cpu     *visits.CPU
}
