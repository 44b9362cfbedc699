package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Options are a client's limits. Zero values mean the defaults.
type Options struct {
	// ConnectTimeout is how long connecting to an endpoint may take, and how long a request waits for a connection that
	// other requests have in use. Default 1 s.
	ConnectTimeout time.Duration
	// WriteTimeout is how long sending a request may take. Default 5 s.
	WriteTimeout time.Duration
	// ReadTimeout is how long an answer may take to arrive in full; waiting for a lease comes on top. Default 10 s.
	ReadTimeout time.Duration
	// LockWait is how long an answer to an Open that leaves the wait to sessiond's policy may take on top. It must not
	// be shorter than that policy's wait. Default 40 s, as the policy's.
	LockWait time.Duration
	// IdleTimeout is how long a connection is kept unused. It must be shorter than sessiond's own. Default 1 minute.
	IdleTimeout time.Duration
	// MaxConns is how many connections there are at most to each endpoint, in use or idle: at least 2, since no more
	// than three quarters of them may wait for leases, or the leases' holders could not write. Default 256.
	MaxConns int
	// Avoid is how long an endpoint is avoided after it failed once. The time doubles with every further failure, up to
	// 16 times. Default 500 ms.
	Avoid time.Duration
	// InOrder prefers the endpoints in the order given. By default each session has its own order.
	InOrder bool
	// Secret is that of the namespace, where sessiond wants one (--secret).
	Secret string
}

func (o Options) withDefaults() (Options, error) {
	for _, d := range []struct {
		name   string
		value  *time.Duration
		value0 time.Duration
	}{
		{"connect time-out", &o.ConnectTimeout, time.Second}, {"write time-out", &o.WriteTimeout, 5 * time.Second},
		{"read time-out", &o.ReadTimeout, 10 * time.Second}, {"lock wait", &o.LockWait, sessionstore.DefaultPolicy().LockWait},
		{"idle time-out", &o.IdleTimeout, time.Minute}, {"avoid", &o.Avoid, 500 * time.Millisecond},
	} {
		if *d.value < 0 {
			return o, fmt.Errorf("%w: %s %v is negative", sessionstore.ErrInvalid, d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.value0
		}
	}
	if o.MaxConns == 0 {
		o.MaxConns = 256
	}
	if o.MaxConns < 2 {
		return o, fmt.Errorf("%w: max connections %d is less than 2", sessionstore.ErrInvalid, o.MaxConns)
	}
	if strings.ContainsFunc(o.Secret, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return o, fmt.Errorf("%w: the secret has a control character", sessionstore.ErrInvalid)
	}
	return o, nil
}

// Client is the [sessionstore.Sessions] of one namespace of a remote sessiond. Its methods may be called concurrently.
type Client struct {
	namespace string
	opts      Options
	endpoints []*endpoint

	ctx    context.Context // of what outlives the call that began it; ends with Shutdown
	stop   context.CancelFunc
	mu     sync.Mutex // guards closed, and strays against beginning after it
	closed bool
	strays sync.WaitGroup
}

var _ sessionstore.Sessions = (*Client)(nil)

// New returns a client of the namespace at the endpoints, each of them "http://host:port" or "unix:///path/of/socket".
// It connects to nothing yet. The error wraps [sessionstore.ErrInvalid].
func New(endpoints []string, namespace string, o Options) (*Client, error) {
	if err := sessionstore.CheckNamespace(namespace); err != nil {
		return nil, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(endpoints) == 0 {
		return nil, fmt.Errorf("%w: no endpoint", sessionstore.ErrInvalid)
	}
	c := &Client{namespace: namespace, opts: o}
	for _, text := range endpoints {
		network, address, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(c.endpoints, func(e *endpoint) bool { return e.address == address }) {
			return nil, fmt.Errorf("%w: endpoint %q is given twice", sessionstore.ErrInvalid, text)
		}
		c.endpoints = append(c.endpoints, newEndpoint(network, address, o))
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

func parseEndpoint(text string) (network, address string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", "", fmt.Errorf("%w: endpoint: %w", sessionstore.ErrInvalid, err)
	}
	bare := u.RawQuery == "" && u.Fragment == "" && u.User == nil
	switch {
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/") && bare:
		return "unix", u.Path, nil
	case u.Scheme == "http" && u.Hostname() != "" && u.Port() != "" && strings.Trim(u.Path, "/") == "" && bare:
		return "tcp", net.JoinHostPort(u.Hostname(), u.Port()), nil
	}
	return "", "", fmt.Errorf("%w: endpoint %q is neither http://host:port nor unix:///path", sessionstore.ErrInvalid, u.Redacted())
}

// Shutdown waits for what is under way in the background, leases that came too late for their callers and are given
// back, and closes all connections. When the context ends it waits no longer; such leases then end by themselves.
// Operations that follow fail.
func (c *Client) Shutdown(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		c.strays.Wait()
		close(gone)
	}()
	var err error
	select {
	case <-gone:
	case <-ctx.Done():
		err = fmt.Errorf("shut down session client: %w", ctx.Err())
	}
	c.stop()
	<-gone
	for _, e := range c.endpoints {
		e.close()
	}
	return err
}

// begin counts a goroutine that may outlive the call that began it; it must call c.strays.Done.
func (c *Client) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	c.strays.Add(1)
	return nil
}

var errClosed = errors.New("session client is shut down")
