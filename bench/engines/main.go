package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
)

type options struct {
	workload
	engines []candidate
	rounds  int
	span    time.Duration
	warm    time.Duration
	cache   int64
	gc      bool
	dir     string

	crashing bool // this process is the child that dies
}

func main() {
	command.Main("engines", func(ctx context.Context) error {
		o, err := parse()
		switch {
		case err != nil:
			return err
		case o.crashing:
			return o.crash(o.engines[0])
		}
		return o.run(ctx)
	})
}

func parse() (o options, err error) {
	names := flag.String("engines", "bbolt,pebble,badger", "the engines to measure")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; figures are medians over them")
	seconds := flag.Float64("seconds", 4, "length of one measurement")
	warm := flag.Float64("warm", 1, "seconds of load before each measurement")
	flag.IntVar(&o.sessions, "sessions", 10_000, "sessions in the store")
	flag.IntVar(&o.payload, "payload", 2048, "bytes of a payload")
	flag.IntVar(&o.clients, "clients", 64, "concurrent clients")
	cache := flag.Int("cache", 64, "block cache of the engines that have one, in MiB")
	flag.BoolVar(&o.gc, "gc", false, "measure once more in each round while a tenth of the sessions is being deleted")
	flag.StringVar(&o.dir, "dir", "", "where to work, on the kind of disk that counts; default: a new temporary folder")
	crash := flag.String("crash", "", "only load this engine, which lies in --dir already, and die by kill -9 after --warm seconds")
	flag.Parse()
	o.span = time.Duration(*seconds * float64(time.Second))
	o.warm = time.Duration(*warm * float64(time.Second))
	o.cache = int64(*cache) << 20
	if o.rounds < 1 || o.span <= 0 || o.sessions < 10 || o.payload < 8 || o.clients < 1 {
		return o, fmt.Errorf("rounds, seconds, sessions, payload or clients are out of range")
	}
	if o.crashing = *crash != ""; o.crashing {
		*names = *crash
	}
	o.engines, err = choose(strings.Split(*names, ","))
	return o, err
}

func (o options) run(ctx context.Context) error {
	work, err := os.MkdirTemp(o.dir, "engines-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	sync, err := syncTime(work)
	if err != nil {
		return err
	}
	results := make([]result, len(o.engines))
	for i, c := range o.engines {
		results[i].name = c.name
		if err := o.prepare(c, filepath.Join(work, c.name), &results[i]); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for round := range o.rounds {
		for i, c := range o.engines {
			if err := ctx.Err(); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, c.name)
			if err := o.measure(c, filepath.Join(work, c.name), round, &results[i]); err != nil {
				return fmt.Errorf("%s, round %d: %w", c.name, round+1, err)
			}
		}
	}
	s := o.sheet(results, sync)
	s.Command = command.Line("go -C bench/engines run .", os.Args[1:])
	return command.Publish(s)
}

// prepare creates the engine's folder and fills it.
func (o options) prepare(c candidate, dir string, r *result) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	e, err := c.open(dir, o.cache)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := o.preload(e); err != nil {
		return err
	}
	r.preload = time.Since(start)
	if err := e.close(); err != nil {
		return err
	}
	r.sizeBefore, err = size(dir)
	return err
}

// measure runs one round of one engine: open, warm up, measure, close, crash, reopen.
func (o options) measure(c candidate, dir string, round int, r *result) error {
	start := time.Now()
	e, err := c.open(dir, o.cache)
	if err != nil {
		return err
	}
	r.open.Add(time.Since(start).Seconds() * 1000)
	commits := startCommitter(e)
	first := 0
	if o.gc {
		first = o.sessions / 10
	}
	if _, err := o.workload.run(e, commits, o.warm, first, uint64(2*round)); err != nil {
		return err
	}
	got, err := o.workload.run(e, commits, o.span, first, uint64(2*round+1))
	if err != nil {
		return err
	}
	r.steady.add(got)
	if o.gc {
		if err := o.measureGC(e, commits, first, round, r); err != nil {
			return err
		}
	}
	commits.stop()
	if err := e.close(); err != nil {
		return err
	}
	if r.sizeAfter, err = size(dir); err != nil {
		return err
	}
	return o.reopenCrashed(c, dir, r)
}

// measureGC measures the load while the sessions below first are deleted, and puts them back afterwards.
func (o options) measureGC(e engine, commits *committer, first, round int, r *result) error {
	stop, stopped := make(chan struct{}), make(chan error, 1)
	reached := 0
	go func() {
		var err error
		reached, err = collect(commits, 0, first, stop)
		stopped <- err
	}()
	got, err := o.workload.run(e, commits, o.span, first, uint64(3000+round))
	close(stop)
	if gcErr := <-stopped; err == nil {
		err = gcErr
	}
	if err != nil {
		return err
	}
	r.collecting.add(got)
	r.collected.Add(float64(reached))
	return workload{sessions: reached, payload: o.payload}.preload(e)
}

// reopenCrashed lets a child process die by kill -9 under load, and reports how long the next open takes.
func (o options) reopenCrashed(c candidate, dir string, r *result) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append(slices.Clone(os.Args[1:]), "--crash", c.name, "--dir", dir)
	child := exec.Command(self, args...)
	child.Stderr = os.Stderr
	var ended *exec.ExitError
	if err := child.Run(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return fmt.Errorf("the child was to die by kill -9, but: %w", err)
	}
	start := time.Now()
	e, err := c.open(dir, o.cache)
	if err != nil {
		return fmt.Errorf("open after a crash: %w", err)
	}
	r.recover.Add(time.Since(start).Seconds() * 1000)
	if _, err := e.get(nil, key(o.sessions-1)); err != nil {
		return fmt.Errorf("read after a crash: %w", err)
	}
	return e.close()
}

// crash is the child: it writes for a while and kills itself in the middle.
func (o options) crash(c candidate) error {
	e, err := c.open(o.dir, o.cache)
	if err != nil {
		return err
	}
	time.AfterFunc(o.warm, func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	_, err = o.workload.run(e, startCommitter(e), time.Hour, 0, 99)
	return err
}
