// Command compare starts what PHP pages can keep their sessions in, and has vipbench compare it: one scenario on each in turn, round
// after round, every answer checked, and ratios with their spread.
//
//	go run ./bench/compare -- --users 32 --requests 50 --payload 2000 --html compare.html
//	go run ./bench/compare --peers 'locking|files' -- --scenario shop.txt --rounds 5
//	go run ./bench/compare --ndb --peers NDB -- --users 32 --requests 50
//
// What follows -- goes to vipbench compare, which gets a --stack for each peer. It is a program of its own because an operator's
// vipbench should need neither this checkout nor the peers' packages; those are memcached, php-memcached, php-mysql, php-redis,
// redis-server, nginx-light, php-fpm and mariadb-server. It is run at the checkout's top.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/phpstack"
)

// defaultPeers are all but sessiond with less durable settings than its own defaults. Redis always is as durable as those. What is on
// NDB is there only with --ndb.
const defaultPeers = `^(files$|Redis|memcached|MariaDB|NDB|sessiond (always|NDB))`

type options struct {
	peers   *regexp.Regexp
	first   string
	ndb     bool
	workers int
	dir     string
	rest    []string // for vipbench compare
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := compare(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit) && exit.Exited(): // vipbench has said why
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintf(os.Stderr, "compare: %v\n", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	vipbench, err := build(ctx, dir)
	if err != nil {
		return err
	}
	site, err := phpstack.Start(ctx, phpstack.Options{Dir: dir, Only: o.peers, NDB: o.ndb,
		Pages: "bench/compare/pages", Index: "counter.php", Workers: o.workers})
	if err != nil {
		return err
	}
	defer site.Stop()
	sheet := filepath.Join(dir, "sheet.json")
	cmd := exec.CommandContext(ctx, vipbench, o.arguments(site.Stacks, "--sheet", sheet)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return errors.Join(cmd.Run(), keep(sheet))
}

// keep puts the sheet that vipbench wrote, if it came so far, where --json says.
func keep(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s figures.Sheet
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("what vipbench wrote: %w", err)
	}
	s.Name = "compare"
	return command.Keep(s)
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	command.Flags(f)
	peers := f.String("peers", defaultPeers, "compare the stacks whose name matches this `REGEXP`")
	f.StringVar(&o.first, "first", "Redis everysec", "`NAME` of the stack to which the others are held, if it is among them")
	f.BoolVar(&o.ndb, "ndb", false, "also start a MySQL NDB Cluster, which takes 2 GB of memory, with sessiond and with PDO on it, as --peers matches them")
	f.IntVar(&o.workers, "workers", 32, "PHP workers of each stack")
	f.StringVar(&o.dir, "dir", "", "where the servers keep their files, on the kind of disk that counts; default: a new temporary folder")
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "Usage: go run ./bench/compare [options] [-- options of vipbench compare]")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.workers < 1 {
		return o, errors.New("workers must be at least 1")
	}
	o.rest = f.Args()
	o.peers, err = regexp.Compile(*peers)
	return o, err
}

// arguments are those of vipbench: compare, a --stack for each stack, more options, and what the user said.
func (o options) arguments(stacks []*phpstack.Stack, more ...string) []string {
	stacks = slices.Clone(stacks)
	slices.SortStableFunc(stacks, func(a, b *phpstack.Stack) int {
		return cmp.Compare(o.rank(a), o.rank(b))
	})
	args := []string{"compare"}
	for _, s := range stacks {
		args = append(args, "--stack", s.Name+"="+s.URL("/counter.php"))
	}
	return slices.Concat(args, more, o.rest)
}

func (o options) rank(s *phpstack.Stack) int {
	if s.Name == o.first {
		return 0
	}
	return 1
}

// build builds this checkout's vipbench.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "vipbench")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/vipbench").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build vipbench: %w\n%s", err, out)
	}
	return program, nil
}
