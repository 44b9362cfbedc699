// Command fronts measures what can stand in front of real servers, side by side: lvsproxy's userspace dataplane, HAProxy
// and nginx's stream module, and no front at all. It needs root, for the network that it makes of namespaces, and the
// Debian packages haproxy, nginx-light, libnginx-mod-stream and wrk.
//
//	go run ./bench/fronts [--rounds N]
//
// Of the open connections up to 64 are busy; on the others nothing moves. All sides get the same load and take turns in every round; figures are medians over the rounds, with the least and the
// most. CPU time is that of the front's own processes. What the kernel does for them in interrupts (the receiving half of
// a packet's way) is charged to whoever runs at that moment, to the fronts alike but not fully; and the machine's cores
// carry client and real servers too, so a front that needs less leaves more to them. Compare CPU time first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
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
	only   figures.List
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == holding {
		if err := runHold(os.Args[2], os.Args[3]); err != nil {
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
	f.IntVar(&o.rounds, "rounds", 3, "rounds; figures are medians over them")
	f.DurationVar(&o.span, "span", 2*time.Second, "length of one measurement")
	f.Var(&conns, "conns", "open connections, of which up to 64 are busy, 10 with bodies; may be repeated; default 10, 1000 and 10000, or what open files are allowed for")
	f.Var(&o.only, "load", "measure only this load (new, kept, bodies); may be repeated")
	if err := f.Parse(args); err != nil {
		return o, err
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
		if err != nil || n < 1 {
			return o, fmt.Errorf("%q connections", text)
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
	sides, stop, err := start(ctx, rig, dir)
	defer stop()
	if err != nil {
		return err
	}
	results, err := o.measure(ctx, rig, sides)
	sheet := figures.Sheet{
		Name: "fronts", About: fmt.Sprintf("%d rounds of %v", o.rounds, o.span), Tables: []figures.Table{tabulate(results)},
	}
	for _, s := range sides {
		sheet.Note("%s: %s", s.name, s.version)
	}
	return errors.Join(err, command.Publish(sheet))
}

// measure runs every load at every number of open connections on all sides by turns.
func (o options) measure(ctx context.Context, rig *namespaces.Rig, sides []*side) ([]*result, error) {
	var results []*result
	for _, l := range loads {
		for _, conns := range o.conns {
			r := &result{load: l, conns: conns}
			for _, s := range sides {
				r.sides = append(r.sides, &figuresOf{side: s})
			}
			if o.wants(l.name) {
				results = append(results, r)
			}
		}
	}
	for round := range o.rounds {
		for _, conns := range o.conns {
			for i := range sides {
				turn := (i + round) % len(sides)
				if err := o.turn(ctx, rig, results, conns, turn); err != nil {
					return results, fmt.Errorf("%s, %d connections: %w", sides[turn].name, conns, err)
				}
			}
			fmt.Fprintf(os.Stderr, "round %d: %d connections\n", round+1, conns)
		}
	}
	return results, nil
}

// turn runs all loads at one number of open connections on one side.
func (o options) turn(ctx context.Context, rig *namespaces.Rig, results []*result, conns, turn int) error {
	release, err := hold(ctx, rig, results[0].sides[turn].side, conns-loads[0].active)
	if err != nil {
		return err
	}
	defer release()
	for _, r := range results {
		if r.conns != conns {
			continue
		}
		if err := o.one(ctx, rig, r, r.sides[turn]); err != nil {
			return fmt.Errorf("%s: %w", r.load.what, err)
		}
	}
	return nil
}

func (o options) wants(load string) bool {
	if len(o.only) == 0 {
		return true
	}
	for _, name := range o.only {
		if name == load {
			return true
		}
	}
	return false
}
