// Command ndbapi measures the store on the NDB API against one SQL statement an operation, as bench/sql does, against the
// store on SQL, and against a program in C++ that does the same to the same rows with nothing around it, in the folder yardstick:
//
//	eval "$(go run ./bench/rig/ndbkit)"
//	go run -tags ndbapi ./bench/ndbapi
//
// It starts a cluster on loopback and removes it afterwards. All sides take turns in every round; figures are medians over
// the rounds. The tables are logged to disk, and then, with all of it again, not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
	threads int
	batch   int
	profile string
}

func main() {
	command.Main("ndbapi", func(ctx context.Context) error {
		o, err := parse()
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	o.Rounds, o.Span, o.Warm = 5, 2*time.Second, 300*time.Millisecond
	o.Flags(flag.CommandLine)
	flag.IntVar(&o.threads, "threads", 4, "threads of the yardstick")
	flag.IntVar(&o.batch, "batch", 64, "rows in a transaction of the yardstick")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the store on the NDB API to this file")
	flag.Parse()
	o.NodesOf = os.Getpid()
	if o.threads < 1 || o.batch < 1 || o.Sessions < o.threads*o.batch {
		return o, errors.New("threads or batch are out of range")
	}
	return o, o.Check()
}

func (o options) run(ctx context.Context) error {
	ndb.RaiseProcs() // as sessiond does
	dir, err := os.MkdirTemp("", "lvsession-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	yardstick, err := buildYardstick(ctx, dir)
	if err != nil {
		return fmt.Errorf("build the yardstick: %w", err)
	}
	cluster, err := ndbcluster.StartDir(ctx, filepath.Join(dir, "cluster"), ndbcluster.Options{})
	if err != nil {
		return err
	}
	defer cluster.Stop()
	sheet := figures.Sheet{
		Name: "ndbapi", About: fmt.Sprintf("%d sessions of %d bytes, %d rounds of %v", o.Sessions, o.Payload, o.Rounds, o.Span),
	}
	for _, engine := range []string{schema.NDB, unlogged} {
		r, err := o.open(ctx, cluster, engine, dir, yardstick)
		if err != nil {
			return errors.Join(err, r.close())
		}
		results, err := o.measure(ctx, r)
		if err := errors.Join(err, r.close()); err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
		sheet.Tables = append(sheet.Tables, tabulate(engine, results))
	}
	return command.Publish(sheet)
}

// rig is the sides of one database.
type rig struct {
	reference *visits.Reference
	sql, api  *visits.Ours
	yardstick yardstick
}

func (r *rig) close() error {
	var errs []error
	if r.api != nil {
		errs = append(errs, r.api.Close())
	}
	if r.sql != nil {
		errs = append(errs, r.sql.Close())
	}
	if r.reference != nil {
		errs = append(errs, r.reference.Close())
	}
	return errors.Join(errs...)
}

// open makes a database with the tables of an engine and sessions in it.
func (o options) open(ctx context.Context, cluster *ndbcluster.Cluster, engine, dir string, program string) (r *rig, err error) {
	r = &rig{}
	name := map[string]string{schema.NDB: "logged", unlogged: "unlogged"}[engine]
	dsns, err := install(ctx, cluster.DSNs(), name, engine)
	if err != nil {
		return r, err
	}
	if r.reference, err = visits.OpenReference(dsns, o.Clients); err != nil {
		return r, err
	}
	if r.sql, err = visits.OpenStore(ctx, dsns); err != nil {
		r.sql = nil
		return r, err
	}
	store, err := ndb.OpenAPI(ctx, ndb.APIOptions{Connect: cluster.Connect(), Database: name})
	if err != nil {
		return r, err
	}
	r.api = &visits.Ours{Store: store}
	if err := o.Load(ctx, r.api); err != nil {
		return r, fmt.Errorf("load sessions: %w", err)
	}
	r.yardstick, err = newYardstick(program, cluster.Connect(), name, filepath.Join(dir, name+".ids"), o)
	return r, err
}
