// Command lincheck checks that the session store on NDB is linearizable while SQL nodes and data nodes are killed and
// started again. It starts a cluster and two sessiond of its own on loopback, from the checkout that it is run in:
//
//	go run ./bench/linear/lincheck -seeds 5
//
// It exits with 0 if every history is linearizable, with 1 if one is not or could not be decided, and writes what it
// found, as text and as a page to look at, to the folder of -out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/linear"
)

func main() {
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		log.Fatal(err)
	}
}

// options are the command line.
type options struct {
	seeds, first int
	operations   int
	kill         string
	stores       string
	pause, each  time.Duration
	out          string
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("lincheck", flag.ContinueOnError)
	flags.IntVar(&o.seeds, "seeds", 5, "make `N` histories, each of another seed")
	flags.IntVar(&o.first, "seed", 1, "the first seed")
	flags.IntVar(&o.operations, "operations", 1000, "have so many operations answered before, during and after each kill")
	flags.StringVar(&o.kill, "kill", "sql1,data2,sql2,data1", "in each history, kill these nodes one after the other; empty: none")
	flags.StringVar(&o.stores, "stores", linear.OnSQL, "the stores of the two sessiond: mysql, ndbapi, or the one and the other: mysql,ndbapi")
	flags.DurationVar(&o.pause, "pause", 20*time.Millisecond, "each of the 12 workers pauses at most so long after an operation")
	flags.DurationVar(&o.each, "each", 30*time.Second, "decide each session's history within this time")
	flags.StringVar(&o.out, "out", "", "write violations to this `DIR`; default: a new temporary one")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.seeds < 1 || o.first < 0 || o.operations < 1 || o.pause < 0 || o.each <= 0 || flags.NArg() > 0 {
		return o, errors.New("lincheck: -seeds, -operations and -each must be positive, -seed and -pause not negative, and no arguments follow")
	}
	for _, store := range strings.Split(o.stores, ",") {
		if store != linear.OnSQL && store != linear.OnAPI {
			return o, fmt.Errorf("lincheck: -stores %s: there are %s and %s", o.stores, linear.OnSQL, linear.OnAPI)
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lincheck-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log.Print("starting an NDB Cluster and two sessiond")
	rig, err := linear.StartRig(ctx, dir, strings.Split(o.stores, ",")...)
	if err != nil {
		return err
	}
	defer rig.Stop()
	bad := 0
	for seed := o.first; seed < o.first+o.seeds; seed++ {
		if err := o.history(ctx, rig, uint64(seed)); err != nil {
			log.Print(err)
			bad++
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d histories were not found to be linearizable", bad, o.seeds)
	}
	log.Printf("%d of %d histories are linearizable", o.seeds, o.seeds)
	return nil
}

// history makes and checks one. The error is what was wrong with it.
func (o *options) history(ctx context.Context, rig *linear.Rig, seed uint64) error {
	c := linear.Config{Seed: seed, Sessions: rig.Sessions(), Operations: o.operations, Pause: o.pause}
	if o.kill != "" {
		c.Disturb = rig.Kills(o.operations, log.Printf, strings.Split(o.kill, ",")...)
	}
	h, err := linear.Run(ctx, c)
	if err := errors.Join(err, rig.Check()); err != nil {
		return err
	}
	began := time.Now()
	found, err := linear.Check(h, o.each, 5)
	total, by := h.Counts()
	log.Printf("seed %d: %d operations on %d sessions, checked in %.1fs: %v", seed, total, len(h.Sessions()), time.Since(began).Seconds(), by)
	for i, v := range found {
		err = errors.Join(err, v, o.save(v, i))
	}
	return err
}

// save writes a violation to files and says where.
func (o *options) save(v *linear.Violation, i int) (err error) {
	if o.out == "" {
		o.out, err = os.MkdirTemp("", "lincheck-violations-")
	} else {
		err = os.MkdirAll(o.out, 0o755)
	}
	if err != nil {
		return err
	}
	base := filepath.Join(o.out, fmt.Sprintf("seed-%d-%d", v.Seed, i))
	err = errors.Join(os.WriteFile(base+".txt", []byte(v.Error()), 0o644), v.Visualize(base+".html"))
	log.Printf("see %s.txt and .html", base)
	return err
}
