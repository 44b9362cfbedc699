package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/client"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps a clock, and the workers of a server for a few seconds after it ended.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// sessiond is a sessiond on a listener of its own, that can be stopped and started again.
type sessiond struct {
	t       testing.TB
	svc     *sessionstore.Service
	network string
	address string
	mu      sync.Mutex
	server  *httpapi.Server
	served  chan error
}

// start starts a sessiond on a port that the kernel chooses, or on a socket if one is given.
func start(t testing.TB, svc *sessionstore.Service, socket string) *sessiond {
	d := &sessiond{t: t, svc: svc, network: "tcp", address: "127.0.0.1:0"}
	if socket != "" {
		d.network, d.address = "unix", socket
	}
	d.up()
	t.Cleanup(d.down)
	return d
}

func (d *sessiond) up() {
	d.t.Helper()
	l, err := net.Listen(d.network, d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.address = l.Addr().String()
	server, served := httpapi.New(d.svc, httpapi.Options{}), make(chan error, 1)
	d.server, d.served = server, served
	go func() { served <- server.Serve(l) }()
	awaitHealthy(d.t, d.network, d.address) // a Shutdown before Serve began would not end it
}

// awaitHealthy returns once the server answers.
func awaitHealthy(t testing.TB, network, address string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if b, err := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
		t.Fatalf("health: %q, %v", b, err)
	}
}

func (d *sessiond) down() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		d.t.Error(err)
	}
	if err := <-d.served; err != nil {
		d.t.Error(err)
	}
	d.server = nil
}

func (d *sessiond) url() string {
	if d.network == "unix" {
		return "unix://" + d.address
	}
	return "http://" + d.address
}

// dial returns a client that is shut down with the test.
func dial(t testing.TB, o client.Options, endpoints ...string) *client.Client {
	t.Helper()
	c, err := client.New(endpoints, "shop", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := c.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func service(t testing.TB, store sessionstore.Store, policy sessionstore.Policy) *sessionstore.Service {
	t.Helper()
	svc, err := sessionstore.NewService(store, policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

func login(t testing.TB, s sessionstore.Sessions, payload string) string {
	t.Helper()
	o, err := s.Open(t.Context(), "", sessionstore.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), o.ID, sessionstore.WriteOptions{Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
	return o.ID
}

func TestClientIsSessions(t *testing.T) {
	for name, open := range map[string]func(t testing.TB, clock sessionstore.Clock, p sessionstore.Policy) sessionstore.Sessions{
		"TCP": func(t testing.TB, clock sessionstore.Clock, p sessionstore.Policy) sessionstore.Sessions {
			return dial(t, client.Options{}, start(t, service(t, memory.New(clock), p), "").url())
		},
		"UnixSocket": func(t testing.TB, clock sessionstore.Clock, p sessionstore.Policy) sessionstore.Sessions {
			return dial(t, client.Options{}, start(t, service(t, memory.New(clock), p), filepath.Join(t.TempDir(), "s")).url())
		},
		"TwoSessionds": func(t testing.TB, clock sessionstore.Clock, p sessionstore.Policy) sessionstore.Sessions {
			store := memory.New(clock)
			a, b := start(t, service(t, store, p), ""), start(t, service(t, store, p), "")
			return &alternating{turns: []sessionstore.Sessions{
				dial(t, client.Options{}, a.url(), b.url()), dial(t, client.Options{InOrder: true}, b.url(), a.url()),
				dial(t, client.Options{InOrder: true}, a.url()),
			}}
		},
		"TwoConnections": func(t testing.TB, clock sessionstore.Clock, p sessionstore.Policy) sessionstore.Sessions {
			return dial(t, client.Options{MaxConns: 2, ConnectTimeout: 20 * time.Second}, start(t, service(t, memory.New(clock), p), "").url())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time servers are being shut down
			storetest.RunSessions(t, open)
		})
	}
}

// alternating is the sessions of several clients, each operation through the next one, as a director spreads them.
type alternating struct {
	mu    sync.Mutex
	turns []sessionstore.Sessions
	turn  int
}

func (a *alternating) next() sessionstore.Sessions {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn++
	return a.turns[a.turn%len(a.turns)]
}

func (a *alternating) Open(ctx context.Context, id string, o sessionstore.OpenOptions) (sessionstore.Opened, error) {
	return a.next().Open(ctx, id, o)
}
func (a *alternating) Read(ctx context.Context, id string) (sessionstore.Session, error) {
	return a.next().Read(ctx, id)
}
func (a *alternating) Write(ctx context.Context, id string, w sessionstore.WriteOptions) (uint64, error) {
	return a.next().Write(ctx, id, w)
}
func (a *alternating) Touch(ctx context.Context, id string, o sessionstore.TouchOptions) error {
	return a.next().Touch(ctx, id, o)
}
func (a *alternating) Destroy(ctx context.Context, id string) error { return a.next().Destroy(ctx, id) }
func (a *alternating) Regenerate(ctx context.Context, id string, o sessionstore.RegenerateOptions) (string, sessionstore.Session, error) {
	return a.next().Regenerate(ctx, id, o)
}
func (a *alternating) Close(ctx context.Context, id string, token uint64) error {
	return a.next().Close(ctx, id, token)
}
func (a *alternating) GC(ctx context.Context) (int, error) { return a.next().GC(ctx) }

func TestNewRefuses(t *testing.T) {
	for name, x := range map[string]struct {
		endpoints []string
		namespace string
		o         client.Options
	}{
		"no endpoint":   {nil, "shop", client.Options{}},
		"bare address":  {[]string{"127.0.0.1:80"}, "shop", client.Options{}},
		"no port":       {[]string{"http://127.0.0.1"}, "shop", client.Options{}},
		"path":          {[]string{"http://127.0.0.1:80/api"}, "shop", client.Options{}},
		"query":         {[]string{"http://127.0.0.1:80?x=y"}, "shop", client.Options{}},
		"password":      {[]string{"http://me:secret@127.0.0.1:80"}, "shop", client.Options{}},
		"TLS":           {[]string{"https://127.0.0.1:80"}, "shop", client.Options{}},
		"relative path": {[]string{"unix:run/sessiond"}, "shop", client.Options{}},
		"unix host":     {[]string{"unix://run/sessiond"}, "shop", client.Options{}},
		"twice":         {[]string{"http://127.0.0.1:80", "http://127.0.0.1:80/"}, "shop", client.Options{}},
		"namespace":     {[]string{"http://127.0.0.1:80"}, "../shop", client.Options{}},
		"time-out":      {[]string{"http://127.0.0.1:80"}, "shop", client.Options{ReadTimeout: -1}},
		"connections":   {[]string{"http://127.0.0.1:80"}, "shop", client.Options{MaxConns: 1}},
	} {
		_, err := client.New(x.endpoints, x.namespace, x.o)
		if !errors.Is(err, sessionstore.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
