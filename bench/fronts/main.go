// Command fronts measures what can stand in front of real servers, side by side: no front at all, nftables' DNAT, HAProxy,
// nginx's stream module, and lvsproxy with each of its dataplanes. It needs root, for the network that it makes of
// namespaces, and the Debian packages haproxy, nginx-light, libnginx-mod-stream, nftables, wrk and php-fpm. It is run at the
// checkout's top.
//
//	go run ./bench/fronts [--quick] [--rounds N]
//
// The last kind of load are visits of a PHP page whose sessions are in one sessiond for both real servers, made by vipbench, which
// checks each answer. What PHP takes hides most of what a front does, as on a real site, so their CPU time is not shown.
//
// Of the open connections up to 64 are busy; on the others nothing moves. All sides get the same load and take turns in every
// round; figures are medians over the rounds, with the least and the most. CPU time is that of all that takes part: client,
// front, real servers, and the kernel's threads for interrupts. What the kernel forwards runs in interrupts, on the way of
// whoever sends or receives, so no single process has it. Compare what a side adds to the time that the same work takes
// without a director, in the same round: where the machine between only routes. A side that skips the kernel's routing can
// take less than that. What no machine between at all takes is there for scale. Nothing else should run on the machine
// meanwhile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

type options struct {
	rounds int
	span   time.Duration
	conns  []int
	loads  figures.List
	sides  figures.List
}

func main() {
	if len(os.Args) > 3 && os.Args[1] == holding {
		if err := runHold(os.Args[2], os.Args[3:]); err != nil {
			os.Exit(1)
		}
		return
	}
	command.Main("fronts", func(ctx context.Context) error {
		o, err := parse(os.Args[1:])
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse(args []string) (o options, err error) {
	var conns figures.List
	f := flag.NewFlagSet("fronts", flag.ExitOnError)
	command.Flags(f)
	quick := f.Bool("quick", false, "a look in two minutes: three rounds of 1s with 64 connections")
	f.IntVar(&o.rounds, "rounds", 5, "rounds; figures are medians over them")
	f.DurationVar(&o.span, "span", 2*time.Second, "length of one measurement")
	f.Var(&conns, "conns", "open connections, of which up to 64 are busy, 10 with bodies; may be repeated; default 10, 1000 and 10000, or what open files are allowed for")
	f.Var(&o.loads, "load", "measure only this load (new, kept, bodies, visits); may be repeated")
	f.Var(&o.sides, "side", "measure only this side, by its name in the table, besides direct and no hop; may be repeated")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		o.rounds, o.span, conns = 3, time.Second, figures.List{"64"}
	}
	if o.rounds < 1 || o.span < time.Second || o.span > time.Minute {
		return o, errors.New("rounds or span are out of range: at least 1, and 1s to 1m")
	}
	if len(conns) == 0 {
		conns = figures.List{"10", "1000", "10000"}
	}
	most := mostConns()
	for _, text := range conns {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 {
			return o, fmt.Errorf("%q connections: 2 are the least", text)
		}
		o.conns = append(o.conns, min(n, most))
	}
	return o, nil
}

// mostConns is how many connections a front can have: two files each, and some hundred more.
func mostConns() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 100
	}
	return max(10, (int(min(files.Max, 1<<20))-2000)/2)
}

func (o options) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "fronts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's workers are another user
		return err
	}
	rig, err := namespaces.Start(ctx)
	if err != nil {
		return err
	}
	defer rig.Stop()
	s, err := start(ctx, rig, dir)
	defer s.stop()
	if err != nil {
		return err
	}
	s.sides = slices.DeleteFunc(s.sides, func(one *side) bool {
		return one.name != direct && one.name != nohop && !wants(o.sides, one.name)
	})
	results, err := o.measure(ctx, s)
	sheet := figures.Sheet{
		Name: "fronts", About: fmt.Sprintf("%d rounds of %v", o.rounds, o.span), Tables: []figures.Table{tabulate(results)},
	}
	for _, one := range s.sides {
		sheet.Note("%s: %s", one.name, one.version)
	}
	sheet.Notes = append(sheet.Notes, s.absent...)
	return errors.Join(err, command.Publish(sheet))
}

// measure runs every load at every number of open connections on all sides by turns.
func (o options) measure(ctx context.Context, s *site) ([]*result, error) {
	var results []*result
	for _, l := range loads {
		for _, conns := range o.conns {
			r := &result{load: l, conns: conns}
			for _, one := range s.sides {
				r.sides = append(r.sides, &figuresOf{side: one})
			}
			if wants(o.loads, l.name) && (!l.visits || s.vipbench != "") {
				results = append(results, r)
			}
		}
	}
	for round := range o.rounds {
		for _, conns := range o.conns {
			for i := range s.sides {
				turn := (i + round) % len(s.sides)
				if err := o.turn(ctx, s, results, conns, turn); err != nil {
					return results, fmt.Errorf("%s, %d connections: %w", s.sides[turn].name, conns, err)
				}
			}
			fmt.Fprintf(os.Stderr, "round %d: %d connections\n", round+1, conns)
		}
	}
	return results, nil
}

// turn runs all loads at one number of open connections on one side.
func (o options) turn(ctx context.Context, s *site, results []*result, conns, turn int) (err error) {
	one := s.sides[turn]
	defer func() { err = errors.Join(err, one.leave()) }()
	if err := s.enter(ctx, one); err != nil {
		return err
	}
	release, err := hold(ctx, s.rig, one, conns-loads[0].active)
	if err != nil {
		return err
	}
	defer release()
	for _, r := range results {
		if r.conns != conns {
			continue
		}
		if err := o.one(ctx, s, r, r.sides[turn]); err != nil {
			return fmt.Errorf("%s: %w", r.load.what, err)
		}
	}
	return nil
}

// wants tells whether a name is among those that were asked for; all are if none was.
func wants(asked figures.List, name string) bool {
	return len(asked) == 0 || slices.Contains(asked, name)
}
