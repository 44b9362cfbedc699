package load_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/counterpage"
	"github.com/lvsession/lvsession/sessionstore"
)

// site is a fleet of real servers behind one address: each connection belongs to the next server of a fixed order.
// Their sessions are in memory. Faults are planted by setting its functions, which get the number of the request, from 1.
type site struct {
	url   string
	order []string

	// before may answer or break a request before it is counted; it returns true if it did.
	before func(n int64, w http.ResponseWriter, r *http.Request) bool
	// after may break a request that was counted, instead of its answer.
	after func(n int64, w http.ResponseWriter, r *http.Request) bool
	// session may change which session a request gets, and what becomes of it.
	session func(n int64, s *siteSession) error

	// unlocked lets requests of one session run at once.
	unlocked bool
	// drops may have a write be acknowledged and not made.
	drops func(s *siteSession) bool
	// loses, undead and sticky plant faults by the number of the request: a payload that gets lost, a session that is not
	// destroyed, and one that keeps its id at a login.
	loses, undead, sticky func(n int64) bool

	locks       sync.Map // cookie to *sync.Mutex
	connections atomic.Int64
	requests    atomic.Int64

	mu       sync.Mutex
	sessions map[string]counterpage.Visits
	oldest   string // id of the first session
}

// siteSession is one request's use of a session.
type siteSession struct {
	site   *site
	n      int64 // number of the request
	w      http.ResponseWriter
	id     string
	read   counterpage.Visits
	next   counterpage.Visits
	forget bool  // Save answers well and stores nothing
	skew   int64 // added to the count that is stored, though not to the one answered
}

func (s *siteSession) Get() counterpage.Visits  { return s.read }
func (s *siteSession) Set(v counterpage.Visits) { s.next = v }
func (s *siteSession) ID() string               { return s.id }

func (s *siteSession) Save() error {
	s.site.mu.Lock()
	defer s.site.mu.Unlock()
	if s.site.oldest == "" {
		s.site.oldest = s.id
	}
	http.SetCookie(s.w, &http.Cookie{Name: "sid", Value: s.id, Path: "/", HttpOnly: true})
	s.next.Count += s.skew
	if s.site.loses != nil && s.site.loses(s.n) {
		s.next.Payload = s.read.Payload
	}
	if s.site.drops != nil && s.site.drops(s) {
		s.forget = true
	}
	if !s.forget {
		s.site.sessions[s.id] = s.next
	}
	return nil
}

// Destroy forgets the session and takes the cookie away.
func (s *siteSession) Destroy() error {
	s.site.mu.Lock()
	defer s.site.mu.Unlock()
	if s.site.undead == nil || !s.site.undead(s.n) {
		delete(s.site.sessions, s.id)
	}
	http.SetCookie(s.w, &http.Cookie{Name: "sid", Path: "/", MaxAge: -1})
	return nil
}

func (s *siteSession) Regenerate() error {
	if s.site.sticky == nil || !s.site.sticky(s.n) {
		s.site.mu.Lock()
		delete(s.site.sessions, s.id)
		s.site.mu.Unlock()
		s.id = sessionstore.NewID()
	}
	return s.Save()
}

type connectionKey struct{}

// newSite starts a site; the test changes its faults before the first request.
func newSite(t testing.TB, order ...string) *site {
	s, config := siteOf(order...)
	server := httptest.NewUnstartedServer(config.Handler)
	server.Config.ConnContext = config.ConnContext
	server.Start()
	t.Cleanup(server.Close)
	s.url = server.URL + "/count"
	return s
}

// siteOf returns a site and the server that shows it.
func siteOf(order ...string) (*site, *http.Server) {
	if len(order) == 0 {
		order = []string{"web1"}
	}
	s := &site{order: order, sessions: map[string]counterpage.Visits{}}
	pages := map[string]http.Handler{}
	for _, name := range order {
		pages[name] = counterpage.Handler(name, s.open)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.requests.Add(1)
		if s.before != nil && s.before(n, w, r) {
			return
		}
		if c, err := r.Cookie("sid"); err == nil && !s.unlocked {
			lock, _ := s.locks.LoadOrStore(c.Value, new(sync.Mutex))
			lock.(*sync.Mutex).Lock()
			defer lock.(*sync.Mutex).Unlock()
		}
		r = r.WithContext(context.WithValue(r.Context(), siteKey{}, n))
		if s.after == nil {
			pages[r.Context().Value(connectionKey{}).(string)].ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		pages[r.Context().Value(connectionKey{}).(string)].ServeHTTP(answer, r)
		if s.after(n, w, r) {
			return
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})}
	server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		n := s.connections.Add(1) - 1
		return context.WithValue(ctx, connectionKey{}, s.order[n%int64(len(s.order))])
	}
	return s, server
}

type siteKey struct{}

func (s *site) open(w http.ResponseWriter, r *http.Request) (counterpage.Session, error) {
	session := &siteSession{site: s, w: w}
	s.mu.Lock()
	if c, err := r.Cookie("sid"); err == nil {
		if v, found := s.sessions[c.Value]; found {
			session.id, session.read = c.Value, v
		}
	}
	s.mu.Unlock()
	if session.id == "" {
		session.id = sessionstore.NewID()
	}
	session.n, _ = r.Context().Value(siteKey{}).(int64)
	if s.session != nil {
		if err := s.session(r.Context().Value(siteKey{}).(int64), session); err != nil {
			return nil, err
		}
	}
	return session, nil
}

// reset answers a request with a TCP reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(fmt.Sprintf("hijack: %v", err))
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// run loads the site and fails the test if that is not possible. The probe is left out, so that requests have the numbers
// that faults expect.
func run(t testing.TB, s *site, cfg load.Config) *load.Result {
	t.Helper()
	cfg.URL, cfg.NoProbe = s.url, true
	r, err := load.Run(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
