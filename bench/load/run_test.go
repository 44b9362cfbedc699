package load_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/counterpage"
	"github.com/lvsession/lvsession/sessionstore"
)

func TestRunProves(t *testing.T) {
	tests := []struct {
		name        string
		cfg         load.Config
		connections int64
	}{
		{"a connection for each request", load.Config{Users: 20, Requests: 20}, 400},
		{"kept connections", load.Config{Users: 20, Requests: 20, KeepAlive: true}, 20},
		{"users take turns", load.Config{Users: 40, Requests: 10, Concurrency: 3}, 400},
		{"turns on kept connections", load.Config{Users: 40, Requests: 10, Concurrency: 3, KeepAlive: true}, 40},
		{"open load", load.Config{Users: 20, Requests: 20, Rate: 2000}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, newSite(t, "web1", "web2"), tt.cfg)
			if !r.Proven || r.Ended != load.Complete || r.Acknowledged != 400 || r.Planned != 400 || r.Attempts != 400 ||
				r.ErrorsTotal != 0 || r.ViolationsTotal != 0 || r.Sessions != tt.cfg.Users {
				t.Errorf("unexpected result: %+v", r)
			}
			if r.Connections != tt.connections {
				t.Errorf("%d connections, want %d", r.Connections, tt.connections)
			}
			if r.Latency.Count != 400 || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P99 || r.Throughput <= 0 {
				t.Errorf("latency %+v, throughput %g", r.Latency, r.Throughput)
			}
		})
	}
}

func TestRunSharesFollowWeights(t *testing.T) {
	// The site deals connections out in wrr order of the weights 3 and 1.
	s := newSite(t, "web1", "web1", "web2", "web1")
	r := run(t, s, load.Config{Users: 10, Requests: 20, Weights: map[string]int{"web1": 3, "web2": 1}})
	want := []load.Share{
		{Server: "web1", Weight: 3, Answers: 150, Actual: 0.75, Expected: 0.75},
		{Server: "web2", Weight: 1, Answers: 50, Actual: 0.25, Expected: 0.25},
	}
	if len(r.Shares) != 2 || r.Shares[0] != want[0] || r.Shares[1] != want[1] {
		t.Errorf("shares %+v, want %+v", r.Shares, want)
	}
}

// once plants a fault that strikes one request, in the middle of its user's 40, which is not the user of the first
// session.
func once(fault func(s *siteSession)) func(int64, *siteSession) error {
	var struck atomic.Bool
	return func(_ int64, s *siteSession) error {
		s.site.mu.Lock()
		oldest := s.site.oldest
		s.site.mu.Unlock()
		if s.read.Count >= 10 && s.read.Count < 20 && s.id != oldest && struck.CompareAndSwap(false, true) {
			fault(s)
		}
		return nil
	}
}

func TestRunFindsViolations(t *testing.T) {
	tests := []struct {
		name  string
		fault func(int64, *siteSession) error
		want  map[load.Kind]int64
	}{
		{"no fault", nil, map[load.Kind]int64{}},
		{"loses an increment", once(func(s *siteSession) { s.forget = true }), map[load.Kind]int64{load.Lost: 1}},
		{"reads stale and stores it", once(func(s *siteSession) { s.read.Count-- }), map[load.Kind]int64{load.Lost: 1}},
		{"answers stale and stores well", once(func(s *siteSession) { s.read.Count--; s.skew = 1 }), map[load.Kind]int64{load.Lost: 1, load.Over: 1}},
		{"counts twice", once(func(s *siteSession) { s.read.Count++ }), map[load.Kind]int64{load.Over: 1}},
		{"empties the session", once(func(s *siteSession) { s.read.Count = 0 }), map[load.Kind]int64{load.Logout: 1}},
		{"logs out", once(func(s *siteSession) {
			s.id, s.read = sessionstore.NewID(), counterpage.Visits{}
		}), map[load.Kind]int64{load.Logout: 1}},
		{"shows a foreign name", once(func(s *siteSession) { s.read.User = "somebody" }), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			s.session = tt.fault
			r := run(t, s, load.Config{Users: 5, Requests: 40})
			if tt.want == nil {
				// The name was stored, so that every later answer of that user shows it too.
				if r.ViolationsByKind[load.Foreign] < 2 || len(r.ViolationsByKind) != 1 {
					t.Fatalf("violations %v", r.ViolationsByKind)
				}
				return
			}
			if len(r.ViolationsByKind) != len(tt.want) {
				t.Fatalf("violations %v, want %v: %+v", r.ViolationsByKind, tt.want, r.Violations)
			}
			for kind, n := range tt.want {
				if r.ViolationsByKind[kind] != n {
					t.Fatalf("violations %v, want %v", r.ViolationsByKind, tt.want)
				}
			}
			if r.Proven != (len(tt.want) == 0) || r.ErrorsTotal != 0 {
				t.Errorf("proven %v (%s), %d errors", r.Proven, r.Reason, r.ErrorsTotal)
			}
			for _, v := range r.Violations {
				if len(v.History) < 5 || v.History[len(v.History)-1].At != v.At || !strings.HasPrefix(v.User, "u") || v.Detail == "" {
					t.Errorf("violation lacks its history: %+v", v)
				}
			}
		})
	}
}

// A server that gives a visitor another's session is caught whether it swaps the session for one request or for good.
func TestRunFindsForeignSession(t *testing.T) {
	for _, name := range []string{"payload", "cookie"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.session = once(func(v *siteSession) {
				s.mu.Lock()
				defer s.mu.Unlock()
				v.read = s.sessions[s.oldest]
				if v.forget = name == "payload"; !v.forget {
					v.id = s.oldest
				}
			})
			r := run(t, s, load.Config{Users: 5, Requests: 40})
			foreign := r.ViolationsByKind[load.Foreign]
			if r.Proven || foreign == 0 {
				t.Fatalf("not found: %v", r.ViolationsByKind)
			}
			if name == "payload" && (foreign != 1 || r.ViolationsTotal != 1) {
				t.Errorf("one request got a foreign payload, found %v", r.ViolationsByKind)
			}
			// From then on two users share a session: the one is told the other's name each time.
			if name == "cookie" && foreign < 20 {
				t.Errorf("two users share a session, found %v", r.ViolationsByKind)
			}
		})
	}
}

func TestRunClassifiesErrors(t *testing.T) {
	every10 := func(fault func(http.ResponseWriter)) func(int64, http.ResponseWriter, *http.Request) bool {
		return func(n int64, w http.ResponseWriter, _ *http.Request) bool {
			if n%10 == 0 {
				fault(w)
				return true
			}
			return false
		}
	}
	raw := func(answer string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			conn.Write([]byte(answer))
			conn.Close()
		}
	}
	body := func(contentType, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", contentType)
			w.Write([]byte(body))
		}
	}
	tests := []struct {
		name  string
		class load.Class
		fault func(http.ResponseWriter)
	}{
		{"reset", load.Reset, reset},
		{"no answer", load.Closed, raw("")},
		{"half a header", load.Closed, raw("HTTP/1.1 200 OK\r\nContent-Ty")},
		{"half a body", load.Closed, raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")},
		{"not HTTP", load.BadHTTP, raw("+OK ready\r\n\r\n")},
		{"endless body", load.BadHTTP, body("application/json", strings.Repeat("x", load.MaxBody+1))},
		{"no JSON", load.BadBody, body("application/json", "<b>Warning</b>: session_start()")},
		{"wrong type", load.BadBody, body("text/html", `{"server":"web1","id":"00000000","count":1,"user":"u1"}`)},
		{"unavailable", "http_503", func(w http.ResponseWriter) { http.Error(w, "away", http.StatusServiceUnavailable) }},
		{"not followed", "http_302", func(w http.ResponseWriter) { w.Header().Set("Location", "/login"); w.WriteHeader(302) }},
	}
	for _, tt := range tests {
		for _, counted := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				s := newSite(t)
				if counted {
					s.after = every10(tt.fault)
				} else {
					s.before = every10(tt.fault)
				}
				r := run(t, s, load.Config{Users: 7, Requests: 20, AllowErrors: 14})
				if r.ErrorsTotal != 14 || r.ErrorsByClass[tt.class] != 14 || r.Acknowledged != 126 || !r.Proven {
					t.Fatalf("errors %v, acknowledged %d, proven %v (%s): %+v", r.ErrorsByClass, r.Acknowledged, r.Proven, r.Reason, r.Errors[0])
				}
				if !counted && r.Landed != 0 || counted && r.Landed == 0 || r.LandedLate != 0 {
					t.Errorf("%d errors turned out to be counted, %d late; counted: %v", r.Landed, r.LandedLate, counted)
				}
				for _, e := range r.Errors {
					if e.Sent < 0 || e.At < e.Sent || e.At > r.Elapsed || e.Class != tt.class || e.Detail == "" {
						t.Errorf("bad record %+v", e)
					}
				}
			})
		}
	}
}

func TestRunTimesOut(t *testing.T) {
	s := newSite(t)
	release := make(chan struct{})
	s.before = func(n int64, _ http.ResponseWriter, _ *http.Request) bool {
		if n == 5 {
			<-release
		}
		return n == 5
	}
	r := run(t, s, load.Config{Users: 1, Requests: 10, Timeout: 2 * time.Second})
	close(release)
	if r.ErrorsByClass[load.Timeout] != 1 || r.Acknowledged != 9 || r.Proven || r.Unknown != 1 {
		t.Fatalf("%+v", r)
	}
	if e := r.Errors[0]; time.Duration(e.At-e.Sent) < 1990*time.Millisecond {
		t.Errorf("timed out after %v", e.At-e.Sent)
	}
}

// A real server may get to a request long after its user gave up, even after the user's next one.
func TestRunAcceptsLateLanding(t *testing.T) {
	s := newSite(t)
	var mu sync.Mutex
	s.before = func(n int64, _ http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n == 7 { // the request that was dropped as number 5 lands now
			s.mu.Lock()
			v := s.sessions[s.oldest]
			v.Count++
			s.sessions[s.oldest] = v
			s.mu.Unlock()
		}
		return false
	}
	drop := s.before
	s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n == 5 {
			reset(w)
			return true
		}
		return drop(n, w, r)
	}
	r := run(t, s, load.Config{Users: 1, Requests: 10, AllowErrors: 1})
	if !r.Proven || r.Landed != 1 || r.LandedLate != 1 || r.Unknown != 1 {
		t.Fatalf("proven %v (%s), landed %d, unknown %d: %+v", r.Proven, r.Reason, r.Landed, r.Unknown, r.Violations)
	}
}

func TestRunRetries(t *testing.T) {
	s := newSite(t)
	s.before = func(n int64, w http.ResponseWriter, _ *http.Request) bool {
		if n%5 == 0 {
			http.Error(w, "away", http.StatusServiceUnavailable)
		}
		return n%5 == 0
	}
	r := run(t, s, load.Config{Users: 1, Requests: 60, Retries: 1, RetryWait: time.Millisecond, AllowErrors: -1})
	if !r.Proven || r.Acknowledged != 60 || r.ErrorsTotal < 12 || r.Retries != r.ErrorsTotal || r.Attempts != 60+r.Retries {
		t.Errorf("%+v", r)
	}
}

func TestRunRefused(t *testing.T) {
	url := deadURL(t)
	r, err := load.Run(t.Context(), load.Config{URL: url, Users: 2, Requests: 3, NoProbe: true, AllowErrors: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Proven || r.Acknowledged != 0 || r.ErrorsByClass[load.Refused] != 6 || r.Unknown != 0 {
		t.Errorf("%+v", r)
	}
}

// deadURL returns a URL on loopback where nobody listens: its listener was just closed.
func deadURL(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String() + "/"
}

func TestRunProbes(t *testing.T) {
	serve := func(h http.HandlerFunc) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	tests := []struct{ name, url, want string }{
		{"nobody listens", deadURL(t), "refused"},
		{"not found", serve(http.NotFound), "http_404"},
		{"no cookie", serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"server":"web1","id":"00000000","count":1,"user":"uprobe"}`))
		}), "no cookie"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load.Run(t.Context(), load.Config{URL: tt.url, RetryWait: time.Millisecond}, nil)
			if !errors.Is(err, load.ErrUnreachable) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want one with %q", err, tt.want)
			}
		})
	}
	s := newSite(t)
	r, err := load.Run(t.Context(), load.Config{URL: s.url, Users: 2, Requests: 2}, nil)
	if err != nil || !r.Proven || r.Acknowledged != 4 || s.requests.Load() != 5 {
		t.Errorf("%v, %+v", err, r)
	}
}

// While the target stalls, requests go on falling due. Their latency must show how long they had to wait, although only one
// of them was in the target's hands.
func TestLatencyCountsFromIntendedStart(t *testing.T) {
	const stall = 600 * time.Millisecond
	s := newSite(t)
	s.before = func(n int64, _ http.ResponseWriter, _ *http.Request) bool {
		if n == 100 {
			time.Sleep(stall) // the planted fault
		}
		return false
	}
	// 100 requests/s for 4 s, one at a time. 60 of 400 fall due in the stall, evenly: 10 % wait 200 ms or more.
	r := run(t, s, load.Config{Users: 10, Requests: 40, Rate: 100, Concurrency: 1})
	if !r.Proven {
		t.Fatal(r.Reason)
	}
	ms := func(m load.Millis) int64 { return time.Duration(m).Milliseconds() }
	if p90 := ms(r.Latency.P90); p90 < 120 {
		t.Errorf("p90 of the latency is %d ms and hides the stall", p90)
	}
	if p50 := ms(r.Latency.P50); p50 > 100 {
		t.Errorf("p50 of the latency is %d ms, though most requests fell due outside the stall", p50)
	}
	if max := ms(r.Latency.Max); max < 550 {
		t.Errorf("maximum is %d ms, less than the stall", max)
	}
	if p90 := ms(r.Service.P90); p90 > 100 {
		t.Errorf("p90 of the service time is %d ms, though one request only was slow", p90)
	}
	if r.Held == 0 {
		t.Error("no request is reported as held back")
	}
}

func TestRunEndsOnTime(t *testing.T) {
	s := newSite(t)
	r := run(t, s, load.Config{Users: 5, Requests: 1 << 20, Rate: 200, Duration: 300 * time.Millisecond})
	if r.Ended != load.OutOfTime || !r.Proven || r.Acknowledged == 0 || r.Planned != 61 || r.Attempts != r.Acknowledged {
		t.Errorf("%+v", r)
	}
}

func TestRunIsInterrupted(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	s.before = func(n int64, _ http.ResponseWriter, _ *http.Request) bool {
		if n < 20 {
			return false
		}
		cancel()
		<-release
		return true
	}
	r, err := load.Run(ctx, load.Config{URL: s.url, Users: 3, Requests: 1000, NoProbe: true}, nil)
	close(release)
	if err != nil {
		t.Fatal(err)
	}
	if r.Ended != load.Interrupted || r.Proven || r.Interrupted == 0 || r.ErrorsTotal != 0 || r.ViolationsTotal != 0 {
		t.Errorf("%+v", r)
	}
	if r.Attempts != r.Acknowledged+r.Interrupted {
		t.Errorf("%d attempts, %d acknowledged, %d cut", r.Attempts, r.Acknowledged, r.Interrupted)
	}
}

// A server may close kept connections between requests; a browser does not notice, and neither may we.
func TestRunReopensKeptConnections(t *testing.T) {
	s := newSite(t)
	server := httptest.NewUnstartedServer(nil)
	server.Config = &http.Server{IdleTimeout: time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), siteKey{}, int64(1)))
		counterpage.Handler("web1", s.open).ServeHTTP(w, r)
	})}
	server.Start()
	defer server.Close()
	r, err := load.Run(t.Context(), load.Config{URL: server.URL, Users: 4, Requests: 10, Rate: 100, KeepAlive: true, NoProbe: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Proven || r.Connections < 30 {
		t.Errorf("proven %v (%s), %d connections, errors %v", r.Proven, r.Reason, r.Connections, r.ErrorsByClass)
	}
}

// A connection may be kept for longer than a request may take.
func TestRunKeepsConnectionsBeyondTimeout(t *testing.T) {
	r := run(t, newSite(t), load.Config{Users: 2, Requests: 3, Rate: 1.6, Timeout: time.Second, KeepAlive: true})
	if !r.Proven || r.Connections != 2 {
		t.Errorf("proven %v (%s), %d connections, errors %v", r.Proven, r.Reason, r.Connections, r.Errors)
	}
}

func TestRunReportsProgress(t *testing.T) {
	s := newSite(t)
	var shots []load.Snapshot
	_, err := load.Run(t.Context(), load.Config{URL: s.url, Users: 10, Requests: 10, Rate: 150}, func(s load.Snapshot) { shots = append(shots, s) })
	if err != nil {
		t.Fatal(err)
	}
	last := shots[len(shots)-1]
	if len(shots) < 2 || last.Done != 100 || last.Acknowledged != 100 || last.InFlight != 0 || last.P99 == 0 {
		t.Errorf("%d snapshots, the last %+v", len(shots), last)
	}
	for i := 1; i < len(shots); i++ {
		if shots[i].Done < shots[i-1].Done || shots[i].Done > shots[i].Planned {
			t.Errorf("progress went from %+v to %+v", shots[i-1], shots[i])
		}
	}
}

func TestResultIsJSON(t *testing.T) {
	s := newSite(t)
	s.before = func(n int64, w http.ResponseWriter, _ *http.Request) bool {
		if n == 3 {
			reset(w)
		}
		return n == 3
	}
	s.session = func(n int64, v *siteSession) error {
		if n == 7 {
			v.read.Count += 2 // one of them may be the lost request
		}
		return nil
	}
	r := run(t, s, load.Config{Users: 1, Requests: 10, Timeout: 1500 * time.Millisecond})
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"timeout_ms":1500`, `"errors_by_class":{"reset":1}`, `"sent_ms":`, `"kind":"over"`, `"p99_9_ms":`, `"error":"reset"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
	var back load.Result
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || string(again) != string(b) {
		t.Errorf("reading the JSON and writing it again changes it (%v):\n%s\n%s", err, b, again)
	}
}
