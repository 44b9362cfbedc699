// Command vipbench loads a virtual service with users who count in their sessions, and proves that no session was lost,
// mixed up or counted wrongly. docs/engineer.md is its manual.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/report"
)

// Exit statuses.
const (
	exitProven      = 0
	exitNotProven   = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(vipbench(ctx, os.Args[1:], os.Stdout, os.Stderr, terminalWidth(os.Stderr)))
}

// vipbench runs the command and returns its exit status. width is as for [report.NewProgress].
func vipbench(ctx context.Context, args []string, stdout, stderr io.Writer, width func() int) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitProven
	case err != nil:
		fmt.Fprintf(stderr, "vipbench: %v\nvipbench --help lists the options\n", err)
		return exitUsage
	}
	result, err := run(ctx, o, stderr, width)
	if err != nil {
		fmt.Fprintf(stderr, "vipbench: %v\n", err)
		return status(err)
	}
	if err := write(stdout, o, result); err != nil {
		fmt.Fprintf(stderr, "vipbench: write the result: %v\n", err)
		return exitNotProven
	}
	switch {
	case result.Proven:
		return exitProven
	case result.Ended == load.Interrupted && result.ViolationsTotal == 0:
		return exitInterrupted
	}
	return exitNotProven
}

func run(ctx context.Context, o options, stderr io.Writer, width func() int) (*load.Result, error) {
	if o.quiet {
		return load.Run(ctx, o.config, nil)
	}
	p := report.NewProgress(stderr, width)
	defer p.Done()
	return load.Run(ctx, o.config, p.Show)
}

func write(stdout io.Writer, o options, r *load.Result) error {
	if !o.json {
		return report.Text(stdout, r)
	}
	e := json.NewEncoder(stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// status is the exit status for an error of [load.Run].
func status(err error) int {
	switch {
	case errors.Is(err, load.ErrConfig):
		return exitUsage
	case errors.Is(err, load.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitNotProven
}

// options are the command line.
type options struct {
	config load.Config
	json   bool
	quiet  bool
}

const usage = `Usage: vipbench [options] URL

Loads the counter page at URL, which should lead through the VIP, with virtual users who each have a cookie jar, and
proves that every acknowledged request raised the user's session count by exactly one. See docs/engineer.md.

Options:
`

const exits = `
Exit status: 0 proven; 1 violated, or more errors than allowed; 2 bad usage; 3 no counter page was reached at the
start; 130 interrupted.
`

// parse reads the command line. Its errors are of usage.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{config: load.Config{Weights: map[string]int{}}.Defaults()}
	c := &o.config
	c.Concurrency = 0 // depends on the users
	f := flag.NewFlagSet("vipbench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&c.Users, "users", c.Users, "virtual users, each with a cookie jar")
	f.IntVar(&c.Requests, "requests", c.Requests, "requests of each user")
	f.Float64Var(&c.Rate, "rate", 0, "open load of `R` requests/s over all users; 0: closed load")
	f.IntVar(&c.Concurrency, "concurrency", 0, fmt.Sprintf("requests in flight at most (default: users, at most %d)", load.DefaultConcurrency))
	f.DurationVar(&c.Timeout, "timeout", c.Timeout, "time for one request, such as 2s")
	f.DurationVar(&c.Duration, "duration", 0, "start no request later than `D` (default: no limit)")
	f.IntVar(&c.Retries, "retries", 0, "times a failed request is tried again")
	f.DurationVar(&c.RetryWait, "retry-wait", c.RetryWait, "pause before each retry")
	f.BoolVar(&c.KeepAlive, "keepalive", false, "keep each user's connection (default: a connection for each request)")
	f.Int64Var(&c.AllowErrors, "allow-errors", 0, "failed requests that still prove the point; -1: any number")
	f.StringVar(&c.UserPrefix, "user-prefix", c.UserPrefix, "beginning of the users' names")
	f.Func("weights", "expected shares, such as `web1=3,web2=1` (default: equal)", func(s string) error { return parseWeights(c.Weights, s) })
	f.BoolVar(&c.NoProbe, "no-probe", false, "do not try the page once before the load")
	f.BoolVar(&o.json, "json", false, "write the result as JSON")
	f.BoolVar(&o.quiet, "quiet", false, "show no progress")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		printHelp(f, stderr)
	}
	if err != nil {
		return options{}, err
	}
	if f.NArg() != 1 {
		return options{}, fmt.Errorf("one URL is needed, got %d arguments after the options", f.NArg())
	}
	c.URL = f.Arg(0)
	if c.Concurrency == 0 {
		c.Concurrency = min(max(c.Users, 1), load.DefaultConcurrency)
	}
	return o, c.Check() // before Defaults could turn a 0 into something else
}

// printHelp lists the options with two hyphens, in aligned columns.
func printHelp(f *flag.FlagSet, w io.Writer) {
	fmt.Fprint(w, usage)
	defer fmt.Fprint(w, exits)
	f.VisitAll(func(o *flag.Flag) {
		value, text := flag.UnquoteUsage(o)
		text = strings.TrimSpace(text)
		if o.DefValue != "" && o.DefValue != "0" && o.DefValue != "0s" && o.DefValue != "false" {
			text += " (default " + o.DefValue + ")"
		}
		fmt.Fprintf(w, "  %-28s %s\n", strings.TrimSpace("--"+o.Name+" "+value), text)
	})
}

// parseWeights reads name=weight pairs, separated by commas.
func parseWeights(weights map[string]int, s string) error {
	for pair := range strings.SplitSeq(s, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(pair), "=")
		if !found || name == "" {
			return fmt.Errorf("%q is not name=weight", pair)
		}
		if _, twice := weights[name]; twice {
			return fmt.Errorf("%q has two weights", name)
		}
		w, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("weight %q of %q is not a whole number", value, name)
		}
		weights[name] = w
	}
	return nil
}

// terminalWidth returns a function that gives the terminal's width, or nil if f is no terminal.
func terminalWidth(f *os.File) func() int {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	return func() int {
		width, _, err := term.GetSize(fd)
		if err != nil {
			return 80
		}
		return width
	}
}
