package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/access"
	"github.com/lvsession/lvsession/sessionstore/embedded"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/resp"
)

// serve runs sessiond until the context ends, and then drains.
func serve(ctx context.Context, c *config) (err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.level}))
	open, err := c.doors.listen(log)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, c, log)
	if err != nil {
		closeAll(open)
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	svc, err := sessionstore.NewService(store, c.policy, log, c.own...)
	if err != nil {
		closeAll(open)
		return err
	}
	rate := &access.Rate{PerSecond: c.doors.createRate}
	redis, err := resp.New(svc, resp.Options{
		Namespace: c.doors.redisNamespace, Prefixes: c.doors.prefixes(), LockWait: c.doors.lockWait(),
		Secrets: &c.doors.secrets, Rate: rate, MaxConns: c.conns, Logger: log,
	})
	if err != nil {
		closeAll(open)
		return fmt.Errorf("--redis-namespace %s: %w", c.doors.redisNamespace, err)
	}
	server := httpapi.New(svc, httpapi.Options{
		Logger: log, MaxConns: c.conns, Secrets: &c.doors.secrets, Rate: rate, Collectors: []prometheus.Collector{redis},
	})

	var wg sync.WaitGroup
	collecting, stopCollecting := context.WithCancel(context.Background())
	wg.Go(func() { svc.Collect(collecting) })
	failed := make(chan error, len(open))
	for _, l := range open {
		serve := server.Serve
		if l.protocol == "Redis" {
			serve = redis.Serve
		}
		wg.Go(func() { failed <- serve(l) })
		log.Info("serving "+l.protocol, "address", l.Addr().String(), "store", c.store)
	}
	if c.doors.secrets.Open() && c.doors.beyondLoopback(open) {
		log.Warn("there are no secrets: whoever reaches this machine can use the sessions whose ids they know")
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopCollecting()
	err = errors.Join(err, shutDown(server, redis, c, log))
	wg.Wait()
	return err
}

// shutDown drains: first it says so on /readyz, then it refuses connections, then it waits for the requests in flight.
func shutDown(server *httpapi.Server, redis *resp.Server, c *config, log *slog.Logger) error {
	log.Info("draining", "for", c.drain+c.stop)
	server.Drain()
	time.Sleep(c.drain)
	ctx, cancel := context.WithTimeout(context.Background(), c.stop)
	defer cancel()
	var wg sync.WaitGroup
	var errRedis error
	wg.Go(func() { errRedis = redis.Shutdown(ctx) })
	err := server.Shutdown(ctx)
	wg.Wait()
	return errors.Join(err, errRedis)
}

func openStore(ctx context.Context, c *config, log *slog.Logger) (sessionstore.Store, error) {
	switch c.store {
	case "memory":
		log.Warn("sessions are in memory only and will be lost with this process")
		return memory.New(nil), nil
	case "embedded":
		o := embedded.Options{Log: log}
		if c.sync == "everysec" {
			o.SyncEvery = time.Second
		}
		s, err := embedded.Open(c.data, o)
		if err != nil {
			return nil, fmt.Errorf("--data %s: %w", c.data, err)
		}
		return s, nil
	case "ndbapi":
		return openNDB(ctx, c.ndb, log)
	default:
		return openMySQL(ctx, c.dsn.Values, log)
	}
}
