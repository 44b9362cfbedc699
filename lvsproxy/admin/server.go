package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxConns bounds how many connections a server has at once; further ones wait.
const maxConns = 64

// Serve answers on l until ctx ends, and closes l. It ends what follows the events; see [Record.Close].
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ReadTimeout: 10 * time.Second, WriteTimeout: writeTimeout, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		timeout, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(timeout) != nil {
			server.Close()
		}
	})
	err := server.Serve(&limited{Listener: l, free: make(chan struct{}, maxConns), done: ctx.Done()})
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// limited is a listener with a bound on its connections.
type limited struct {
	net.Listener
	free chan struct{}
	done <-chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { <-l.free })}, nil
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
