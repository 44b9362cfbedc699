package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
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
	file, _, err := loadFile(o.config)
	if err != nil {
		return explain(err, stderr, stderr)
	}
	log := o.logger(stderr)
	d, err := lvsproxy.New(file, o.director(log))
	if err != nil {
		return explain(err, stderr, stderr)
	}
	d.LogWarnings(file)
	ctx, restore := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	context.AfterFunc(ctx, restore) // a second signal ends the process at once
	if err := runDirector(ctx, d, o, hup, log); err != nil {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// runDirector runs the director and, beside it, the admin socket and the reloads.
func runDirector(ctx context.Context, d *lvsproxy.Director, o options, hup <-chan os.Signal, log *slog.Logger) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	beside, stop := context.WithCancel(context.Background()) // until the drain is over: the table can be watched meanwhile
	defer stop()
	if o.admin != noAdmin {
		l, err := admin.Listen(o.admin)
		if err != nil {
			return fmt.Errorf("%w (choose another place by --admin PATH, or do without by --admin off)", err)
		}
		wg.Go(func() {
			if err := admin.Serve(beside, l, d.Table); err != nil {
				log.Error("admin socket failed", "error", err)
			}
		})
	}
	following, unfollow := context.WithCancel(ctx)
	defer unfollow()
	wg.Go(func() { d.Follow(following, o.config, config.SystemResolver{}, hup) })
	wg.Go(func() {
		select {
		case <-d.Ready():
			log.Info("ready", "virtual_services", len(d.Table()))
		case <-beside.Done():
		}
	})
	return d.Run(ctx)
}
