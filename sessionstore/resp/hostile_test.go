package resp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/access"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/resp"
)

func secrets(t *testing.T, pairs ...string) *access.Secrets {
	t.Helper()
	s := &access.Secrets{}
	for _, pair := range pairs {
		if err := s.AddPair(pair); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestSecrets(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{Namespace: "home", Secrets: secrets(t, "shop=one", "blog=two", "home=three", "shop-db2=four")}, nil)
	c := f.dial()
	for _, line := range []string{"GET k", "PING", "SELECT 1", "FLUSHALL", "HELLO 3"} {
		c.wantFails(line, "NOAUTH")
	}
	c.wantFails("AUTH wrong", "WRONGPASS")
	c.wantFails("AUTH blog one", "WRONGPASS")
	c.wantFails("AUTH Bad! one", "WRONGPASS")
	c.want("AUTH one", "OK")
	c.want("SET k of-shop", "OK")
	c.want("AUTH blog two", "OK")
	c.want("GET k", "nil")
	c.want("AUTH shop one", "OK")
	c.want("GET k", `"of-shop"`)
	c.want("AUTH default three", "OK")
	c.want("GET k", "nil")
	if got := c.do("HELLO 3 AUTH default one SETNAME x"); !strings.HasPrefix(got, "{") {
		t.Errorf("HELLO: %s", got)
	}
	c.want("GET k", `"of-shop"`)
	c.want("SELECT 1", "OK")
	c.want("GET k", "nil")
	c.wantFails("SELECT 2", "NOPERM")
	c.want("RESET", "RESET")
	c.wantFails("GET k", "NOAUTH")

	c = f.dial()
	for range 4 {
		c.wantFails("AUTH guess", "WRONGPASS")
	}
	if _, err := c.read(); err != io.EOF {
		t.Errorf("a client may guess on: %v", err)
	}
	// What comes before AUTH is kept small.
	for _, huge := range []string{"*1\r\n$100000\r\n", "*1000\r\n", "GET " + strings.Repeat("x", 70000)} {
		c = f.dial()
		io.WriteString(c, huge)
		if got := c.answer(); !strings.HasPrefix(got, "-ERR Protocol error") {
			t.Errorf("%.20q: %s", huge, got)
		}
	}
}

// A browser that is made to send an HTTP request here gets nothing done.
func TestHTTPRequest(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{}, nil)
	for _, first := range []string{"POST / HTTP/1.1\r\n", "GET k\r\nHost: x\r\n"} {
		c := f.dial()
		io.WriteString(c, first+"\r\nSET k v\r\n")
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%q is served on", first)
		}
	}
	f.dial().want("GET k", "nil")
}

// Without secrets AUTH chooses the namespace.
func TestOpenNamespaces(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, nil).dial()
	c.want("AUTH shop anything", "OK")
	c.want("SET k v", "OK")
	c.want("AUTH default anything", "OK")
	c.want("GET k", "nil")
}

func TestCreationRate(t *testing.T) {
	rate := &access.Rate{PerSecond: 0.1, Now: func() time.Time { return time.Unix(1000, 0) }}
	c := start(t, memory.New(nil), resp.Options{Rate: rate}, nil).dial()
	c.want("SET a 1", "OK")
	c.wantFails("SET b 1", "ERR this address creates sessions too fast")
	c.wantFails("SET b 1 NX", "ERR this address creates sessions too fast")
	c.wantFails("HSET b f v", "ERR this address creates sessions too fast")
	c.want("SET a 2", "OK")
	c.want("SET a 3 XX", "OK")
}

// TestTenThousandMalformedFrames sends rubbish on many connections while another client works on.
func TestTenThousandMalformedFrames(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{ReadTimeout: 20 * time.Second}, nil)
	good := f.dial()
	good.want("SET k v", "OK")
	frames := make(chan []byte)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for frame := range frames {
				nc, err := net.Dial("tcp", f.addr)
				if err != nil {
					t.Errorf("the service is gone: %v", err)
					continue
				}
				nc.SetDeadline(time.Now().Add(time.Minute))
				nc.Write(frame)
				nc.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, nc)
				nc.Close()
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 2))
	seeds := [][]byte{encode("SET", "k", "v", "EX", "10"), encode("HSET", "h", "f", "v"), encode("EVAL", "x", "1", "k", "v"), []byte("set 'a b' \"c\"\r\n")}
	for i := range 10_000 {
		frames <- mutate(r, seeds[i%len(seeds)])
		if i%500 == 0 {
			if got := good.do("ECHO still"); got != `"still"` {
				t.Errorf("another client was answered %s", got)
			}
		}
	}
	close(frames)
	wg.Wait()
	good.want("PING", "PONG")
}

// mutate breaks a frame in one of many ways.
func mutate(r *rand.Rand, seed []byte) []byte {
	b := bytes.Clone(seed)
	for range 1 + r.IntN(4) {
		i := r.IntN(len(b))
		switch r.IntN(5) {
		case 0:
			b[i] = byte(r.IntN(256))
		case 1:
			b = append(b[:i], b[i:]...)
			b = append(b, b[:i]...)
		case 2:
			b = append(b[:i:i], []byte(fmt.Sprintf("%d", r.Uint64()))...)
		case 3:
			b = append(b[:i:i], append([]byte("\r\n*-7\r\n$"), b[i:]...)...)
		case 4:
			b = b[:i+1]
		}
	}
	return b
}

// Half a command, byte by byte or not at all, ends with its time, and costs no memory for what it announced.
func TestSlowClientsAreCutOff(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{ReadTimeout: time.Second}, nil)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var slow []*client
	for range 50 {
		c := f.dial()
		io.WriteString(c, "*2\r\n$3\r\nGET\r\n$1048576\r\nxxx")
		slow = append(slow, c)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 30<<20 {
		t.Errorf("50 clients that promised 1 MiB each cost %d MiB", grown>>20)
	}
	for _, c := range slow {
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, net.ErrClosed) && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("a slow client was not cut off: %v", err)
		}
	}
	// One that does not take its answers.
	c := f.dial()
	sessions, err := f.svc.Namespace("default")
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimPrefix(phpSession, "PHPREDIS_SESSION:")
	if _, err := sessions.Write(t.Context(), id, sessionstore.WriteOptions{Payload: make([]byte, 1<<20)}); err != nil {
		t.Fatal(err)
	}
	ask := bytes.Repeat(encode("GET", phpSession), 200)
	c.SetWriteDeadline(time.Now().Add(time.Minute))
	c.Write(ask) // 200 MiB of answers that nobody reads
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := c.Write([]byte("\r\n")); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a client that takes no answers was not cut off")
		}
	}
	f.dial().want("PING", "PONG")
}

func TestTooManyClients(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{MaxConns: 2}, nil)
	a, b := f.dial(), f.dial()
	a.want("PING", "PONG")
	b.want("PING", "PONG")
	if got := f.dial().answer(); got != "-ERR max number of clients reached" {
		t.Errorf("the third client is told %s", got)
	}
	b.want("QUIT", "OK")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		c := f.dial()
		c.send("PING")
		if s, err := c.read(); err == nil && s == "PONG" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of the client that went stays taken")
		}
	}
}

// A connection that is parked goes on where it was, and is closed by a shutdown like any other.
func TestSilence(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{}, nil)
	c := f.dial()
	c.want("SELECT 3", "OK")
	c.want("SET k v", "OK")
	time.Sleep(1500 * time.Millisecond) // longer than it takes to be parked; if not, nothing is asserted wrongly
	c.want("GET k", `"v"`)
	time.Sleep(1500 * time.Millisecond)
}

// A pipeline's answers come in order, whatever runs at the same time.
func TestPipeline(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, nil).dial()
	const n = 1000
	var b bytes.Buffer
	for i := range n {
		b.Write(encode("SET", fmt.Sprint("k", i%50), fmt.Sprint(i)))
		b.Write(encode("GET", fmt.Sprint("k", i%50)))
		if i%100 == 0 {
			b.Write(encode("SELECT", "0"))
			b.Write(encode("nonsense"))
		}
	}
	go c.Write(b.Bytes())
	for i := range n {
		if got := c.answer() + c.answer(); got != fmt.Sprintf(`OK"%d"`, i) {
			t.Fatalf("answer %d: %s", i, got)
		}
		if i%100 == 0 {
			if got := c.answer() + c.answer(); !strings.HasPrefix(got, "OK-ERR unknown command") {
				t.Fatalf("answer %d: %s", i, got)
			}
		}
	}
}

// away is a store that cannot answer.
type away struct{ sessionstore.Store }

func (away) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	return sessionstore.Session{}, &sessionstore.UnavailableError{Op: "read", Cause: sessionstore.ErrConflict}
}

func TestStoreIsAway(t *testing.T) {
	c := start(t, away{memory.New(nil)}, resp.Options{}, nil).dial()
	for _, line := range []string{"GET k", "GET " + phpSession, "SET k v NX", "SET " + phpSession + "_LOCK s NX", "EXISTS k", "HGETALL h"} {
		c.wantFails(line, "TRYAGAIN")
	}
	c.want("PING", "PONG")
}

func TestTLSListener(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{MaxConns: 1}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(tls.NewListener(l, &tls.Config{})) }()
	f.dial().want("PING", "PONG")
	c, err := net.Dial("tcp", l.Addr().String()) // one too many, and over TLS: closed without a word
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	l.Close()
	<-done
}
