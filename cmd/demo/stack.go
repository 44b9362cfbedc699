package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/client"
	"github.com/lvsession/lvsession/sessionstore/embedded"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
)

// directorFile is what the director reads, an ldirectord.cf as the talk of 2006 shows one.
const directorFile = `
checktimeout=2
checkinterval=1
quiescent=no
virtual=%s
	real=%s masq
	real=%s masq
	service=http
	request="lvscheck"
	receive="alive"
	scheduler=rr
	protocol=tcp
	checktype=negotiate
`

// ending is how long each part may take to end.
const ending = 5 * time.Second

// stack is everything that runs, in the order in which it was started.
type stack struct {
	url      string    // of the VIP
	sessiond string    // URL
	servers  [2]string // addresses of web1 and web2
	director *lvsproxy.Director
	wg       sync.WaitGroup
	ends     []func() error // in the order of starting
}

// startStack starts the whole product from the back to the front, and returns once the director has found both web
// servers alive.
func startStack(ctx context.Context, addr, data string, log *slog.Logger) (*stack, error) {
	s := &stack{}
	err := s.start(ctx, addr, data, log)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stack) start(ctx context.Context, addr, data string, log *slog.Logger) error {
	if err := s.startSessiond(data, log); err != nil {
		return err
	}
	sessions, err := client.New([]string{s.sessiond}, "demo", client.Options{})
	if err != nil {
		return err
	}
	s.ends = append(s.ends, within(sessions.Shutdown))
	key := make([]byte, 32) // both servers must have the same, or they would not take each other's cookies
	rand.Read(key)
	for i := range s.servers {
		store := gorilla.New(sessions, key)
		if s.servers[i], err = s.startServer(page(fmt.Sprintf("web%d", i+1), store)); err != nil {
			return err
		}
	}
	return s.startDirector(ctx, addr, log)
}

func (s *stack) startSessiond(data string, log *slog.Logger) error {
	store, err := embedded.Open(data, embedded.Options{})
	if err != nil {
		return err
	}
	s.ends = append(s.ends, store.Close)
	svc, err := sessionstore.NewService(store, sessionstore.DefaultPolicy(), log)
	if err != nil {
		return err
	}
	collecting, stop := context.WithCancel(context.Background())
	var collector sync.WaitGroup
	collector.Go(func() { svc.Collect(collecting) })
	s.ends = append(s.ends, func() error { stop(); collector.Wait(); return nil })

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := httpapi.New(svc, httpapi.Options{Logger: log})
	s.wg.Go(func() { server.Serve(l) })
	s.ends = append(s.ends, within(server.Shutdown))
	s.sessiond = "http://" + l.Addr().String()
	return nil
}

// startServer starts a web server and returns its address.
func (s *stack) startServer(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: ending}
	s.wg.Go(func() { server.Serve(l) })
	s.ends = append(s.ends, within(server.Shutdown))
	return l.Addr().String(), nil
}

func (s *stack) startDirector(ctx context.Context, addr string, log *slog.Logger) error {
	vip, err := freePort(addr)
	if err != nil {
		return err
	}
	file, err := config.Parse("built-in ldirectord.cf", fmt.Appendf(nil, directorFile, vip, s.servers[0], s.servers[1]), config.SystemResolver{})
	if err != nil {
		return err
	}
	if s.director, err = lvsproxy.New(file, lvsproxy.Options{Logger: log, DrainTimeout: ending}); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var failure error
	go func() {
		defer close(ended)
		failure = s.director.Run(running)
	}()
	s.ends = append(s.ends, func() error { stop(); <-ended; return nil })
	s.url = "http://" + vip + "/"
	select {
	case <-s.director.Ready():
		return nil
	case <-ended:
		return failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freePort returns the address with a port that is free in place of port 0.
func freePort(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("--addr: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// close ends everything, the front first.
func (s *stack) close() (err error) {
	for i := len(s.ends) - 1; i >= 0; i-- {
		err = errors.Join(err, s.ends[i]())
	}
	s.wg.Wait()
	return err
}

// within bounds the time that a part takes to end.
func within(shutdown func(context.Context) error) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), ending)
		defer cancel()
		return shutdown(ctx)
	}
}
