package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/client"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// wire is a TCP relay in front of a sessiond, whose faults a test sets.
type wire struct {
	t       testing.TB
	l       net.Listener
	to      string
	accepts atomic.Int64
	fault   atomic.Pointer[func(request []byte) fault]
	wg      sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool
}

// fault is what happens to one request.
type fault int

const (
	pass       fault = iota
	cutBefore        // the connection breaks before sessiond gets the request
	cutAfter         // the connection breaks once sessiond has answered
	stall            // nothing happens any more
	otherVoice       // something that is no sessiond answers
	refuse           // 503
)

func newWire(t testing.TB, to string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, l: l, to: strings.TrimPrefix(to, "http://"), open: map[net.Conn]bool{}}
	w.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.accepts.Add(1)
			w.mu.Lock()
			w.open[c] = true
			w.mu.Unlock()
			w.wg.Go(func() { w.relay(c) })
		}
	})
	t.Cleanup(w.cut)
	return w
}

func (w *wire) url() string { return "http://" + w.l.Addr().String() }

// cut ends the relay, as a machine that goes away.
func (w *wire) cut() {
	w.l.Close()
	w.mu.Lock()
	for c := range w.open {
		c.Close()
	}
	w.mu.Unlock()
	w.wg.Wait()
}

func (w *wire) set(f func(request []byte) fault) { w.fault.Store(&f) }

// once breaks the first request that has this method.
func (w *wire) once(method string, what fault) {
	var done atomic.Bool
	w.set(func(request []byte) fault {
		if bytes.HasPrefix(request, []byte(method+" ")) && done.CompareAndSwap(false, true) {
			return what
		}
		return pass
	})
}

// relay passes one exchange after the other. The tests' requests come in one piece each.
func (w *wire) relay(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer up.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		what := pass
		if f := w.fault.Load(); f != nil {
			what = (*f)(b[:n])
		}
		switch what {
		case cutBefore:
			return
		case stall:
			io.Copy(io.Discard, c) // until the client gives up
			return
		case otherVoice:
			io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nnope")
			continue
		case refuse:
			body := `{"type":"about:blank","title":"unavailable","status":503,"detail":"later"}`
			fmt.Fprintf(c, "HTTP/1.1 503 x\r\nContent-Type: application/problem+json\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			continue
		}
		if _, err := up.Write(b[:n]); err != nil {
			return
		}
		if n, err = up.Read(b); err != nil || what == cutAfter {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// pair returns two sessiond that share a store, each behind a wire, and a client that prefers the first.
func pair(t *testing.T, o client.Options) (a, b *wire, c *client.Client) {
	store := memory.New(nil)
	a = newWire(t, start(t, service(t, store, sessionstore.DefaultPolicy()), "").url())
	b = newWire(t, start(t, service(t, store, sessionstore.DefaultPolicy()), "").url())
	o.InOrder = true
	return a, b, dial(t, o, a.url(), b.url())
}

// everyOperation does each once, on a session of its own.
func everyOperation(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id := login(t, c, "one")
	o, err := c.Open(ctx, id, sessionstore.OpenOptions{Lock: true})
	must(err)
	v, err := c.Write(ctx, id, sessionstore.WriteOptions{Payload: []byte("two"), IfVersion: o.Session.Version, Token: o.Lease.Token})
	must(err)
	if v != 2 {
		t.Fatalf("version %d", v)
	}
	must(c.Close(ctx, id, o.Lease.Token))
	must(c.Touch(ctx, id, sessionstore.TouchOptions{}))
	id, s, err := c.Regenerate(ctx, id, sessionstore.RegenerateOptions{})
	must(err)
	if string(s.Payload) != "two" {
		t.Fatalf("payload %q", s.Payload)
	}
	s, err = c.Read(ctx, id)
	must(err)
	if string(s.Payload) != "two" || s.Version != 2 {
		t.Fatalf("read %+v", s)
	}
	must(c.Destroy(ctx, id))
	_, err = c.GC(ctx)
	must(err)
}

func TestFailover(t *testing.T) {
	for name, what := range map[string]fault{"cut before": cutBefore, "no sessiond": otherVoice, "refuses": refuse} {
		t.Run(name, func(t *testing.T) {
			a, _, c := pair(t, client.Options{Avoid: time.Millisecond})
			a.set(func([]byte) fault { return what })
			everyOperation(t, c)
		})
	}
	t.Run("stalls", func(t *testing.T) {
		a, _, c := pair(t, client.Options{ReadTimeout: time.Second, Avoid: time.Minute})
		a.set(func([]byte) fault { return stall })
		everyOperation(t, c)
	})
	t.Run("cut after", func(t *testing.T) { // every answer of a is lost, yet nothing is done twice
		a, _, c := pair(t, client.Options{Avoid: time.Millisecond})
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			a.once(method, cutAfter)
			everyOperation(t, c)
		}
	})
	t.Run("gone", func(t *testing.T) {
		a, _, c := pair(t, client.Options{})
		everyOperation(t, c)
		a.cut()
		everyOperation(t, c)
	})
}

func TestConditionalWriteWhoseAnswerWasLost(t *testing.T) {
	for name, x := range map[string]struct {
		first   fault
		theirs  bool // another writer comes before the repetition
		version uint64
		want    error
		payload string
	}{
		"not applied":             {cutBefore, false, 2, nil, "mine"},
		"applied":                 {cutAfter, false, 2, nil, "mine"},
		"not applied, overtaken":  {cutBefore, true, 0, sessionstore.ErrConflict, "theirs"},
		"applied and overwritten": {cutAfter, true, 0, sessionstore.ErrConflict, "theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, c := pair(t, client.Options{})
			other := dial(t, client.Options{}, b.url())
			id := login(t, c, "one")
			var puts atomic.Int64
			a.set(func(request []byte) fault {
				if !bytes.HasPrefix(request, []byte("PUT ")) {
					return pass
				}
				if puts.Add(1) == 1 {
					return x.first
				}
				if x.theirs {
					if _, err := other.Write(t.Context(), id, sessionstore.WriteOptions{Payload: []byte("theirs"), IfVersion: sessionstore.AnyVersion}); err != nil {
						t.Error(err)
					}
				}
				return pass
			})
			v, err := c.Write(t.Context(), id, sessionstore.WriteOptions{Payload: []byte("mine"), IfVersion: 1})
			if !errors.Is(err, x.want) || v != x.version || puts.Load() != 2 {
				t.Errorf("version %d, %v, after %d requests; want %d, %v", v, err, puts.Load(), x.version, x.want)
			}
			if s, err := c.Read(t.Context(), id); err != nil || string(s.Payload) != x.payload {
				t.Errorf("read %q, %v", s.Payload, err)
			}
		})
	}
}

func TestRestartOfTheOnlySessiond(t *testing.T) {
	store := memory.New(nil)
	d := start(t, service(t, store, sessionstore.DefaultPolicy()), "")
	c := dial(t, client.Options{Avoid: time.Minute}, d.url())
	id := login(t, c, "one")
	for range 3 { // restarts that no request falls into go unnoticed
		d.down()
		d.up()
		if _, err := c.Read(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	d.down()
	for range 3 {
		_, err := c.Read(t.Context(), id)
		var away *sessionstore.UnavailableError
		if !errors.As(err, &away) || away.RetryAfter <= 0 || away.RetryAfter > 16*time.Minute {
			t.Fatalf("with no sessiond: %v", err)
		}
	}
	d.up()
	if _, err := c.Read(t.Context(), id); err != nil {
		t.Fatalf("it is back, and nobody else is trying: %v", err)
	}
}

func TestWhatIsNoSessiondLogsNobodyOut(t *testing.T) {
	a, b, c := pair(t, client.Options{Avoid: time.Millisecond})
	id := login(t, c, "one")
	nobody := func([]byte) fault { return otherVoice }
	a.set(nobody)
	b.set(nobody)
	_, err := c.Read(t.Context(), id)
	if !errors.Is(err, sessionstore.ErrUnavailable) || errors.Is(err, sessionstore.ErrNotFound) {
		t.Fatalf("a 404 of something else: %v", err)
	}
}

func TestUnavailableTellsWhenToTryAgain(t *testing.T) {
	a, b, c := pair(t, client.Options{})
	busy := func([]byte) fault { return refuse }
	a.set(busy)
	b.set(busy)
	_, err := c.Read(t.Context(), sessionstore.NewID())
	var away *sessionstore.UnavailableError
	if !errors.As(err, &away) || away.RetryAfter != 7*time.Second || !strings.Contains(err.Error(), "read session") {
		t.Fatalf("got %v", err)
	}
}

// An endpoint that stalls is tried by one request at a time; the others fail or go elsewhere at once.
func TestNoHerdAtAStalledEndpoint(t *testing.T) {
	d := start(t, service(t, memory.New(nil), sessionstore.DefaultPolicy()), "")
	w := newWire(t, d.url())
	c := dial(t, client.Options{ReadTimeout: time.Second, Avoid: time.Hour}, w.url())
	id := login(t, c, "one")
	var stalled atomic.Int64
	w.set(func([]byte) fault { stalled.Add(1); return stall })
	if _, err := c.Read(t.Context(), id); !errors.Is(err, sessionstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a stalled endpoint: %v", err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := c.Read(t.Context(), id); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// One trial after the other: at most as many as time-outs fit in, however many requests there were.
	if most := int64(time.Since(began)/time.Second) + 2; stalled.Load() > most {
		t.Errorf("%d requests went to a stalled endpoint, want %d at most", stalled.Load(), most)
	}
	w.set(func([]byte) fault { return pass })
	if _, err := c.Read(t.Context(), id); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

func TestConnectionsAreBoundedAndReused(t *testing.T) {
	d := start(t, service(t, memory.New(nil), sessionstore.DefaultPolicy()), "")
	w := newWire(t, d.url())
	c := dial(t, client.Options{MaxConns: 3, ConnectTimeout: 10 * time.Second}, w.url())
	id := login(t, c, "one")
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			for range 10 {
				if _, err := c.Read(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := w.accepts.Load(); n > 3 {
		t.Errorf("%d connections, want 3 at most", n)
	}
}

func TestContextEndsAnExchange(t *testing.T) {
	d := start(t, service(t, memory.New(nil), sessionstore.DefaultPolicy()), "")
	w := newWire(t, d.url())
	c := dial(t, client.Options{}, w.url())
	id := login(t, c, "one")
	ctx, cancel := context.WithCancel(t.Context())
	w.set(func([]byte) fault { cancel(); return stall })
	began := time.Now()
	_, err := c.Read(ctx, id)
	if !errors.Is(err, context.Canceled) || errors.Is(err, sessionstore.ErrUnavailable) || time.Since(began) > 5*time.Second {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	w.set(func([]byte) fault { return pass })
	if _, err := c.Read(t.Context(), id); err != nil {
		t.Fatalf("a visitor who left made the endpoint suspect: %v", err)
	}
}

// The lease of a waiter who left is given back, not kept until it ends by itself.
func TestLeaseThatCameTooLate(t *testing.T) {
	d := start(t, service(t, memory.New(nil), sessionstore.DefaultPolicy()), "")
	c := dial(t, client.Options{}, d.url())
	id := login(t, c, "one")
	held, err := c.Open(t.Context(), id, sessionstore.OpenOptions{Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Open(ctx, id, sessionstore.OpenOptions{Lock: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := c.Close(t.Context(), id, held.Lease.Token); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), id, sessionstore.OpenOptions{Lock: true, LockWait: 10 * time.Second}); err != nil {
		t.Fatalf("the lease is held by nobody: %v", err)
	}
}

func TestAfterShutdown(t *testing.T) {
	d := start(t, service(t, memory.New(nil), sessionstore.DefaultPolicy()), "")
	c := dial(t, client.Options{}, d.url())
	id := login(t, c, "one")
	if err := c.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, lock := range []bool{false, true} {
		if _, err := c.Open(t.Context(), id, sessionstore.OpenOptions{Lock: lock}); !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("lock %v: %v", lock, err)
		}
	}
}
