package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/middleware"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flaky is sessions that can go away, and that count calls.
type flaky struct {
	sessionstore.Sessions
	down                                     atomic.Bool
	opens, writes, touches, destroys, closes atomic.Int64
	releases                                 atomic.Int64 // by writes and touches
}

var errDown = &sessionstore.UnavailableError{Op: "test", RetryAfter: 3 * time.Second, Cause: errors.New("pulled the plug")}

func (f *flaky) count(n *atomic.Int64) error {
	n.Add(1)
	if f.down.Load() {
		return errDown
	}
	return nil
}

func (f *flaky) Open(ctx context.Context, id string, o sessionstore.OpenOptions) (sessionstore.Opened, error) {
	if err := f.count(&f.opens); err != nil {
		return sessionstore.Opened{}, err
	}
	return f.Sessions.Open(ctx, id, o)
}

func (f *flaky) Write(ctx context.Context, id string, w sessionstore.WriteOptions) (uint64, error) {
	if err := f.count(&f.writes); err != nil {
		return 0, err
	}
	if w.Release {
		f.releases.Add(1)
	}
	return f.Sessions.Write(ctx, id, w)
}

func (f *flaky) Touch(ctx context.Context, id string, o sessionstore.TouchOptions) error {
	if err := f.count(&f.touches); err != nil {
		return err
	}
	if o.Release != 0 {
		f.releases.Add(1)
	}
	return f.Sessions.Touch(ctx, id, o)
}

func (f *flaky) Destroy(ctx context.Context, id string) error {
	if err := f.count(&f.destroys); err != nil {
		return err
	}
	return f.Sessions.Destroy(ctx, id)
}

func (f *flaky) Close(ctx context.Context, id string, token uint64) error {
	if err := f.count(&f.closes); err != nil {
		return err
	}
	return f.Sessions.Close(ctx, id, token)
}

func shop(t testing.TB) *flaky {
	t.Helper()
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := svc.Namespace("shop")
	if err != nil {
		t.Fatal(err)
	}
	return &flaky{Sessions: ns}
}

// site is a real server with one page, and a browser.
type site struct {
	t   testing.TB
	url string
	jar http.CookieJar
}

// serve starts a real server. Sites share a browser if they are given one.
func serve(t testing.TB, s sessionstore.Sessions, o middleware.Options, jar http.CookieJar, page http.HandlerFunc) *site {
	t.Helper()
	m, err := middleware.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(m.Wrap(page))
	t.Cleanup(server.Close)
	if jar == nil {
		jar, _ = cookiejar.New(nil)
	}
	return &site{t: t, url: server.URL, jar: jar}
}

func (s *site) get(path string) (*http.Response, string) {
	s.t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Jar: s.jar, Transport: transport, Timeout: 10 * time.Second}).Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, strings.TrimSpace(string(body))
}

func (s *site) wants(path, body string) *http.Response {
	s.t.Helper()
	resp, got := s.get(path)
	if resp.StatusCode != 200 || got != body {
		s.t.Fatalf("%s answered %d %q, want %q", path, resp.StatusCode, got, body)
	}
	return resp
}

func (s *site) cookie() string {
	u, _ := url.Parse(s.url)
	for _, c := range s.jar.Cookies(u) {
		return c.Value
	}
	return ""
}

func (s *site) setCookie(value string) {
	u, _ := url.Parse(s.url)
	s.jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: value, Path: "/"}})
}

// shopPage does what the path says.
func shopPage(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/static" {
		fmt.Fprint(w, "static")
		return
	}
	s, err := middleware.Get(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	var n int
	if _, err := s.Get("n", &n); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	switch r.URL.Path {
	case "/count":
		n++
		err = s.Set("n", n)
	case "/logout":
		err = s.Destroy()
	case "/login":
		err = errors.Join(s.Regenerate(), s.Set("user", "alice"))
	case "/silent":
		err = s.Set("n", 100)
		if err == nil {
			return
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, n, s.IsNew())
}

func TestCounterOverTwoServers(t *testing.T) {
	for _, c := range []middleware.Concurrency{middleware.LastWriterWins, middleware.Optimistic, middleware.Lease} {
		s := shop(t)
		a := serve(t, s, middleware.Options{Concurrency: c}, nil, shopPage)
		b := serve(t, s, middleware.Options{Concurrency: c}, a.jar, shopPage)
		resp := a.wants("/count", "1 true")
		cookie := resp.Cookies()[0]
		if cookie.Name != "session" || cookie.Path != "/" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != 0 ||
			resp.Header.Get("Cache-Control") != `no-cache="Set-Cookie"` {
			t.Errorf("cookie: %v, header %v", cookie, resp.Header)
		}
		for n := 2; n < 10; n += 2 {
			b.wants("/count", fmt.Sprint(n, false))
			a.wants("/count", fmt.Sprint(n+1, false))
		}
		if resp := b.wants("/count", "10 false"); len(resp.Cookies()) != 0 {
			t.Errorf("the browser has the cookie, yet it is sent: %v", resp.Cookies())
		}
		b.wants("/silent", "")
		a.wants("/show", "100 false")
	}
}

func TestWhatIsNotNeededIsNotDone(t *testing.T) {
	s := shop(t)
	web := serve(t, s, middleware.Options{}, nil, shopPage)
	if resp := web.wants("/static", "static"); len(resp.Cookies()) != 0 || s.opens.Load() != 0 {
		t.Errorf("a page without a session: %v, %d opens", resp.Cookies(), s.opens.Load())
	}
	if resp := web.wants("/show", "0 true"); len(resp.Cookies()) != 0 || s.writes.Load() != 0 {
		t.Errorf("an empty new session: %v, %d writes", resp.Cookies(), s.writes.Load())
	}
	web.wants("/count", "1 true")
	web.wants("/show", "1 false")
	if s.writes.Load() != 1 || s.touches.Load() != 1 {
		t.Errorf("%d writes and %d touches, want one of each", s.writes.Load(), s.touches.Load())
	}
}

func TestMaxAge(t *testing.T) {
	s := shop(t)
	web := serve(t, s, middleware.Options{MaxAge: time.Hour, Secure: false, SameSite: http.SameSiteStrictMode}, nil, shopPage)
	for _, path := range []string{"/count", "/show", "/count"} {
		resp, _ := web.get(path)
		if c := resp.Cookies(); len(c) != 1 || c[0].MaxAge != 3600 || c[0].SameSite != http.SameSiteStrictMode {
			t.Errorf("%s: %v", path, c)
		}
		stored, err := s.Read(t.Context(), web.cookie())
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(stored.Expires); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%s: expires in %v", path, left)
		}
	}
}

func TestLogout(t *testing.T) {
	s := shop(t)
	web := serve(t, s, middleware.Options{}, nil, shopPage)
	web.wants("/count", "1 true")
	old := web.cookie()
	if c := web.wants("/logout", "1 false").Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || web.cookie() != "" {
		t.Errorf("cookies %v", c)
	}
	web.setCookie(old)
	web.wants("/count", "1 true")
	if web.cookie() == old {
		t.Error("a destroyed session came back under its id")
	}
}

func TestLogin(t *testing.T) {
	for _, c := range []middleware.Concurrency{middleware.LastWriterWins, middleware.Optimistic, middleware.Lease} {
		s := shop(t)
		web := serve(t, s, middleware.Options{Concurrency: c}, nil, shopPage)
		web.wants("/count", "1 true")
		planted := web.cookie()
		web.wants("/login", "1 false")
		mine := web.cookie()
		if mine == planted {
			t.Fatal("the id is the same")
		}
		web.wants("/count", "2 false")
		web.setCookie(planted)
		web.wants("/show", "0 true")
	}
}

func TestIDsFromOutside(t *testing.T) {
	s := shop(t)
	web := serve(t, s, middleware.Options{}, nil, shopPage)
	for _, id := range []string{strings.Repeat("a", 52), "short", "../../../../../etc/passwd", strings.Repeat("a", 3000)} {
		web.setCookie(id)
		web.wants("/count", "1 true")
		if web.cookie() == id {
			t.Errorf("%.20s… was adopted", id)
		}
	}
}

func TestOutageLogsNobodyOut(t *testing.T) {
	s := shop(t)
	web := serve(t, s, middleware.Options{}, nil, shopPage)
	web.wants("/count", "1 true")
	before := web.cookie()
	s.down.Store(true)
	for _, path := range []string{"/count", "/logout", "/login", "/show"} {
		if resp, body := web.get(path); resp.StatusCode != http.StatusBadGateway || len(resp.Cookies()) != 0 {
			t.Errorf("%s: %d %q %v", path, resp.StatusCode, body, resp.Cookies())
		}
	}
	web.wants("/static", "static")
	s.down.Store(false)
	if s.destroys.Load() != 0 || web.cookie() != before {
		t.Error("the outage ended the session")
	}
	web.wants("/count", "2 false")
}

// A store that goes away between loading and saving.
func TestCommitFails(t *testing.T) {
	s := shop(t)
	var writeErr error
	m, err := middleware.New(s, middleware.Options{})
	if err != nil {
		t.Fatal(err)
	}
	inner := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := middleware.Get(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		s.down.Store(true)
		w.Header().Set("X-Handler", "gone")
		if r.URL.Path != "/read" {
			if err := session.Set("n", 2); err != nil {
				t.Error(err)
			}
		}
		w.WriteHeader(http.StatusCreated)
		_, writeErr = io.WriteString(w, "saved")
	}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Outer", "kept")
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	good := serve(t, s, middleware.Options{}, nil, shopPage)
	good.wants("/count", "1 true")
	bad := &site{t: t, url: server.URL, jar: good.jar}

	resp, body := bad.get("/")
	if resp.StatusCode != 503 || strings.Contains(body, "saved\n") || len(resp.Cookies()) != 0 || resp.Header.Get("Retry-After") != "3" ||
		resp.Header.Get("X-Handler") != "" || resp.Header.Get("X-Outer") != "kept" || strings.Contains(body, "plug") {
		t.Errorf("answered %d %q %v", resp.StatusCode, body, resp.Header)
	}
	if !errors.Is(writeErr, sessionstore.ErrUnavailable) {
		t.Errorf("the handler's Write: %v", writeErr)
	}
	s.down.Store(false)
	if resp, body := bad.get("/read"); resp.StatusCode != 201 || body != "saved" { // only the touch failed
		t.Errorf("answered %d %q", resp.StatusCode, body)
	}
	s.down.Store(false)
	good.wants("/show", "1 false")
}

func TestErrorHandler(t *testing.T) {
	s := shop(t)
	o := middleware.Options{Concurrency: middleware.Optimistic}
	page := func(w http.ResponseWriter, r *http.Request) {
		session, err := middleware.Get(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		if !session.IsNew() {
			if _, err := s.Write(r.Context(), session.ID(), sessionstore.WriteOptions{IfVersion: sessionstore.AnyVersion}); err != nil {
				t.Error(err)
			}
		}
		change := session.Set
		if r.URL.Path == "/regenerate" {
			change = func(string, any) error { return session.Regenerate() }
		}
		if err := change("n", 2); err != nil {
			t.Error(err)
		}
		if session.IsNew() {
			if err := session.Set("n", 1); err != nil {
				t.Error(err)
			}
		}
	}
	web := serve(t, s, o, nil, page)
	web.get("/")
	for _, path := range []string{"/", "/regenerate"} {
		if resp, body := web.get(path); resp.StatusCode != http.StatusConflict {
			t.Errorf("%s answered %d %q", path, resp.StatusCode, body)
		}
	}
	o.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
		if !errors.Is(err, sessionstore.ErrConflict) {
			t.Errorf("handed %v", err)
		}
		w.WriteHeader(http.StatusTeapot)
	}
	if resp, _ := serve(t, s, o, web.jar, page).get("/"); resp.StatusCode != http.StatusTeapot {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

func TestCommitComesBeforeTheFirstByte(t *testing.T) {
	s := shop(t)
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, 300_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"Write":       func(w http.ResponseWriter, _ *http.Request) error { _, err := io.WriteString(w, "x"); return err },
		"WriteHeader": func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(200); return nil },
		"Flush":       func(w http.ResponseWriter, _ *http.Request) error { w.(http.Flusher).Flush(); return nil },
		"FlushError":  func(w http.ResponseWriter, _ *http.Request) error { return http.NewResponseController(w).Flush() },
		"ServeFile":   func(w http.ResponseWriter, r *http.Request) error { http.ServeFile(w, r, big); return nil },
	} {
		web := serve(t, s, middleware.Options{}, nil, func(w http.ResponseWriter, r *http.Request) {
			session, err := middleware.Get(r.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if err := session.Set("n", 1); err != nil {
				t.Error(err)
			}
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Errorf("%s: the server's own writer is out of reach: %v", name, err)
			}
			w.WriteHeader(http.StatusEarlyHints)
			if err := session.Set("n", 2); err != nil {
				t.Errorf("%s: early hints began the answer: %v", name, err)
			}
			if err := first(w, r); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if stored, err := s.Read(r.Context(), session.ID()); err != nil || string(stored.Payload) != `{"n":2}` {
				t.Errorf("%s: after the first byte the store has %q, %v", name, stored.Payload, err)
			}
			if err := session.Set("n", 3); !errors.Is(err, middleware.ErrCommitted) {
				t.Errorf("%s: a late change: %v", name, err)
			}
		})
		if resp, _ := web.get("/"); resp.StatusCode != 200 || len(resp.Cookies()) != 1 {
			t.Errorf("%s: answered %d with cookies %v", name, resp.StatusCode, resp.Cookies())
		}
	}
}

func TestGetAfterTheFirstByte(t *testing.T) {
	web := serve(t, shop(t), middleware.Options{}, nil, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "x")
		if _, err := middleware.Get(r.Context()); !errors.Is(err, middleware.ErrCommitted) {
			t.Errorf("a late Get: %v", err)
		}
	})
	web.wants("/", "x")
	if _, err := middleware.Get(t.Context()); !errors.Is(err, middleware.ErrNoMiddleware) {
		t.Error(err)
	}
}

func TestHijack(t *testing.T) {
	s := shop(t)
	web := serve(t, s, middleware.Options{Concurrency: middleware.Lease}, nil, func(w http.ResponseWriter, r *http.Request) {
		session, err := middleware.Get(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		if err := session.Set("n", 7); err != nil {
			t.Error(err)
		}
		if r.URL.Path != "/hijack" {
			return
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := s.Sessions.Open(r.Context(), session.ID(), sessionstore.OpenOptions{Lock: true, LockWait: -1}); err != nil {
			t.Errorf("a long connection keeps the lease: %v", err)
		}
		rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmine")
		rw.Flush()
	})
	web.get("/")
	web.wants("/hijack", "mine")
}

// bare is a response writer without any ability.
type bare struct{ http.ResponseWriter }

// Writers that can do what the name says.
type (
	flushes struct{ bare }
	hijacks struct{ bare }
	pushes  struct{ bare }
	http1   struct {
		bare
		http.Flusher
		http.Hijacker
	}
	http2 struct {
		bare
		http.Flusher
		http.Pusher
	}
	hijackPush struct {
		bare
		http.Hijacker
		http.Pusher
	}
	everything struct {
		http1
		http.Pusher
	}
	wrapped struct{ inner http.ResponseWriter }
)

func (flushes) Flush()                                       {}
func (hijacks) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("mine") }
func (pushes) Push(string, *http.PushOptions) error          { return http.ErrNotSupported }
func (w wrapped) Header() http.Header                        { return w.inner.Header() }
func (w wrapped) Write(b []byte) (int, error)                { return w.inner.Write(b) }
func (w wrapped) WriteHeader(status int)                     { w.inner.WriteHeader(status) }
func (w wrapped) Unwrap() http.ResponseWriter                { return w.inner }

func TestAbilitiesAreNeitherLostNorMadeUp(t *testing.T) {
	m, err := middleware.New(shop(t), middleware.Options{})
	if err != nil {
		t.Fatal(err)
	}
	none := func() bare { return bare{httptest.NewRecorder()} }
	f, h, p := flushes{none()}, hijacks{none()}, pushes{none()}
	for name, w := range map[string]http.ResponseWriter{
		"": none(), "flush": f, "hijack": h, "push": p,
		"flush hijack": http1{none(), f, h}, "flush push": http2{none(), f, p}, "hijack push": hijackPush{none(), h, p},
		"flush hijack push": everything{http1{none(), f, h}, p}, "flush hijack ": wrapped{http1{none(), f, h}},
		"flush push ": wrapped{http2{none(), f, p}},
	} {
		m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var has []string
			if _, ok := w.(http.Flusher); ok {
				has = append(has, "flush")
			}
			if _, ok := w.(http.Hijacker); ok {
				has = append(has, "hijack")
			}
			if p, ok := w.(http.Pusher); ok {
				has = append(has, "push")
				if err := p.Push("/", nil); !errors.Is(err, http.ErrNotSupported) {
					t.Errorf("%s: a push came to %v", name, err)
				}
			}
			if got := strings.Join(has, " "); got != strings.TrimSpace(name) {
				t.Errorf("%q: the handler finds %q", name, got)
			}
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}
}

// Over HTTP/2 all is as over HTTP/1, but for Hijack, which it does not have.
func TestHTTP2(t *testing.T) {
	m, err := middleware.New(shop(t), middleware.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := middleware.Get(r.Context())
		if err == nil {
			err = session.Set("n", 1)
		}
		if err != nil {
			t.Error(err)
		}
		_, pushes := w.(http.Pusher)
		_, hijacks := w.(http.Hijacker)
		if r.ProtoMajor != 2 || !pushes || hijacks {
			t.Errorf("%s: pushes %v, hijacks %v", r.Proto, pushes, hijacks)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, "x")
	})))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	res, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "x" || len(res.Cookies()) != 1 {
		t.Errorf("answered %s %q, %v, cookies %v", res.Status, b, err, res.Cookies())
	}
}

func TestLeaseLosesNoCount(t *testing.T) {
	s := shop(t)
	o := middleware.Options{Concurrency: middleware.Lease}
	a := serve(t, s, o, nil, shopPage)
	b := serve(t, s, o, a.jar, shopPage)
	a.wants("/count", "1 true")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				if resp, body := []*site{a, b}[i%2].get("/count"); resp.StatusCode != 200 {
					t.Errorf("answered %d %q", resp.StatusCode, body)
				}
			}
		})
	}
	wg.Wait()
	a.wants("/show", "41 false")
	if s.closes.Load() != 0 || s.releases.Load() != s.opens.Load()-1 { // the first visit had nothing to lock
		t.Errorf("%d opens, %d closes, and %d writes and touches that close", s.opens.Load(), s.closes.Load(), s.releases.Load())
	}
}

func TestPanicStoresNothingAndReleases(t *testing.T) {
	s := shop(t)
	o := middleware.Options{Concurrency: middleware.Lease}
	web := serve(t, s, o, nil, func(w http.ResponseWriter, r *http.Request) {
		session, err := middleware.Get(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		if err := session.Set("n", 13); err != nil {
			t.Error(err)
		}
		if !session.IsNew() {
			panic(http.ErrAbortHandler)
		}
	})
	web.get("/")
	writes := s.writes.Load()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	if resp, err := (&http.Client{Jar: web.jar, Transport: transport}).Get(web.url); err == nil {
		resp.Body.Close()
		t.Error("the panic was swallowed")
	}
	if s.writes.Load() != writes {
		t.Error("a handler that panicked had its session stored")
	}
	if _, err := s.Open(t.Context(), web.cookie(), sessionstore.OpenOptions{Lock: true, LockWait: 5 * time.Second}); err != nil {
		t.Errorf("the lease was not released: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]middleware.Options{
		"cookie": {Cookie: "a b"}, "path": {Path: "/;x"}, "age": {MaxAge: -time.Second}, "short age": {MaxAge: time.Millisecond},
		"long age": {MaxAge: 500 * 24 * time.Hour}, "concurrency": {Concurrency: 7}, "time-out": {Timeout: -1},
	} {
		if _, err := middleware.New(shop(t), o); !errors.Is(err, sessionstore.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type basket struct {
	Items map[string]int
	Since time.Time
	Note  *string
}

// visit runs one request in process, with the cookie of the one before.
func visit(t interface{ Fatal(...any) }, m *middleware.Middleware, cookie *http.Cookie, f func(s *middleware.Session)) *http.Cookie {
	r := httptest.NewRequest("GET", "/", nil)
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := middleware.Get(r.Context())
		if err != nil {
			t.Fatal(err)
		}
		f(s)
	})).ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatal(w.Code, w.Body.String())
	}
	if c := w.Result().Cookies(); len(c) > 0 {
		return c[0]
	}
	return cookie
}

func TestValuesRoundTrip(t *testing.T) {
	m, err := middleware.New(shop(t), middleware.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.MapOf(rapid.String(), rapid.Int64()).Draw(t, "numbers")
		note := rapid.String().Draw(t, "note")
		want := basket{Items: rapid.MapOfN(rapid.String(), rapid.Int(), 1, 5).Draw(t, "items"), Since: time.UnixMilli(rapid.Int64Range(0, 1<<40).Draw(t, "since")).UTC(), Note: &note}
		cookie := visit(t, m, nil, func(s *middleware.Session) {
			for name, n := range numbers {
				if err := s.Set("n"+name, n); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Set("basket", want); err != nil {
				t.Fatal(err)
			}
			if err := s.Set("bad", func() {}); err == nil {
				t.Fatal("a function was encoded")
			}
		})
		visit(t, m, cookie, func(s *middleware.Session) {
			var got basket
			if found, err := s.Get("basket", &got); !found || err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("set %+v, got %+v, %v %v", want, got, found, err)
			}
			names, err := s.Names()
			if err != nil || len(names) != len(numbers)+1 {
				t.Fatalf("names %q, %v", names, err)
			}
			for name, n := range numbers {
				var got int64
				if found, err := s.Get("n"+name, &got); !found || err != nil || got != n {
					t.Fatalf("%q: set %d, got %d, %v %v", name, n, got, found, err)
				}
				if err := s.Delete("n" + name); err != nil {
					t.Fatal(err)
				}
			}
		})
		visit(t, m, cookie, func(s *middleware.Session) {
			if names, err := s.Names(); err != nil || len(names) != 1 {
				t.Fatalf("names %q, %v", names, err)
			}
		})
	})
}

func TestBytes(t *testing.T) {
	m, err := middleware.New(shop(t), middleware.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mine := []byte("php|i:1;\x00")
	cookie := visit(t, m, nil, func(s *middleware.Session) {
		if err := s.SetBytes(mine); err != nil {
			t.Fatal(err)
		}
		mine[0] = 'X'
	})
	visit(t, m, cookie, func(s *middleware.Session) {
		if got := string(s.Bytes()); got != "php|i:1;\x00" {
			t.Fatalf("got %q", got)
		}
		var n int
		if _, err := s.Get("n", &n); err == nil {
			t.Fatal("got a value from bytes that hold none")
		}
		if err := s.Set("n", 1); err == nil {
			t.Fatal("set a value where it would destroy the bytes")
		}
	})
	visit(t, m, cookie, func(s *middleware.Session) {
		if got := string(s.Bytes()); got != "php|i:1;\x00" {
			t.Fatalf("got %q", got)
		}
	})
}

// FuzzRequest feeds cookies from outside, and payloads that another program may have written.
func FuzzRequest(f *testing.F) {
	f.Add(strings.Repeat("a", 52), []byte(`{"n":1}`))
	f.Add("../../../etc/passwd/and/so/on", []byte(`null`))
	f.Add("", []byte(`{"n":{"n":[1,2,{}]},"":"<>"}`))
	s := shop(f)
	m, err := middleware.New(s, middleware.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, cookie string, payload []byte) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = []string{"session=" + cookie}
		m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s, err := middleware.Get(r.Context()); err != nil || !s.IsNew() || s.ID() == cookie {
				t.Errorf("a cookie from outside gave %v", err)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		if len(payload) == 0 {
			return
		}
		known := visit(t, m, nil, func(s *middleware.Session) {
			if err := s.SetBytes(payload); err != nil {
				t.Fatal(err)
			}
		})
		visit(t, m, known, func(s *middleware.Session) {
			if s.Set("n", 1) == nil {
				var n int
				if _, err := s.Get("n", &n); err != nil || n != 1 {
					t.Fatalf("set 1, got %d, %v", n, err)
				}
			} else if string(s.Bytes()) != string(payload) {
				t.Fatal("a refused change changed the payload")
			}
		})
	})
}
