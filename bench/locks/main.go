// Command locks measures what a locked session costs the requests that all want it at once, as a page that loads its
// pieces by AJAX sends them: 50 requests, one session, each holding it for 0, 2 or 10 ms.
//
//	go run ./bench/locks
//
// The pages are PHP's, behind nginx and php-fpm with a worker for each request. phpredis spins: it asks Redis again and
// again, by default every 2 ms (version 5.3, Debian 12's) or 20 ms (6.0 and later), and gives up after 10 or 100 attempts; here it
// may try for ever, so that none fails, except in the row that says so. phpclient waits in sessiond. The rows "raw" are
// the same requests to sessiond from this program, without PHP. All sides take turns in every round.
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
)

type options struct {
	requests int
	rounds   int
	php      string
	root     string
	ndb      bool
}

// holds are how long a request has the session.
var holds = []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond}

func main() {
	command.Main("locks", func(ctx context.Context) error {
		o, err := parse()
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	flag.IntVar(&o.requests, "requests", 50, "concurrent requests")
	flag.IntVar(&o.rounds, "rounds", 7, "rounds; figures are medians over them")
	flag.StringVar(&o.php, "phpclient", "phpclient", "the folder of the PHP client")
	flag.StringVar(&o.root, "page", "bench/locks/page", "the folder of the page")
	flag.BoolVar(&o.ndb, "ndb", true, "measure two sessiond on NDB Cluster too")
	flag.Parse()
	if o.rounds < 1 || o.requests < 1 || o.requests > 100 {
		return o, errors.New("rounds or requests are out of range")
	}
	o.php, err = filepath.Abs(o.php)
	return o, err
}

func (o options) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "locks-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := o.startRig(ctx, dir)
	defer r.stop()
	if err != nil {
		return err
	}
	results, err := o.measure(ctx, r.sides)
	if err != nil {
		return err
	}
	return command.Publish(figures.Sheet{
		Name: "locks", About: fmt.Sprintf("%d requests at once for one session, %d rounds", o.requests, o.rounds),
		Tables: []figures.Table{tabulate(results)},
	})
}

// measure runs every side with every hold, by turns.
func (o options) measure(ctx context.Context, sides []*side) ([]*result, error) {
	var results []*result
	for _, hold := range holds {
		for _, s := range sides {
			results = append(results, &result{side: s, hold: hold})
		}
	}
	for round := -1; round < o.rounds; round++ { // the first one warms up
		for i := range results {
			r := results[(i+max(0, round))%len(results)]
			b, err := burst(ctx, r.side, r.hold)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.side.name, err)
			}
			if round >= 0 {
				r.add(b)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	return results, nil
}
