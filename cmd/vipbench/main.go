// Command vipbench loads a virtual service with users who count in their sessions, and proves that no session was lost,
// mixed up or counted wrongly. docs/engineer.md is its manual.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
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
	if len(args) > 0 && args[0] == "compare" {
		return compare(ctx, args[1:], stdout, stderr, width)
	}
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
	if err := errors.Join(write(stdout, o, result), writeHTML(o.html, result)); err != nil {
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

func writeHTML(name string, r *load.Result) error {
	if name == "" {
		return nil
	}
	var b bytes.Buffer
	if err := report.HTML(&b, r); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
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
	html   string // file for the page; empty for none
	quiet  bool
}

const usage = `Usage: vipbench [options] URL
       vipbench [options] --scenario FILE [URL]
       vipbench compare ...    (vipbench compare --help)

Loads the counter page at URL, which should lead through the VIP, with virtual users who each have a cookie jar, and
proves that every acknowledged request raised the user's session count by exactly one. See docs/engineer.md.

URL is http://HOST/PATH of a counter page or, with --plain, of any page; sessiond://HOST:PORT/NAMESPACE or redis://HOST:PORT
for a session server; or tcp://HOST:PORT for a director alone. https://, sessionds:// and rediss:// are those over TLS.

A scenario file has an option a line, without the hyphens, and the line "url URL"; options on the command line come on top.
DIST is a distribution: 2000, 500-8k (equally likely), ~2000 (exponential, with this mean), 90%500,10%~8k.

Options:
`

const exits = `
Exit status: 0 proven; 1 violated, or more errors than allowed; 2 bad usage; 3 no counter page was reached at the
start; 130 interrupted.
`

// parse reads the command line. Its errors are of usage.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var said scenario
	f := flag.NewFlagSet("vipbench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	said.flags(f)
	f.BoolVar(&o.json, "json", false, "write the result as JSON")
	f.StringVar(&o.html, "html", "", "write the result as a page with charts to `FILE`, too")
	f.BoolVar(&o.quiet, "quiet", false, "show no progress")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		list(f, stderr, usage, exits)
	}
	if err != nil {
		return options{}, err
	}
	o.config, err = said.config(f.Args())
	return o, err
}

// list writes the help: the options with two hyphens, in aligned columns, between two texts.
func list(f *flag.FlagSet, w io.Writer, before, after string) {
	fmt.Fprint(w, before)
	defer fmt.Fprint(w, after)
	f.VisitAll(func(o *flag.Flag) {
		value, text := flag.UnquoteUsage(o)
		if strings.HasPrefix(o.Usage, "`") { // the value's name stands before the text and is no part of it
			text = strings.TrimPrefix(text, value)
		}
		text = strings.TrimSpace(text)
		fmt.Fprintf(w, "  %-28s %s\n", strings.TrimSpace("--"+o.Name+" "+value), text)
	})
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
