package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

func TestMain(m *testing.M) {
	// fasthttp keeps one goroutine for the Date header for as long as the process lives, and one for each listener
	// sleeps for up to 10 s after the server's end.
	goleak.VerifyTestMain(whole{m}, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// whole fails a run of all tests that has not seen every answer that openapi.yaml describes.
type whole struct{ *testing.M }

// Run implements goleak.TestingM.
func (w whole) Run() int {
	status := w.M.Run()
	run, fuzz := flag.Lookup("test.run").Value.String(), flag.Lookup("test.fuzz").Value.String()
	list := flag.Lookup("test.list").Value.String()
	d, err := described()
	if status != 0 || err != nil || run+fuzz+list != "" {
		return status
	}
	if unseen := d.unseen(); len(unseen) > 0 {
		fmt.Fprintln(os.Stderr, "openapi.yaml describes what no test has seen:", strings.Join(unseen, ", "))
		return 1
	}
	return 0
}

// face is a running server and a client of it.
type face struct {
	*testing.T
	server *httpapi.Server
	addr   string
	client *http.Client
}

func start(t *testing.T, store sessionstore.Store, o httpapi.Options, change func(*sessionstore.Policy)) *face {
	t.Helper()
	policy := sessionstore.DefaultPolicy()
	if change != nil {
		change(&policy)
	}
	svc, err := sessionstore.NewService(store, policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &face{T: t, server: httpapi.New(svc, o), addr: l.Addr().String(), client: &http.Client{Transport: &http.Transport{}}}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(l) }()
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

// answer is a response whose body was read.
type answer struct {
	*http.Response
	body string
}

// do sends a request; headers come in pairs.
func (f *face) do(method, path, body string, headers ...string) answer {
	f.Helper()
	r, err := http.NewRequest(method, "http://"+f.addr+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := f.client.Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.Fatal(err)
	}
	a := answer{res, string(b)}
	conforms(f.T, a)
	return a
}

func (f *face) want(a answer, status int, body string) answer {
	f.Helper()
	if a.StatusCode != status || a.body != body {
		f.Fatalf("%s %s: %d %q, want %d %q", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, status, body)
	}
	return a
}

// refused asserts a problem+json answer.
func (f *face) refused(a answer, status int, title string) problem {
	f.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		f.Fatalf("%d %q is no JSON: %v", a.StatusCode, a.body, err)
	}
	if a.StatusCode != status || p.Status != status || p.Title != title || p.Detail == "" || a.Header.Get("Content-Type") != "application/problem+json" {
		f.Fatalf("%d %q, want %d %s", a.StatusCode, a.body, status, title)
	}
	return p
}

type problem struct {
	Title, Detail string
	Status        int
}

// login makes a session and returns its path.
func (f *face) login(payload string) string {
	f.Helper()
	id := f.want(f.do("POST", "/v1/shop/sessions", ""), 201, "").Header.Get("Session-Id")
	path := "/v1/shop/sessions/" + id
	if a := f.want(f.do("PUT", path, payload, "If-None-Match", "*"), 204, ""); a.Header.Get("ETag") != `"1"` {
		f.Fatalf("first version: %v", a.Header)
	}
	return path
}

func TestLifeOfASession(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, func(p *sessionstore.Policy) { p.Absolute = 8 * time.Hour })
	path := f.login("one\x00")
	a := f.want(f.do("GET", path, ""), 200, "one\x00")
	for header, want := range map[string]string{"ETag": `"1"`, "Content-Type": "application/octet-stream"} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if a.Header.Get("Session-Created") == "" || a.Header.Get("Session-Expires") == "" || a.Header.Get("Session-Deadline") == "" {
		t.Errorf("headers: %v", a.Header)
	}
	f.want(f.do("HEAD", path, ""), 200, "")
	if a = f.want(f.do("PUT", path, "two", "If-Match", `"1"`), 204, ""); a.Header.Get("ETag") != `"2"` {
		t.Errorf("ETag %q", a.Header.Get("ETag"))
	}
	f.refused(f.do("PUT", path, "stale", "If-Match", `"1"`), 412, "conflict")
	f.refused(f.do("PUT", path, "exists", "If-None-Match", "*"), 412, "conflict")
	f.want(f.do("PUT", path, "three"), 204, "")
	f.want(f.do("POST", path+"/touch", `{"idle_ms":60000}`), 204, "")
	f.want(f.do("POST", path+"/touch", ""), 204, "")

	a = f.want(f.do("POST", path+"/regenerate", ""), 200, "three")
	next := "/v1/shop/sessions/" + a.Header.Get("Session-Id")
	if next == path || a.Header.Get("ETag") != `"3"` {
		t.Errorf("regenerate: %v", a.Header)
	}
	f.want(f.do("GET", path, ""), 200, "three")
	f.want(f.do("GET", next, ""), 200, "three")

	for range 2 {
		f.want(f.do("DELETE", next, ""), 204, "")
	}
	f.refused(f.do("GET", next, ""), 404, "not found")
	f.refused(f.do("PUT", next, "back"), 410, "destroyed")
	f.refused(f.do("POST", next+"/touch", `{"create":true}`), 410, "destroyed")
	f.want(f.do("POST", "/v1/gc", ""), 200, "{\"removed\":0}\n")
}

func TestOpenIsStrict(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	path := f.login("mine")
	a := f.want(f.do("POST", path+"/open", ""), 200, "mine")
	if !strings.HasSuffix(path, a.Header.Get("Session-Id")) || a.Header.Get("Session-Lease") != "" {
		t.Errorf("open: %v", a.Header)
	}
	made := strings.Repeat("attacker", 4)
	a = f.want(f.do("POST", "/v1/shop/sessions/"+made+"/open", `{"lock":true}`), 201, "")
	if id := a.Header.Get("Session-Id"); id == made || sessionstore.CheckID(id) != nil {
		t.Errorf("an id that someone made up became %q", id)
	}
}

func TestLocks(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	path := f.login("1")
	a := f.want(f.do("POST", path+"/open", `{"lock":true,"lock_ttl_ms":60000}`), 200, "1")
	token := a.Header.Get("Session-Lease")
	if token == "" || a.Header.Get("Session-Lease-Until") == "" {
		t.Fatalf("no lease: %v", a.Header)
	}
	busy := f.do("POST", path+"/open", `{"lock":true,"lock_wait_ms":50}`)
	f.refused(busy, 423, "locked")
	if busy.Header.Get("Retry-After") == "" {
		t.Error("423 without Retry-After")
	}
	done := make(chan string)
	go func() {
		a := f.do("POST", path+"/open", `{"lock":true}`)
		done <- a.body
	}()
	f.want(f.do("PUT", path, "2", "If-Match", `"1"`, "Session-Lease", token), 204, "")
	f.want(f.do("POST", path+"/close", "", "Session-Lease", token), 204, "")
	if got := <-done; got != "2" {
		t.Fatalf("the waiter read %q, want what the holder wrote", got)
	}
	f.refused(f.do("PUT", path, "3", "Session-Lease", token), 412, "conflict")
}

func TestCloseWithTheLastOperation(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	path := f.login("1")
	open := func() (token string) {
		t.Helper()
		a := f.do("POST", path+"/open", `{"lock":true,"lock_wait_ms":-1}`)
		if a.StatusCode != 200 {
			t.Fatalf("the session is still locked: %d %s", a.StatusCode, a.body)
		}
		return a.Header.Get("Session-Lease")
	}
	f.want(f.do("PUT", path, "2", "Session-Lease", open(), "Session-Close", "1"), 204, "")
	f.want(f.do("POST", path+"/touch", "", "Session-Lease", open(), "Session-Close", "1"), 204, "")
	token := open()
	f.refused(f.do("PUT", path, "3", "Session-Lease", token, "Session-Close", "1", "If-Match", `"9"`), 412, "conflict")
	f.refused(f.do("POST", path+"/open", `{"lock":true,"lock_wait_ms":-1}`), 423, "locked")
	f.want(f.do("PUT", path, "3", "Session-Lease", token), 204, "")
	f.refused(f.do("POST", path+"/open", `{"lock":true,"lock_wait_ms":-1}`), 423, "locked")
	f.want(f.do("DELETE", path, "", "Session-Lease", token, "Session-Close", "1"), 204, "")
	f.want(f.do("DELETE", path, "", "Session-Close", "1"), 204, "")
}

func TestOnLocked(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	path := f.login("1")
	token := f.want(f.do("POST", path+"/open", `{"lock":true}`), 200, "1").Header.Get("Session-Lease")
	for onLocked, readOnly := range map[string]string{"read-only": "1", "go-on": ""} {
		a := f.want(f.do("POST", path+"/open", `{"lock":true,"lock_wait_ms":-1,"on_locked":"`+onLocked+`"}`), 200, "1")
		if a.Header.Get("Session-Lease") != "" || a.Header.Get("Session-Read-Only") != readOnly {
			t.Errorf("%s: %v", onLocked, a.Header)
		}
	}
	f.refused(f.do("POST", path+"/open", `{"lock":true,"lock_wait_ms":-1,"on_locked":"fail"}`), 423, "locked")
	f.refused(f.do("POST", path+"/open", `{"lock":true,"on_locked":"cry"}`), 400, "invalid")
	f.want(f.do("POST", path+"/close", "", "Session-Lease", token), 204, "")
}

func TestBadRequests(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, func(p *sessionstore.Policy) { p.MaxPayload = 1000 })
	path := f.login("kept")
	id := strings.Repeat("a", 30)
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		title, detail            string
	}{
		{"slash in the id", "GET", "/v1/shop/sessions/..%2f..%2fetc%2fpasswd%2fxxxxxxxx", "", nil, 400, "invalid", "0x2e"},
		{"raw slashes", "GET", "/v1/shop/sessions/../../../../etc/passwd", "", nil, 404, "not found", "no such path"},
		{"dots are not cleaned", "GET", "/v1/x/../shop/sessions/" + id, "", nil, 404, "not found", "no such path"},
		{"NUL in the id", "GET", "/v1/shop/sessions/" + id + "%00", "", nil, 400, "invalid", "0x00"},
		{"id of 10 KB", "GET", "/v1/shop/sessions/" + strings.Repeat("a", 10_000), "", nil, 400, "invalid", "this one has 10000"},
		{"short id", "DELETE", "/v1/shop/sessions/abc", "", nil, 400, "invalid", "this one has 3"},
		{"bad namespace", "GET", "/v1/Shop/sessions/" + id, "", nil, 400, "invalid", "namespace"},
		{"body over the limit", "PUT", path, strings.Repeat("x", 1001), nil, 413, "too large", "1001 bytes, the limit is 1000"},
		{"body far over the limit", "PUT", path, strings.Repeat("x", 8<<20), nil, 413, "too large", "the limit is 1000"},
		{"malformed JSON", "POST", path + "/open", `{"lock":`, nil, 400, "invalid", "JSON"},
		{"unknown JSON field", "POST", path + "/open", `{"lokc":true}`, nil, 400, "invalid", "lokc"},
		{"JSON of the wrong type", "POST", path + "/touch", `{"idle_ms":"long"}`, nil, 400, "invalid", "idle_ms"},
		{"JSON and more", "POST", path + "/touch", `{} {}`, nil, 400, "invalid", "follows"},
		{"negative idle", "POST", path + "/touch", `{"idle_ms":-5}`, nil, 400, "invalid", "idle"},
		{"idle past all bounds", "POST", path + "/touch", `{"idle_ms":9223372036854775807}`, nil, 400, "invalid", "idle"},
		{"negative lease", "POST", path + "/open", `{"lock":true,"lock_ttl_ms":-1}`, nil, 400, "invalid", "lock_ttl_ms"},
		{"condition without quotes", "PUT", path, "x", []string{"If-Match", "1"}, 400, "invalid", "If-Match"},
		{"two conditions", "PUT", path, "x", []string{"If-Match", `"1"`, "If-None-Match", "*"}, 400, "invalid", "If-Match"},
		{"version out of range", "PUT", path, "x", []string{"If-Match", `"18446744073709551615"`}, 400, "invalid", "If-Match"},
		{"lease is no number", "PUT", path, "x", []string{"Session-Lease", "mine"}, 400, "invalid", "Session-Lease"},
		{"close is neither 1 nor absent", "PUT", path, "x", []string{"Session-Close", "yes"}, 400, "invalid", "Session-Close"},
		{"lease to close is no number", "DELETE", path, "", []string{"Session-Close", "1", "Session-Lease", "mine"}, 400, "invalid", "Session-Lease"},
		{"idle header is no number", "PUT", path, "x", []string{"Session-Idle", "1h"}, 400, "invalid", "Session-Idle"},
		{"unknown operation", "POST", path + "/frobnicate", "", nil, 404, "not found", "open, touch"},
		{"unknown path", "GET", "/", "", nil, 404, "not found", "/v1/"},
		{"wrong method", "PATCH", path, "", nil, 405, "method not allowed", "PUT"},
		{"GET of an operation", "GET", path + "/open", "", nil, 405, "method not allowed", "POST"},
		{"header too large", "GET", path, "", []string{"X", strings.Repeat("x", 40_000)}, 431, "invalid", "headers"},
		{"nothing there", "GET", "/v1/shop/sessions/" + id, "", nil, 404, "not found", "not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := *f
			g.T = t
			p := g.refused(g.do(c.method, c.path, c.body, c.headers...), c.status, c.title)
			if !strings.Contains(p.Detail, c.detail) || len(p.Detail) > 300 || strings.Contains(p.Detail, id) {
				t.Errorf("detail %q, want it to say %q and not the id", p.Detail, c.detail)
			}
		})
	}
	f.want(f.do("GET", path, ""), 200, "kept")
}

func TestMalformedHTTP(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{ReadTimeout: time.Second}, nil)
	for name, c := range map[string]struct{ send, want string }{
		"garbage":         {"\x00\x01\x02 not http at all\r\n\r\n", "400"},
		"bad length":      {"PUT /v1/shop/sessions/" + strings.Repeat("a", 30) + " HTTP/1.1\r\nHost: x\r\nContent-Length: lots\r\n\r\n", "400"},
		"bad escape":      {"GET /v1/shop/sessions/" + strings.Repeat("a", 30) + "%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		"half a request":  {"GET /healthz HTTP/1.1\r\nHost", "408"},
		"half a body":     {"PUT /v1/shop/sessions/" + strings.Repeat("a", 30) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", "408"},
		"pipelined reads": {strings.Repeat("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 3), "200"},
	} {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.send); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || !strings.HasPrefix(res.Status, c.want) {
			t.Errorf("%s: %v, %v; want %s", name, res, err, c.want)
		}
		conn.Close()
	}
	f.want(f.do("GET", "/healthz", ""), 200, "ok\n")
}

// away is a store that cannot answer.
type away struct{ *memory.Store }

var errAway = &sessionstore.UnavailableError{Op: "read", RetryAfter: 3 * time.Second, Cause: errors.New("dial tcp 10.0.0.1:3306: password is hunter2")}

func (away) Read(context.Context, sessionstore.Key) (sessionstore.Session, error) {
	return sessionstore.Session{}, errAway
}
func (away) Write(context.Context, sessionstore.Key, sessionstore.Write) (uint64, error) {
	return 0, errAway
}
func (away) Touch(context.Context, sessionstore.Key, sessionstore.Touch) error { return errAway }
func (away) Destroy(context.Context, sessionstore.Key, time.Duration) error    { return errAway }
func (away) Unlock(context.Context, sessionstore.Key, uint64) error            { return errAway }
func (away) GC(context.Context, int) (int, error)                              { return 0, errAway }
func (away) Ping(context.Context) error                                        { return errAway }
func (away) Regenerate(context.Context, sessionstore.Key, sessionstore.Key, sessionstore.Regenerate) (sessionstore.Session, error) {
	return sessionstore.Session{}, errAway
}

func TestStoreAway(t *testing.T) {
	f := start(t, away{memory.New(nil)}, httpapi.Options{}, nil)
	path := "/v1/shop/sessions/" + strings.Repeat("a", 30)
	for _, request := range []string{
		"GET /readyz", "POST /v1/gc", "GET " + path, "PUT " + path, "DELETE " + path, "POST " + path + "/open",
		"POST " + path + "/touch", "POST " + path + "/regenerate", "POST " + path + "/close",
	} {
		method, path, _ := strings.Cut(request, " ")
		a := f.do(method, path, "", "Session-Lease", "1")
		p := f.refused(a, 503, "unavailable")
		if a.Header.Get("Retry-After") != "3" || strings.Contains(p.Detail, "hunter2") {
			t.Errorf("%s: Retry-After %q, detail %q", request, a.Header.Get("Retry-After"), p.Detail)
		}
	}
	if a := f.do("HEAD", path, ""); a.StatusCode != 503 {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
	f.want(f.do("GET", "/healthz", ""), 200, "ok\n")
}

func TestDrainLetsRequestsEnd(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	path := f.login("1")
	held := f.want(f.do("POST", path+"/open", `{"lock":true}`), 200, "1").Header.Get("Session-Lease")
	waiter := make(chan answer)
	go func() { waiter <- f.do("POST", path+"/open", `{"lock":true}`) }()

	f.server.Drain()
	f.refused(f.do("GET", "/readyz", ""), 503, "unavailable")
	f.want(f.do("PUT", path, "2"), 204, "")
	f.want(f.do("POST", path+"/close", "", "Session-Lease", held), 204, "")
	if a := <-waiter; a.StatusCode != 200 || a.body != "2" {
		t.Fatalf("the request in flight got %d %q", a.StatusCode, a.body)
	}
}

func TestShutdownBeforeServe(t *testing.T) {
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := httpapi.New(svc, httpapi.Options{})
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }() // before or after Shutdown, as it happens
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-served:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Serve goes on after Shutdown")
		}
	}
}

func TestMetrics(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	path := f.login("1")
	f.do("GET", path, "")
	f.do("GET", path+"x", "")
	f.do("GET", "/elsewhere/"+strings.Repeat("secret", 5), "")
	f.do("POST", path+"/open", `{"lock":true}`)
	f.do("POST", "/v1/gc", "")
	a := f.do("GET", "/metrics", "")
	if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
	for _, want := range []string{
		`sessiond_request_seconds_count{code="201",operation="open"} 1`,
		`sessiond_request_seconds_count{code="204",operation="write"} 1`,
		`sessiond_request_seconds_count{code="200",operation="read"} 1`,
		`sessiond_request_seconds_count{code="404",operation="read"} 1`,
		`sessiond_request_seconds_count{code="404",operation="none"} 1`,
		"sessiond_requests_in_flight 1", "sessiond_locks_held 1", "sessiond_lock_waiters 0", "sessiond_gc_runs_total 1",
		"sessiond_gc_behind 0", "process_resident_memory_bytes", "go_goroutines",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s", want)
		}
	}
	if id := path[strings.LastIndex(path, "/")+1:]; strings.Contains(a.body, id) || strings.Contains(a.body, "secret") {
		t.Error("metrics tell an id")
	}
	documented, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(a.body) {
		if name, ok := strings.CutPrefix(line, "# TYPE sessiond_"); ok {
			name = "sessiond_" + strings.Fields(name)[0]
			if !strings.Contains(string(documented), "`"+name) {
				t.Errorf("docs/operations.md does not tell of %s", name)
			}
		}
	}
}

func TestConcurrentClients(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			path := f.login("0")
			for i := range 20 {
				etag := f.do("GET", path, "").Header.Get("ETag")
				if a := f.do("PUT", path, strings.Repeat("x", i), "If-Match", etag); a.StatusCode != 204 {
					f.Errorf("write %d: %d %s", i, a.StatusCode, a.body)
				}
			}
		})
	}
	wg.Wait()
}

func TestUnixSocket(t *testing.T) {
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httpapi.New(svc, httpapi.Options{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	res, err := (&http.Client{Transport: transport}).Get("http://sessiond/readyz")
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	res.Body.Close()
	transport.CloseIdleConnections()
	if err := errors.Join(s.Shutdown(t.Context()), <-served); err != nil {
		t.Fatal(err)
	}
}

// FuzzRequest sends whatever bytes as a connection. The server must answer or close, stay up, and never answer 500.
func FuzzRequest(f *testing.F) {
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil)
	if err != nil {
		f.Fatal(err)
	}
	s := httpapi.New(svc, httpapi.Options{ReadTimeout: time.Second})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	go s.Serve(l)
	f.Cleanup(func() { s.Shutdown(context.Background()) })
	id := strings.Repeat("a", 30)
	for _, seed := range []string{
		"GET /v1/shop/sessions/" + id + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /v1/shop/sessions/" + id + " HTTP/1.1\r\nHost: x\r\nIf-Match: \"1\"\r\nContent-Length: 3\r\n\r\nabc",
		"POST /v1/shop/sessions/" + id + "/open HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"lock\":true}",
		"PUT /v1/%00/sessions/%2f HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		conn.Write(request)
		conn.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(conn)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatal("neither answered nor closed")
		}
		if bytes.HasPrefix(got, []byte("HTTP/1.1 500")) {
			t.Fatalf("answered %q", got)
		}
	})
}
