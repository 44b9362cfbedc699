package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/embedded"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// serve runs sessiond until the context ends, and then drains.
func serve(ctx context.Context, c *config) (err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.level}))
	listeners, err := listen(c)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, c, log)
	if err != nil {
		closeAll(listeners)
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	svc, err := sessionstore.NewService(store, c.policy, log, c.own...)
	if err != nil {
		closeAll(listeners)
		return err
	}
	server := httpapi.New(svc, httpapi.Options{Logger: log, MaxConns: c.conns})

	var wg sync.WaitGroup
	collecting, stopCollecting := context.WithCancel(context.Background())
	wg.Go(func() { svc.Collect(collecting) })
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		wg.Go(func() { failed <- server.Serve(l) })
		log.Info("serving HTTP", "address", l.Addr().String(), "store", c.store)
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopCollecting()
	err = errors.Join(err, shutDown(server, c, log))
	wg.Wait()
	return err
}

// shutDown drains: first it says so on /readyz, then it refuses connections, then it waits for the requests in flight.
func shutDown(server *httpapi.Server, c *config, log *slog.Logger) error {
	log.Info("draining", "for", c.drain+c.stop)
	server.Drain()
	time.Sleep(c.drain)
	ctx, cancel := context.WithTimeout(context.Background(), c.stop)
	defer cancel()
	return server.Shutdown(ctx)
}

// listen opens what is to be served on, so that a mistake there shows before anything else begins.
func listen(c *config) (list []net.Listener, err error) {
	if c.http != "" {
		l, err := net.Listen("tcp", c.http)
		if err != nil {
			return nil, fmt.Errorf("--http %s: %w", c.http, err)
		}
		list = append(list, l)
	}
	if c.unix != "" {
		l, err := listenUnix(c.unix)
		if err != nil {
			closeAll(list)
			return nil, fmt.Errorf("--unix %s: %w", c.unix, err)
		}
		list = append(list, l)
	}
	return list, nil
}

// listenUnix listens on a socket that everyone may connect to who may enter its folder. A socket that a killed sessiond
// left behind is replaced, one that is in use is not.
func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			conn.Close()
			return nil, errors.New("another process is serving there")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		l.Close()
	}
}

func openStore(ctx context.Context, c *config, log *slog.Logger) (sessionstore.Store, error) {
	switch c.store {
	case "memory":
		log.Warn("sessions are in memory only and will be lost with this process")
		return memory.New(nil), nil
	case "embedded":
		s, err := embedded.Open(c.data, embedded.Options{})
		if err != nil {
			return nil, fmt.Errorf("--data %s: %w", c.data, err)
		}
		return s, nil
	default:
		return openMySQL(ctx, c.dsn.Values, log)
	}
}
