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
	usr2 := make(chan os.Signal, 1)
	signal.Notify(usr2, syscall.SIGUSR2)
	defer signal.Stop(usr2)
	inherited, err := inherit()
	if err != nil {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitFailed
	}
	file, _, err := loadFile(o.config, o.newDataplane(nil, nil))
	if err != nil {
		return explain(err, stderr, stderr)
	}
	logs := newLogFile(o)
	defer logs.set("")
	log := slog.New(slog.NewMultiHandler(logs.handler(), o.handler(stderr))) // in this order: what standard error shows is in the file
	follow := func(file *config.File) {
		if err := logs.set(file.Spec.LogFile); err != nil {
			log.Warn("no log file", "error", err)
		}
	}
	follow(file)
	record := admin.NewRecord()
	o.loops = spareProcessor()
	others := newExecutions(o, stderr, log)
	settings := o.director(log, record, inherited)
	settings.OnLoad = func(file *config.File) {
		follow(file)
		others.set(file.Spec.Execute)
	}
	d, err := lvsproxy.New(file, settings)
	if err != nil {
		return explain(err, stderr, stderr)
	}
	d.LogWarnings(file)
	ctx, restore := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	context.AfterFunc(ctx, restore) // a second signal ends the process at once
	defer others.wait()
	defer others.stop()
	context.AfterFunc(ctx, others.stop) // they drain while this one does
	others.set(file.Spec.Execute)
	r := running{d: d, record: record, options: o, inherited: inherited, others: others, log: log}
	r.handover = handover{log: log, program: programPath(), dataplane: settings.Dataplane, keep: d.KeepState}
	if err := r.run(ctx, hup, usr2); err != nil {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// running is a director and what is beside it.
type running struct {
	d         *lvsproxy.Director
	record    *admin.Record
	options   options
	inherited *sockets
	handover  handover
	others    *executions
	log       *slog.Logger
}

// run runs the director and, beside it, what looks at it, the reloads and the handover.
func (r *running) run(ctx context.Context, hup, usr2 <-chan os.Signal) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	beside, stop := context.WithCancel(context.Background()) // until the drain is over: the table can be watched meanwhile
	defer stop()
	defer r.record.Close() // before the servers end, which wait for those that follow the events
	if err := r.serveBeside(beside, &wg); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	if r.options.config != noConfig {
		wg.Go(func() { r.d.Follow(ctx, r.options.config, config.SystemResolver{}, hup) })
	}
	wg.Go(func() {
		select {
		case <-r.d.Ready():
		case <-beside.Done():
			return
		}
		r.log.Info("ready", "virtual_services", len(r.d.Table()))
		if err := notify("READY=1", fmt.Sprintf("MAINPID=%d", os.Getpid())); err != nil {
			r.log.Warn("cannot tell systemd", "error", err)
		}
		r.inherited.finish()
		if r.handover.run(ctx, usr2) {
			r.others.stop() // the next process starts its own, once these have closed their VIPs
			r.handover.leave()
			r.record.Close()
			stop()
			end()
		}
	})
	return r.d.Run(ctx)
}

// serveBeside serves the admin socket, and the metrics over TCP if asked for, until ctx ends.
func (r *running) serveBeside(ctx context.Context, wg *sync.WaitGroup) error {
	serve := func(l net.Listener, h http.Handler) {
		r.handover.listeners = append(r.handover.listeners, l)
		wg.Go(func() {
			if err := admin.Serve(ctx, l, h); err != nil {
				r.log.Error("serving failed", "address", l.Addr(), "error", err)
			}
		})
	}
	if path := r.options.admin; path != noAdmin {
		l, err := r.inherited.listener("unix", path)
		if l == nil && err == nil {
			l, err = admin.Listen(path)
		}
		if err != nil {
			return fmt.Errorf("%w (choose another place by --admin PATH, or do without by --admin off)", err)
		}
		serve(l, admin.Handler(r.d, r.record))
	}
	if r.options.metrics != "" {
		l, err := r.inherited.listener("tcp", r.options.metricsAddr())
		if l == nil && err == nil {
			l, err = net.Listen("tcp", r.options.metricsAddr())
		}
		if err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
		r.log.Info("serving metrics", "address", l.Addr())
		serve(l, admin.ReadOnly(r.d, r.record))
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
