package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// serve runs the director until a signal ends it.
func serve(o options, stderr io.Writer) int {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // first of all: a HUP that comes early must not end the process
	defer signal.Stop(hup)
	file, _, err := o.loadFile(o.config)
	if err != nil {
		return explain(err, stderr, stderr)
	}
	log := o.logger(stderr)
	record := admin.NewRecord()
	o.loops = spareProcessor()
	d, err := lvsproxy.New(file, o.director(log, record))
	if err != nil {
		return explain(err, stderr, stderr)
	}
	d.LogWarnings(file)
	ctx, restore := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	context.AfterFunc(ctx, restore) // a second signal ends the process at once
	if err := runDirector(ctx, d, record, o, hup, log); err != nil {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// runDirector runs the director and, beside it, what looks at it and the reloads.
func runDirector(ctx context.Context, d *lvsproxy.Director, record *admin.Record, o options, hup <-chan os.Signal, log *slog.Logger) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	beside, stop := context.WithCancel(context.Background()) // until the drain is over: the table can be watched meanwhile
	defer stop()
	defer record.Close() // before the servers end, which wait for those that follow the events
	if err := o.serveBeside(beside, &wg, d, record, log); err != nil {
		return err
	}
	following, unfollow := context.WithCancel(ctx)
	defer unfollow()
	if o.config != noConfig {
		wg.Go(func() { d.Follow(following, o.config, config.SystemResolver{}, hup) })
	}
	wg.Go(func() {
		select {
		case <-d.Ready():
			log.Info("ready", "virtual_services", len(d.Table()))
		case <-beside.Done():
		}
	})
	return d.Run(ctx)
}

// serveBeside serves the admin socket, and the metrics over TCP if asked for, until ctx ends.
func (o options) serveBeside(ctx context.Context, wg *sync.WaitGroup, d *lvsproxy.Director, record *admin.Record, log *slog.Logger) error {
	serve := func(l net.Listener, h http.Handler) {
		wg.Go(func() {
			if err := admin.Serve(ctx, l, h); err != nil {
				log.Error("serving failed", "address", l.Addr(), "error", err)
			}
		})
	}
	if o.admin != noAdmin {
		l, err := admin.Listen(o.admin)
		if err != nil {
			return fmt.Errorf("%w (choose another place by --admin PATH, or do without by --admin off)", err)
		}
		serve(l, admin.Handler(d, record))
	}
	if o.metrics != "" {
		l, err := net.Listen("tcp", o.metricsAddr())
		if err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
		log.Info("serving metrics", "address", l.Addr())
		serve(l, admin.ReadOnly(d, record))
	}
	return nil
}

// spareProcessor gives Go one processor more than there are cores for loops, and returns the number of the latter. Then the
// loops may keep theirs while they wait for a moment, and all else runs on the one to spare. Otherwise Go's monitor
// takes the processors away from them and looks every 20 µs for that, which costs a good part of the traffic.
func spareProcessor() (loops int) {
	loops = runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(loops + 1)
	return loops
}
