// Command generator measures vipbench itself as a load generator: its requests a second and CPU time a request beside wrk's on
// one core, its percentiles beside those of a server whose delays are known, and the memory that many users take.
//
//	go run ./bench/generator
//
// For the first, nginx answers plain requests over kept connections on one core, and wrk and vipbench take turns on another one.
// nginx may be the slower side of the two; then the rates say only that the generator keeps up, and the CPU time a request says
// what it costs. Needs nginx, wrk and taskset, and two cores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/figures"
)

type options struct {
	rounds      int
	span        time.Duration
	connections int
	users       int

	vipbench string // the program
}

func main() {
	command.Main("generator", func(ctx context.Context) error {
		o, err := parse()
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; figures are medians over them")
	flag.DurationVar(&o.span, "span", 2*time.Second, "length of each measurement")
	flag.IntVar(&o.connections, "connections", 64, "kept connections of wrk and vipbench")
	flag.IntVar(&o.users, "users", 50_000, "virtual users whose memory is measured")
	flag.Parse()
	if o.rounds < 1 || o.span < time.Second || o.connections < 1 || o.users < 1 {
		return o, errors.New("rounds, span, connections or users are out of range")
	}
	return o, nil
}

func (o options) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "generator-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.vipbench = filepath.Join(dir, "vipbench")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.vipbench, "./cmd/vipbench").CombinedOutput(); err != nil {
		return fmt.Errorf("build vipbench: %w\n%s", err, out)
	}
	plain, err := o.plain(ctx, dir)
	if err != nil {
		return err
	}
	delays, err := o.delays(ctx)
	if err != nil {
		return err
	}
	memory, err := o.memory(ctx)
	if err != nil {
		return err
	}
	return command.Publish(figures.Sheet{
		Name:   "generator",
		About:  fmt.Sprintf("vipbench itself; %d rounds of %v", o.rounds, o.span),
		Tables: []figures.Table{plain, delays, memory},
		Notes: []string{
			"CPU us: of the generator, for each request. rate : wrk and CPU : wrk compare with wrk in the same rounds.",
			"Of the delays, expected is how long the server took; of the queue, what requests that go on falling due must wait by that, as wrk2 measures.",
		},
	})
}
