package gorilla_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// flaky is sessions that can go away, and that count what changes them.
type flaky struct {
	sessionstore.Sessions
	down    atomic.Bool
	changes atomic.Int64
}

var errDown = &sessionstore.UnavailableError{Op: "test", RetryAfter: time.Second, Cause: errors.New("pulled the plug")}

func (f *flaky) Read(ctx context.Context, id string) (sessionstore.Session, error) {
	if f.down.Load() {
		return sessionstore.Session{}, errDown
	}
	return f.Sessions.Read(ctx, id)
}

func (f *flaky) Write(ctx context.Context, id string, w sessionstore.WriteOptions) (uint64, error) {
	if f.down.Load() {
		return 0, errDown
	}
	f.changes.Add(1)
	return f.Sessions.Write(ctx, id, w)
}

func (f *flaky) Destroy(ctx context.Context, id string) error {
	if f.down.Load() {
		return errDown
	}
	f.changes.Add(1)
	return f.Sessions.Destroy(ctx, id)
}

// shop returns sessions whose clock the test can move.
func shop(t testing.TB) (s *flaky, advance func(time.Duration)) {
	t.Helper()
	var late atomic.Int64
	store := memory.New(func() time.Time { return time.Now().Add(time.Duration(late.Load())) })
	svc, err := sessionstore.NewService(store, sessionstore.DefaultPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := svc.Namespace("shop")
	if err != nil {
		t.Fatal(err)
	}
	return &flaky{Sessions: ns}, func(d time.Duration) { late.Add(int64(d)) }
}

// page is a handler of the test's, on a session that was loaded.
type page func(w http.ResponseWriter, r *http.Request, s *sessions.Session, loadErr error) error

// site is a real server whose one page is the test's, and a browser.
type site struct {
	t   *testing.T
	url string
	jar http.CookieJar
}

// serve starts a real server. Sites share a browser if they are given one.
func serve(t *testing.T, store *gorilla.Store, jar http.CookieJar, p *page) *site {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := store.Get(r, "sid")
		if s == nil {
			t.Error("Get returned no session")
			return
		}
		if err := (*p)(w, r, s, err); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	if jar == nil {
		jar, _ = cookiejar.New(nil)
	}
	return &site{t: t, url: server.URL, jar: jar}
}

// get loads the page and returns its status, body and cookies.
func (s *site) get() (int, string, []*http.Cookie) {
	s.t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Jar: s.jar, Transport: transport, Timeout: 10 * time.Second}).Get(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body)), resp.Cookies()
}

// wants loads the page, which must answer with 200 and this body.
func (s *site) wants(body string) []*http.Cookie {
	s.t.Helper()
	status, got, cookies := s.get()
	if status != 200 || got != body {
		s.t.Fatalf("the page answered %d %q, want %q", status, got, body)
	}
	return cookies
}

// cookie returns the browser's.
func (s *site) cookie() string {
	u, _ := url.Parse(s.url)
	for _, c := range s.jar.Cookies(u) {
		if c.Name == "sid" {
			return c.Value
		}
	}
	return ""
}

func (s *site) setCookie(value string) {
	u, _ := url.Parse(s.url)
	s.jar.SetCookies(u, []*http.Cookie{{Name: "sid", Value: value, Path: "/"}})
}

// count counts visits.
func count(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
	if err != nil {
		return err
	}
	n, _ := s.Values["n"].(int)
	s.Values["n"] = n + 1
	if err := s.Save(r, w); err != nil {
		return err
	}
	_, err = fmt.Fprint(w, n+1, s.IsNew)
	return err
}

// show tells what is there and saves nothing.
func show(w http.ResponseWriter, _ *http.Request, s *sessions.Session, err error) error {
	_, e := fmt.Fprint(w, s.Values["n"], s.IsNew, s.ID == "", err != nil)
	return e
}

// logout does what gorilla's documentation says.
func logout(w http.ResponseWriter, r *http.Request, s *sessions.Session, _ error) error {
	s.Options.MaxAge = -1
	if err := s.Save(r, w); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "bye")
	return err
}

func TestCounterOverTwoServers(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	a := serve(t, gorilla.New(s, key), nil, &p)
	b := serve(t, gorilla.New(s, key), a.jar, &p)
	a.wants("1 true")
	for n := 2; n < 20; n += 2 {
		b.wants(fmt.Sprint(n, false))
		a.wants(fmt.Sprint(n+1, false))
	}
}

func TestCookie(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	store := gorilla.New(s, key)
	web := serve(t, store, nil, &p)
	c := web.wants("1 true")[0]
	if c.Name != "sid" || c.Path != "/" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 30*86400 {
		t.Errorf("default cookie: %v", c)
	}
	var id string
	if err := securecookie.DecodeMulti("sid", c.Value, &id, store.Codecs...); err != nil {
		t.Fatal(err)
	}
	stored, err := s.Read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(stored.Expires); left < 29*24*time.Hour || left > 30*24*time.Hour {
		t.Errorf("MaxAge is not the idle time-out: %v", left)
	}
	p = func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
		s.Options = &sessions.Options{Path: "/", Domain: "127.0.0.1", MaxAge: 0, Secure: true, SameSite: http.SameSiteStrictMode}
		return s.Save(r, w)
	}
	_, _, cookies := web.get()
	if c := cookies[0]; c.MaxAge != 0 || !c.Secure || c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "127.0.0.1" {
		t.Errorf("cookie with options of its own: %v", c)
	}
	stored, err = s.Read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(stored.Expires); left > sessionstore.DefaultPolicy().Idle {
		t.Errorf("without MaxAge the policy's idle time-out counts: %v", left)
	}
}

func TestMaxAgeOfEternity(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	store := gorilla.New(s, key)
	store.MaxAge(10 * 365 * 86400)
	serve(t, store, nil, &p).wants("1 true")
}

func TestDelete(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	web := serve(t, gorilla.New(s, key), nil, &p)
	web.wants("1 true")
	old := web.cookie()
	p = logout
	if c := web.wants("bye")[0]; c.MaxAge >= 0 || c.Value != "" {
		t.Errorf("the cookie is not deleted: %v", c)
	}
	if web.cookie() != "" {
		t.Error("the browser still has the cookie")
	}
	web.setCookie(old)
	p = show
	web.wants("<nil> true true false")
	p = count
	web.wants("1 true")
	if web.cookie() == old {
		t.Error("a destroyed session came back under its id")
	}
}

func TestExpired(t *testing.T) {
	s, advance := shop(t)
	p := page(count)
	store := gorilla.New(s, key)
	store.Options.MaxAge = 60
	web := serve(t, store, nil, &p)
	web.wants("1 true")
	advance(59 * time.Second)
	web.wants("2 false")
	advance(time.Minute)
	p = show
	web.wants("<nil> true true false")
}

func TestUnknownIDIsNotAdopted(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	store := gorilla.New(s, key)
	web := serve(t, store, nil, &p)
	for name, id := range map[string]string{"well-formed": strings.Repeat("A", 52), "of another store": "42", "hostile": "../../etc/passwd"} {
		value, err := securecookie.EncodeMulti("sid", id, store.Codecs...)
		if err != nil {
			t.Fatal(err)
		}
		web.setCookie(value)
		web.wants("1 true")
		var got string
		if err := securecookie.DecodeMulti("sid", web.cookie(), &got, store.Codecs...); err != nil || got == id {
			t.Errorf("%s: adopted, %v", name, err)
		}
	}
}

func TestForgedCookie(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	web := serve(t, gorilla.New(s, key), nil, &p)
	web.wants("1 true")
	good := web.cookie()
	p = func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
		var bad securecookie.Error
		if !errors.As(err, &bad) || !bad.IsDecode() {
			return fmt.Errorf("a forged cookie: %v", err)
		}
		return count(w, r, s, nil) // the handler goes on, as gorilla's documentation does
	}
	web.setCookie(good[:len(good)-2] + "AA")
	web.wants("1 true")
	p = show
	web.setCookie(good)
	web.wants("1 false false false")
}

func TestKeyRotation(t *testing.T) {
	s, _ := shop(t)
	fresh := []byte("fedcba9876543210fedcba9876543210")
	crypt := []byte("0123456789abcdef")
	p := page(count)
	a := serve(t, gorilla.New(s, key), nil, &p)
	b := serve(t, gorilla.New(s, fresh, crypt, key, nil), a.jar, &p)
	c := serve(t, gorilla.New(s, fresh, crypt), a.jar, &p)
	a.wants("1 true")
	b.wants("2 false") // old key, signs with the new one
	c.wants("3 false")
}

func TestOutageLogsNobodyOut(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	web := serve(t, gorilla.New(s, key), nil, &p)
	web.wants("1 true")
	before, changes := web.cookie(), s.changes.Load()
	s.down.Store(true)
	for name, ignoring := range map[string]page{"save": func(w http.ResponseWriter, r *http.Request, ses *sessions.Session, err error) error {
		if !errors.Is(err, sessionstore.ErrUnavailable) || !ses.IsNew || len(ses.Values) != 0 {
			t.Errorf("New gave %v and %+v", err, ses)
		}
		s.down.Store(false) // it is back before the handler ends
		defer s.down.Store(true)
		ses.Values["n"] = 99
		err = ses.Save(r, w)
		if !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("Save gave %v", err)
		}
		return err
	}, "delete": func(w http.ResponseWriter, r *http.Request, ses *sessions.Session, err error) error {
		s.down.Store(false)
		defer s.down.Store(true)
		return logout(w, r, ses, err)
	}, "regenerate": func(w http.ResponseWriter, r *http.Request, ses *sessions.Session, _ error) error {
		s.down.Store(false)
		defer s.down.Store(true)
		return ses.Store().(*gorilla.Store).Regenerate(r, w, ses)
	}} {
		p = ignoring
		if status, body, cookies := web.get(); status != 503 || len(cookies) != 0 {
			t.Errorf("%s: answered %d %q with cookies %v", name, status, body, cookies)
		}
	}
	s.down.Store(false)
	if web.cookie() != before || s.changes.Load() != changes {
		t.Error("the outage changed something")
	}
	p = count
	web.wants("2 false")
	p = func(w http.ResponseWriter, r *http.Request, ses *sessions.Session, err error) error {
		s.down.Store(true) // it goes away between load and save
		return count(w, r, ses, err)
	}
	if status, _, cookies := web.get(); status != 503 || len(cookies) != 0 {
		t.Errorf("answered %d with cookies %v", status, cookies)
	}
	s.down.Store(false)
	p = count
	web.wants("3 false")
}

func TestDestroyedMeanwhile(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	web := serve(t, gorilla.New(s, key), nil, &p)
	web.wants("1 true")
	p = func(w http.ResponseWriter, r *http.Request, ses *sessions.Session, err error) error {
		if err := s.Destroy(r.Context(), ses.ID); err != nil {
			t.Error(err)
		}
		err = count(w, r, ses, err)
		if !errors.Is(err, sessionstore.ErrDestroyed) {
			t.Errorf("saving a destroyed session: %v", err)
		}
		return err
	}
	if status, _, cookies := web.get(); status != 503 || len(cookies) != 0 {
		t.Errorf("answered %d with cookies %v", status, cookies)
	}
}

func TestOptimistic(t *testing.T) {
	s, _ := shop(t)
	for _, optimistic := range []bool{false, true} {
		store := gorilla.New(s, key)
		store.Optimistic = optimistic
		p := page(count)
		web := serve(t, store, nil, &p)
		web.wants("1 true")
		p = func(w http.ResponseWriter, r *http.Request, ses *sessions.Session, err error) error {
			if _, err := s.Write(r.Context(), ses.ID, sessionstore.WriteOptions{IfVersion: sessionstore.AnyVersion}); err != nil {
				t.Error(err)
			}
			err = count(w, r, ses, err)
			if optimistic != errors.Is(err, sessionstore.ErrConflict) {
				t.Errorf("optimistic %v: %v", optimistic, err)
			}
			if optimistic {
				if err := store.Regenerate(r, w, ses); !errors.Is(err, sessionstore.ErrConflict) {
					t.Errorf("regenerating a session that changed: %v", err)
				}
			}
			return nil
		}
		web.get()
		p = func(w http.ResponseWriter, r *http.Request, ses *sessions.Session, err error) error {
			return errors.Join(err, ses.Save(r, w), ses.Save(r, w)) // twice in one request is no conflict
		}
		if status, body, _ := web.get(); status != 200 {
			t.Errorf("optimistic %v, saving twice: %s", optimistic, body)
		}
	}
}

func TestValuesThatCannotBeEncoded(t *testing.T) {
	s, _ := shop(t)
	for name, store := range map[string]*gorilla.Store{"gob": gorilla.New(s, key), "JSON": gorilla.New(s, key)} {
		if name == "JSON" {
			store.Serializer = gorilla.JSONSerializer{}
		}
		p := page(func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
			s.Values["n"] = "kept"
			return s.Save(r, w)
		})
		web := serve(t, store, nil, &p)
		web.get()
		changes := s.changes.Load()
		for _, value := range []any{func() {}, make(chan int), []any{make(chan int)}, struct{ F func() }{}} {
			p = func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
				s.Values["bad"] = value
				return s.Save(r, w)
			}
			if status, body, cookies := web.get(); status != 503 || len(cookies) != 0 {
				t.Errorf("%s: %T: %d %s %v", name, value, status, body, cookies)
			}
		}
		if s.changes.Load() != changes {
			t.Errorf("%s: something was written", name)
		}
		p = show
		web.wants("keptfalse false false")
	}
}

func TestValuesThatCannotBeDecoded(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	store := gorilla.New(s, key)
	web := serve(t, store, nil, &p)
	web.wants("1 true")
	var id string
	if err := securecookie.DecodeMulti("sid", web.cookie(), &id, store.Codecs...); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), id, sessionstore.WriteOptions{Payload: []byte("php|i:1;"), IfVersion: 1}); err != nil {
		t.Fatal(err)
	}
	p = show
	web.wants("<nil> true true true")
	p = func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
		return count(w, r, s, nil)
	}
	web.wants("1 true")
	if stored, err := s.Read(t.Context(), id); err != nil || string(stored.Payload) != "php|i:1;" {
		t.Errorf("what could not be decoded was overwritten: %q, %v", stored.Payload, err)
	}
}

func TestRegenerate(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	store := gorilla.New(s, key)
	web := serve(t, store, nil, &p)
	web.wants("1 true")
	planted := web.cookie()
	p = func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
		s.Values["user"] = "alice"
		return errors.Join(err, store.Regenerate(r, w, s))
	}
	web.get()
	if web.cookie() == planted {
		t.Fatal("the id is the same")
	}
	p = func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
		_, e := fmt.Fprint(w, s.Values["user"], s.Values["n"], err)
		return e
	}
	mine := web.cookie()
	web.wants("alice1 <nil>")
	web.setCookie(planted)
	web.wants("<nil> <nil> <nil>")
	web.setCookie(mine)
	p = count
	web.wants("2 false")
}

func TestRegenerateOfANewSession(t *testing.T) {
	s, _ := shop(t)
	store := gorilla.New(s, key)
	p := page(func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
		s.Values["n"] = 1
		return errors.Join(err, store.Regenerate(r, w, s))
	})
	web := serve(t, store, nil, &p)
	web.get()
	p = show
	web.wants("1 false false false")
}

func TestFlashes(t *testing.T) {
	s, _ := shop(t)
	for _, serializer := range []gorilla.Serializer{gorilla.GobSerializer{}, gorilla.JSONSerializer{}, &gorilla.PHPSerializer{}} {
		store := gorilla.New(s, key)
		store.Serializer = serializer
		p := page(func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
			s.AddFlash("saved")
			s.AddFlash("twice")
			s.AddFlash("red", "errors")
			return s.Save(r, w)
		})
		web := serve(t, store, nil, &p)
		web.get()
		p = func(w http.ResponseWriter, r *http.Request, s *sessions.Session, err error) error {
			if err != nil {
				return err
			}
			flashes := fmt.Sprint(s.Flashes(), s.Flashes("errors"))
			if err := s.Save(r, w); err != nil {
				return err
			}
			_, err = fmt.Fprint(w, flashes)
			return err
		}
		web.wants("[saved twice] [red]")
		web.wants("[] []")
	}
}

func TestSaveOutlivesItsVisitor(t *testing.T) {
	s, _ := shop(t)
	store := gorilla.New(s, key)
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	session, err := store.Get(r, "sid")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := session.Save(r, httptest.NewRecorder()); err != nil {
		t.Error(err)
	}
	if _, err := store.Get(r, "not a name;"); err == nil {
		t.Error("a name that no cookie can have is taken")
	}
}

func TestParallelRequestsOfOneVisitor(t *testing.T) {
	s, _ := shop(t)
	p := page(count)
	a := serve(t, gorilla.New(s, key), nil, &p)
	b := serve(t, gorilla.New(s, key), a.jar, &p)
	a.wants("1 true")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				web := []*site{a, b}[i%2]
				if status, body, _ := web.get(); status != 200 || !strings.HasSuffix(body, "false") {
					t.Errorf("answered %d %q", status, body)
				}
			}
		})
	}
	wg.Wait()
}
