// Command scale measures what the number of sessions does to a store: the latency of reads and writes with many sessions
// against few, in turns; the memory that a session takes; and what users feel of the collection of many expired ones.
//
//	go run ./bench/scale --store embedded --sessions 5000000 --expired 500000
//	go run ./bench/scale --store ndb --sessions 1000000 --expired 500000 --memory 2600
//
// The load is open: operations are due at a fixed rate, half reads and half writes of sessions at random, and latency
// counts from when one was due. The embedded store runs in this process. For NDB there is a cluster on loopback; few and
// many sessions are two databases of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/figures"
)

type options struct {
	store    string
	sessions int
	few      int
	expired  int
	payload  int
	clients  int
	rate     int
	rounds   int
	span     time.Duration
	memory   int
	dir      string
}

func main() {
	command.Main("scale", func(ctx context.Context) error {
		o, err := parse()
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	flag.StringVar(&o.store, "store", "embedded", "measure the store embedded or ndb")
	flag.IntVar(&o.sessions, "sessions", 100_000, "many sessions")
	flag.IntVar(&o.few, "few", 10_000, "few sessions")
	flag.IntVar(&o.expired, "expired", 50_000, "expired sessions to be collected")
	flag.IntVar(&o.payload, "payload", 1024, "bytes of a payload")
	flag.IntVar(&o.clients, "clients", 64, "operations in flight at most")
	flag.IntVar(&o.rate, "rate", 1000, "operations a second")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; figures are medians over them")
	flag.DurationVar(&o.span, "span", 8*time.Second, "length of one measurement; collection finds its pace anew in each, which takes some seconds")
	flag.IntVar(&o.memory, "memory", 400, "DataMemory of each NDB data node, in MB")
	flag.StringVar(&o.dir, "dir", "", "where to keep the files, on the kind of disk that counts; default: a new temporary folder")
	flag.Parse()
	if o.rounds < 1 || o.span <= 0 || o.clients < 1 || o.few < 1 || o.sessions < o.few || o.expired < 0 || o.rate < 1 || o.payload < 1 || o.payload > 1<<20 {
		return o, errors.New("rounds, span, clients, few, sessions, expired, rate or payload are out of range")
	}
	return o, nil
}

func (o options) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(o.dir, "scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var r *rig
	switch o.store {
	case "embedded":
		r, err = embeddedRig(dir)
	case "ndb":
		r, err = o.ndbRig(ctx, dir)
	default:
		return fmt.Errorf("--store %q: there are embedded and ndb", o.store)
	}
	if err != nil {
		return errors.Join(err, r.close())
	}
	sheet := figures.Sheet{Name: "scale", About: fmt.Sprintf("store %s, payloads of %d bytes, %d operations/s, %d rounds of %v",
		o.store, o.payload, o.rate, o.rounds, o.span)}
	if err := errors.Join(o.measure(ctx, &sheet, r), r.close()); err != nil {
		return err
	}
	return command.Publish(sheet)
}

func (o options) measure(ctx context.Context, sheet *figures.Sheet, r *rig) error {
	few := &population{store: r.few, live: o.few}
	many := &population{store: r.many, live: o.sessions}
	if err := o.fill(ctx, few, false); err != nil {
		return err
	}
	before, err := r.size(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := o.fill(ctx, many, false); err != nil {
		return err
	}
	sheet.Note("stored %d sessions in %.0f s", o.sessions, time.Since(began).Seconds())
	if err := r.report(ctx, sheet, before, o.sessions); err != nil {
		return err
	}
	if err := o.compare(ctx, sheet, few, many); err != nil {
		return err
	}
	return o.collect(ctx, sheet, many)
}
