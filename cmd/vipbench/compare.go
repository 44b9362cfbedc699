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
	"path/filepath"
	"slices"
	"strings"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/report"
)

const compareUsage = `Usage: vipbench compare [--html FILE] RESULT.json RESULT.json...
       vipbench compare [options] --stack NAME=URL --stack NAME=URL...

Compares results of --json, or makes the same load on several set-ups in turn, round after round in changing order, and prints
figures and ratios to the first with their spread. Results with the same name (--name) are rounds of one side. A stack must be
running; it takes every option of a load.

Options, beside those of a load:
`

// maxRounds bounds what a wrong number can start.
const maxRounds = 1000

// comparison is the command line of compare.
type comparison struct {
	said   scenario
	html   string
	sheet  string
	rounds int
	quiet  bool
	stacks []stack
	files  []string
}

// stack is a set-up that runs.
type stack struct{ name, url string }

// compare runs the command and returns its exit status.
func compare(ctx context.Context, args []string, stdout, stderr io.Writer, width func() int) int {
	c, err := parseComparison(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitProven
	case err != nil:
		fmt.Fprintf(stderr, "vipbench compare: %v\nvipbench compare --help lists the options\n", err)
		return exitUsage
	}
	sides, err := c.sides(ctx, stderr, width)
	if err == nil {
		sheet := report.Compare(sides)
		err = errors.Join(sheet.Text(stdout), writeFile(c.sheet, report.CompareJSON, sides), writeFile(c.html, report.CompareHTML, sides))
	}
	if err != nil {
		fmt.Fprintf(stderr, "vipbench compare: %v\n", err)
		return status(err)
	}
	for _, s := range sides {
		if slices.ContainsFunc(s.Rounds, func(r *load.Result) bool { return !r.Proven }) {
			return exitNotProven
		}
	}
	return exitProven
}

// parseComparison reads the command line. Its errors are of usage.
func parseComparison(args []string, stderr io.Writer) (*comparison, error) {
	c := &comparison{}
	own := flag.NewFlagSet("vipbench compare", flag.ContinueOnError) // for the help
	all := flag.NewFlagSet("vipbench compare", flag.ContinueOnError)
	all.SetOutput(io.Discard)
	for _, f := range []*flag.FlagSet{own, all} {
		f.StringVar(&c.html, "html", "", "write the comparison as a page with charts to `FILE`, too")
		f.StringVar(&c.sheet, "sheet", "", "write the figures as JSON to `FILE`, too, for bench/index")
		f.IntVar(&c.rounds, "rounds", 3, "loads of each stack")
		f.BoolVar(&c.quiet, "quiet", false, "show no progress")
		f.Func("stack", "`NAME=URL` a set-up to load; to be given at least twice", c.addStack)
	}
	c.said.flags(all)
	err := all.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		list(own, stderr, compareUsage, exits)
	}
	if err != nil {
		return nil, err
	}
	c.files = all.Args()
	return c, c.check()
}

func (c *comparison) addStack(text string) error {
	name, url, found := strings.Cut(text, "=")
	if !found || name == "" || url == "" {
		return fmt.Errorf("%q is not NAME=URL", text)
	}
	c.stacks = append(c.stacks, stack{name, url})
	return nil
}

func (c *comparison) check() error {
	switch {
	case len(c.stacks) > 0 && len(c.files) > 0:
		return errors.New("either results or stacks can be compared")
	case len(c.stacks) == 1 || len(c.stacks) == 0 && len(c.files) < 2:
		return errors.New("two results or two stacks are needed at least")
	case c.rounds < 1 || c.rounds > maxRounds:
		return fmt.Errorf("rounds must be 1 to %d", maxRounds)
	}
	return nil
}

func (c *comparison) sides(ctx context.Context, stderr io.Writer, width func() int) ([]report.Side, error) {
	if len(c.stacks) > 0 {
		return c.run(ctx, stderr, width)
	}
	var sides []report.Side
	for _, name := range c.files {
		r, err := readResult(name)
		if err != nil {
			return nil, err
		}
		side := r.Config.Name
		if side == "" {
			side = strings.TrimSuffix(filepath.Base(name), ".json")
		}
		sides = add(sides, side, r)
	}
	if len(sides) < 2 {
		return nil, fmt.Errorf("%w: all results are named %q: they are rounds of one side", load.ErrConfig, sides[0].Name)
	}
	return sides, nil
}

// add adds a round to the side of that name.
func add(sides []report.Side, name string, r *load.Result) []report.Side {
	i := slices.IndexFunc(sides, func(s report.Side) bool { return s.Name == name })
	if i < 0 {
		return append(sides, report.Side{Name: name, Rounds: []*load.Result{r}})
	}
	sides[i].Rounds = append(sides[i].Rounds, r)
	return sides
}

func readResult(name string) (*load.Result, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var r load.Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.Version != load.ResultVersion {
		return nil, fmt.Errorf("%s: a result of version %d, not %d", name, r.Version, load.ResultVersion)
	}
	return &r, nil
}

// run loads the stacks in turn. Each round begins with another one, so that none is always first.
func (c *comparison) run(ctx context.Context, stderr io.Writer, width func() int) ([]report.Side, error) {
	configs := make([]load.Config, len(c.stacks))
	sides := make([]report.Side, len(c.stacks))
	for i, s := range c.stacks {
		config, err := c.said.config([]string{s.url})
		if err != nil {
			return nil, fmt.Errorf("%w: stack %s: %w", load.ErrConfig, s.name, err)
		}
		config.Name = s.name
		configs[i], sides[i].Name = config, s.name
	}
	for round := range c.rounds {
		for turn := range c.stacks {
			i := (round + turn) % len(c.stacks)
			if !c.quiet {
				fmt.Fprintf(stderr, "round %d of %d: %s\n", round+1, c.rounds, c.stacks[i].name)
			}
			r, err := run(ctx, options{config: configs[i], quiet: c.quiet}, stderr, width)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("stack %s: %w", c.stacks[i].name, err)
			}
			sides[i].Rounds = append(sides[i].Rounds, r)
		}
	}
	return sides, nil
}

// writeFile writes the comparison in one form to a file, if there is to be one.
func writeFile(name string, write func(io.Writer, []report.Side) error, sides []report.Side) error {
	if name == "" {
		return nil
	}
	var b bytes.Buffer
	if err := write(&b, sides); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}
