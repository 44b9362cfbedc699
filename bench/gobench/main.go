// Command gobench runs the benchmarks of Go packages and makes a sheet of them, so that they stand on the page of all benchmarks.
//
//	go run ./bench/gobench --name embedded --benchtime 1s --count 5 ./sessionstore/embedded
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/figures"
)

type options struct {
	name     string
	bench    string
	span     time.Duration
	count    int
	packages []string
}

func main() {
	command.Main("gobench", func(ctx context.Context) error {
		o, err := parse()
		if err != nil {
			return err
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	flag.StringVar(&o.name, "name", "", "`NAME` of the sheet")
	flag.StringVar(&o.bench, "bench", ".", "run the benchmarks whose name matches this `REGEXP`")
	flag.DurationVar(&o.span, "benchtime", time.Second, "how long each runs at least")
	flag.IntVar(&o.count, "count", 5, "how often each runs; figures are medians over them")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: gobench --name NAME [options] PACKAGE…")
		flag.PrintDefaults()
	}
	flag.Parse()
	o.packages = flag.Args()
	if o.name == "" || len(o.packages) == 0 || o.span <= 0 || o.count < 1 {
		return o, errors.New("it needs --name, a package, and --benchtime and --count above zero")
	}
	return o, nil
}

func (o options) run(ctx context.Context) error {
	args := append([]string{"test", "-run", "^$", "-bench", o.bench, "-benchtime", o.span.String(), "-count", strconv.Itoa(o.count)}, o.packages...)
	var out bytes.Buffer
	c := exec.CommandContext(ctx, "go", args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // the tests' processes end with go test
	c.WaitDelay = 10 * time.Second
	c.Stdout, c.Stderr = io.MultiWriter(&out, os.Stderr), os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	tables := read(&out)
	if len(tables) == 0 {
		return fmt.Errorf("no benchmark matches %q", o.bench)
	}
	return command.Publish(figures.Sheet{
		Name: o.name, Tables: tables, Command: command.Line("go run ./bench/gobench", os.Args[1:]),
		About: fmt.Sprintf("Go benchmarks, each for at least %v, %d times", o.span, o.count),
	})
}
