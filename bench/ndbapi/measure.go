package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/visits"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

// unlogged is NDB with tables that are not logged to disk.
const unlogged = "NDB, unlogged"

// install makes a database with the tables, and returns the DSNs that name it.
func install(ctx context.Context, dsns []string, name, engine string) (own []string, err error) {
	for i, dsn := range dsns {
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			if err := create(ctx, dsn, name); err != nil {
				return nil, err
			}
		}
		cfg.DBName = name
		own = append(own, cfg.FormatDSN())
	}
	db, err := ndb.OpenDB(own[0])
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return own, apply(ctx, db, engine)
}

func create(ctx context.Context, dsn, name string) error {
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
	return err
}

// result is what was measured of one mix at one concurrency.
type result struct {
	mix     visits.Mix
	clients int
	sides   []*figures.Latency // reference, SQL, NDB API
	cpu     []*visits.CPU
	best    figures.Samples // of the yardstick, rows a second
	alone   figures.Samples // its time for one row, in ms
}

var sideNames = []string{"one statement each", "store by SQL", "store by NDB API"}

// mode is the yardstick's for a mix, "" where it has none.
var mode = map[string]string{"read": "read", "write": "write", "cycle": "cycle"}

func (o options) measure(ctx context.Context, r *rig) ([]*result, error) {
	var results []*result
	for _, m := range o.Wanted() {
		for _, clients := range []int{o.Clients, 1} {
			x := &result{mix: m, clients: clients}
			for range sideNames {
				x.sides, x.cpu = append(x.sides, &figures.Latency{}), append(x.cpu, &visits.CPU{})
			}
			results = append(results, x)
		}
	}
	for round := range o.Rounds {
		for _, x := range results {
			if err := o.turn(ctx, r, x, round); err != nil {
				return nil, fmt.Errorf("%s: %w", x.mix.Name, err)
			}
		}
	}
	return results, nil
}

// turn measures all sides of a mix once, in another order each round.
func (o options) turn(ctx context.Context, r *rig, x *result, round int) error {
	sides := []visits.Side{r.reference, r.sql, r.api}
	for i := range sides {
		i = (i + round) % len(sides)
		stop, err := o.profiling(i == 2 && x.clients > 1)
		if err != nil {
			return err
		}
		out, err := o.Apply(ctx, sides[i], x.mix, x.clients)
		if stop(); err != nil {
			return fmt.Errorf("%s: %w", sideNames[i], err)
		}
		x.sides[i].Add(out.Latency, out.Seconds)
		x.cpu[i].Add(out)
	}
	fmt.Fprintf(os.Stderr, "round %d: %s, %d clients: %s, %s, %s a second\n", round+1, x.mix.Name, x.clients,
		figures.Number(x.sides[0].Rate[round]), figures.Number(x.sides[1].Rate[round]), figures.Number(x.sides[2].Rate[round]))
	mode := mode[x.mix.Name]
	if mode == "" {
		return nil
	}
	threads, batch := o.threads, o.batch
	if x.clients == 1 {
		threads, batch = 1, 1
	}
	rate, p50, err := r.yardstick.run(ctx, mode, threads, batch)
	x.best.Add(rate)
	x.alone.Add(p50)
	return err
}

// profiling begins a CPU profile if that is wanted; the last one of the run stays.
func (o options) profiling(on bool) (stop func(), err error) {
	if !on || o.profile == "" {
		return func() {}, nil
	}
	file, err := os.Create(o.profile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); file.Close() }, nil
}

// tabulate makes the table of one engine, with the ratios of the store on the NDB API and their aims.
func tabulate(engine string, results []*result) figures.Table {
	t := figures.Table{
		Labels:  []string{engine + ": visit", "clients", "side"},
		Figures: []string{"visits/s", "p50 ms", "p99 ms", "CPU µs: load", "SQL nodes", "data nodes", "cores"},
	}
	for _, x := range results {
		labels := func(side string) []string { return []string{x.mix.What, fmt.Sprint(x.clients), side} }
		for i, name := range sideNames {
			t.Add(labels(name), append([]any{x.sides[i].Rate, x.sides[i].P50, x.sides[i].P99}, x.cpu[i].Cells()...)...)
		}
		if len(x.best) > 0 {
			t.Add(labels("yardstick in C++"), x.best, x.alone)
		}
		api := x.sides[2]
		rate, p50, p99 := x.aims(engine, api)
		t.Add(labels("NDB API : one statement"), rate, p50, p99)
		t.Add(labels("NDB API : store by SQL"), api.Rate.Over(x.sides[1].Rate), api.P50.Over(x.sides[1].P50), api.P99.Over(x.sides[1].P99))
		if len(x.best) > 0 && x.clients > 1 {
			t.Add(labels("NDB API : yardstick"), api.Rate.Over(x.best).Least(0.7))
		}
	}
	return t
}

// aims are the ratios of the store on the NDB API to one statement an operation, with what they should be.
func (x *result) aims(engine string, api *figures.Latency) (rate, p50, p99 figures.Ratio) {
	rate, p50, p99 = api.Rate.Over(x.sides[0].Rate), api.P50.Over(x.sides[0].P50), api.P99.Over(x.sides[0].P99)
	switch {
	case x.clients == 1:
		p50 = p50.Most(0.6)
	case x.mix.Name == "read":
		rate = rate.Least(15)
	case x.mix.Name == "cycle" && engine == schema.NDB:
		rate = rate.Least(4)
	case x.mix.Name == "cycle":
		rate = rate.Least(8)
	}
	return rate, p50, p99
}

// apply makes the tables of an engine.
func apply(ctx context.Context, db *sql.DB, engine string) (err error) {
	if engine == unlogged {
		_, _, err = schema.ApplyUnlogged(ctx, db, schema.NDB)
	} else {
		_, _, err = schema.Apply(ctx, db, schema.NDB)
	}
	return err
}
