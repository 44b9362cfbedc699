package scsstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // scs.New begins with a store whose goroutine never ends
		goleak.IgnoreAnyFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// flaky is sessions that can go away.
type flaky struct {
	sessionstore.Sessions
	down atomic.Bool
}

var errDown = &sessionstore.UnavailableError{Op: "test", Cause: errors.New("pulled the plug")}

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
	return f.Sessions.Write(ctx, id, w)
}

func (f *flaky) Destroy(ctx context.Context, id string) error {
	if f.down.Load() {
		return errDown
	}
	return f.Sessions.Destroy(ctx, id)
}

// shop returns sessions whose clock the test can move.
func shop(t *testing.T) (s *flaky, advance func(time.Duration)) {
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

func newManager(s sessionstore.Sessions) *scs.SessionManager {
	manager := scs.New()
	manager.Store = New(s)
	return manager
}

// site is a real server with pages on a manager's sessions, and a browser.
type site struct {
	t   *testing.T
	url string
	jar http.CookieJar
}

func serve(t *testing.T, manager *scs.SessionManager, jar http.CookieJar) *site {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		n := manager.GetInt(r.Context(), "n") + 1
		manager.Put(r.Context(), "n", n)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.RenewToken(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		manager.Put(r.Context(), "user", "anna")
		fmt.Fprint(w, "in")
	})
	mux.HandleFunc("/user", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "user ", manager.GetString(r.Context(), "user"))
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.Destroy(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "out")
	})
	manager.ErrorFunc = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	}
	server := httptest.NewServer(manager.LoadAndSave(mux))
	t.Cleanup(server.Close)
	if jar == nil {
		jar, _ = cookiejar.New(nil)
	}
	return &site{t, server.URL, jar}
}

func (s *site) wants(page, body string) {
	s.t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Jar: s.jar, Transport: transport}).Get(s.url + page)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || strings.TrimSpace(string(b)) != body {
		s.t.Errorf("%s answers %s %q, %v; want %q", page, res.Status, b, err, body)
	}
}

func TestTwoServers(t *testing.T) {
	for _, hashed := range []bool{false, true} {
		s, advance := shop(t)
		var sites []*site
		jar, _ := cookiejar.New(nil)
		for range 2 {
			manager := newManager(s)
			manager.HashTokenInStore = hashed
			manager.IdleTimeout = 20 * time.Minute
			sites = append(sites, serve(t, manager, jar))
		}
		for n := 1; n <= 50; n++ { // tokens have an underscore or a hyphen more often than not
			sites[n%2].wants("/count", fmt.Sprint(n))
		}
		sites[0].wants("/login", "in")
		sites[1].wants("/user", "user anna")
		sites[1].wants("/count", "51")
		advance(time.Hour)
		sites[0].wants("/user", "user")
		sites[0].wants("/login", "in")
		sites[1].wants("/logout", "out")
		sites[0].wants("/user", "user")
		sites[0].wants("/count", "1")
	}
}

func TestOutageLogsNobodyOut(t *testing.T) {
	s, _ := shop(t)
	web := serve(t, newManager(s), nil)
	web.wants("/login", "in")
	s.down.Store(true)
	for _, page := range []string{"/user", "/count", "/logout"} {
		web.wants(page, "unavailable")
	}
	s.down.Store(false)
	web.wants("/user", "user anna")
}

// A request that was under way during the logout does not bring the session back.
func TestDestroyedStaysDestroyed(t *testing.T) {
	s, _ := shop(t)
	store, token, expiry := New(s), strings.Repeat("aB3-_", 8)+"xyz", time.Now().Add(time.Hour)
	if err := store.Commit(token, []byte("in"), expiry); err != nil {
		t.Fatal(err)
	}
	if b, found, err := store.Find(token); err != nil || !found || string(b) != "in" {
		t.Errorf("found %q, %v, %v", b, found, err)
	}
	for range 2 {
		if err := store.Delete(token); err != nil {
			t.Error(err)
		}
	}
	if err := store.Commit(token, []byte("late"), expiry); err != nil {
		t.Error(err)
	}
	if b, found, err := store.Find(token); err != nil || found {
		t.Errorf("found %q, %v, %v", b, found, err)
	}
}

func TestTokensFromOutside(t *testing.T) {
	s, _ := shop(t)
	store := New(s)
	for _, token := range []string{"", "short", strings.Repeat("a", 300), strings.Repeat("a", 42) + ",", strings.Repeat("ä", 20), "../../../../etc/passwd"} {
		if b, found, err := store.Find(token); err != nil || found {
			t.Errorf("find %q: %q, %v, %v", token, b, found, err)
		}
		if err := store.Delete(token); err != nil {
			t.Errorf("delete %q: %v", token, err)
		}
		if err := store.Commit(token, nil, time.Now().Add(time.Hour)); !errors.Is(err, sessionstore.ErrInvalid) {
			t.Errorf("commit %q: %v", token, err)
		}
	}
}

func TestCommitOutlivesItsVisitor(t *testing.T) {
	s, _ := shop(t)
	store, token := New(s), strings.Repeat("t", 43)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.CommitCtx(ctx, token, []byte("x"), time.Now().Add(1000*24*time.Hour)); err != nil {
		t.Error(err)
	}
	if _, found, err := store.Find(token); err != nil || !found {
		t.Errorf("found %v, %v", found, err)
	}
	if err := store.CommitCtx(ctx, strings.Repeat("p", 43), nil, time.Now().Add(-time.Hour)); err != nil {
		t.Errorf("a commit that is past its expiry: %v", err)
	}
}

// No two tokens share an id.
func TestIDsOfTokens(t *testing.T) {
	token := rapid.StringMatching(`[A-Za-z0-9_,-]{20,45}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := token.Draw(t, "a"), token.Draw(t, "b")
		idA, okA := idOf(a)
		idB, okB := idOf(b)
		if okA && okB && (idA == idB) != (a == b) {
			t.Fatalf("%q is %q, %q is %q", a, idA, b, idB)
		}
		if known := len(a) >= sessionstore.MinIDLength && !strings.Contains(a, ","); okA != known {
			t.Fatalf("%q is taken: %v", a, okA)
		}
	})
}
