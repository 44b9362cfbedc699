// Command php compares what PHP pages can keep their sessions in: the same page, which reads its session of 2 KB and
// writes it, by nginx and php-fpm, on PHP's files, on Redis by phpredis, on memcached by php-memcached, on MariaDB by PDO,
// and on sessiond by phpclient and, where sessiond speaks it, by phpredis.
//
//	go run ./bench/php
//
// Each way to keep sessions has an nginx and a php-fpm of its own; all are up from the beginning, and take turns in every
// round. Every client is a visitor with a session of its own, whose count of visits is checked in each answer. It needs
// the Debian packages memcached, php-memcached, php-mysql, php-redis and redis-server, nginx-light, php-fpm and
// mariadb-server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/drive"
	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/phpstack"
)

type options struct {
	only   string
	ndb    bool
	rounds int
	span   time.Duration
	warm   time.Duration
	dir    string
}

// clients are the concurrencies that are measured.
var clients = []int{1, 32}

func main() {
	command.Main("php", func(ctx context.Context) error {
		o, err := parse()
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	flag.StringVar(&o.only, "only", "", "measure only the sides whose name matches this `REGEXP`")
	flag.BoolVar(&o.ndb, "ndb", true, "also measure sessiond on a MySQL NDB Cluster, which takes 2 GB of memory")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; figures are medians over them")
	flag.DurationVar(&o.span, "span", 2*time.Second, "length of one measurement")
	flag.DurationVar(&o.warm, "warm", time.Second/2, "load before each measurement")
	flag.StringVar(&o.dir, "dir", "", "where the servers keep their files, on the kind of disk that counts; default: a new temporary folder")
	flag.Parse()
	if o.rounds < 1 || o.span <= 0 || o.warm < 0 {
		return o, errors.New("rounds, span or warm are out of range")
	}
	_, err = regexp.Compile(o.only)
	return o, err
}

func (o options) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(o.dir, "php-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// A worker for each client: what is compared is the store, not the queue in front of PHP.
	site, err := phpstack.Start(ctx, phpstack.Options{Dir: dir, Only: regexp.MustCompile(o.only), NDB: o.ndb,
		Pages: "bench/php/pages", Index: "page.php", Workers: clients[len(clients)-1]})
	if err != nil {
		return err
	}
	defer site.Stop()
	var sides []*side
	for _, s := range site.Stacks {
		one := newSide(s)
		defer one.close()
		sides = append(sides, one)
	}
	results, err := o.measure(ctx, sides)
	if err != nil {
		return err
	}
	sheet := figures.Sheet{Name: "php", About: fmt.Sprintf("%d rounds of %v", o.rounds, o.span)}
	tabulate(&sheet, results)
	return command.Publish(sheet)
}

// measure has all sides take turns, at each concurrency.
func (o options) measure(ctx context.Context, sides []*side) ([]*result, error) {
	var results []*result
	for _, n := range clients {
		r := &result{clients: n}
		for _, s := range sides {
			r.sides = append(r.sides, &figuresOf{side: s})
		}
		results = append(results, r)
	}
	for round := range o.rounds {
		for _, r := range results {
			for i := range sides {
				f := r.sides[(i+round)%len(sides)]
				load := drive.Load{Clients: r.clients, Warm: o.warm, Span: o.span}
				out, err := drive.Run(ctx, load, f.side.visit)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", f.side.Name, err)
				}
				f.latency.Add(out.Latency, out.Seconds)
			}
			fmt.Fprintf(os.Stderr, "round %d: %d clients\n", round+1, r.clients)
		}
	}
	return results, nil
}
