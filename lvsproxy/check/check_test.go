package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// tests ends the servers that tests share before goroutines are looked for.
type tests struct{ m *testing.M }

func (t tests) Run() int { return child.Main(t.m) }

// TestStreak: + is a success, - a failure; the states after each of them are given by their first letters.
func TestStreak(t *testing.T) {
	tests := []struct {
		initial            State
		failures, rises    int
		results, want, how string
	}{
		{Unknown, 1, 1, "+-+-", "udud", "each result counts"},
		{Unknown, 3, 2, "+", "u", "the first result counts at once"},
		{Unknown, 3, 2, "-", "d", "the first result counts at once"},
		{Unknown, 3, 1, "+--+---", "uuuuuud", "only failures in a row count"},
		{Up, 3, 1, "---", "uud", "a known state changes after all of them"},
		{Down, 1, 3, "++-+++", "dddddu", "only successes in a row count"},
		{Down, 1, 1, "--+", "ddu", "failures of a failed server change nothing"},
	}
	for _, tt := range tests {
		s, spec := streak{state: tt.initial}, Spec{FailureCount: tt.failures, RiseCount: tt.rises}
		var got strings.Builder
		for _, r := range tt.results {
			before := s.state
			if changed := s.add(r == '+', &spec); changed != (s.state != before) {
				t.Errorf("%s: changed is %v from %v to %v", tt.how, changed, before, s.state)
			}
			got.WriteByte(s.state.String()[0])
		}
		if got.String() != tt.want {
			t.Errorf("%s: %s from %v, %d failures, %d rises: got %s, want %s", tt.how, tt.results, tt.initial, tt.failures, tt.rises, got.String(), tt.want)
		}
	}
}

func virtual(c config.Check) config.Virtual {
	if c.NegotiateTimeout == 0 {
		c.NegotiateTimeout = 10 * time.Second
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.Method == "" {
		c.Method = "GET"
	}
	c.Interval, c.FailureCount = time.Millisecond, 1
	return config.Virtual{Check: c}
}

// first runs the check until its first result.
func first(t *testing.T, spec Spec) Result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var result Result
	c, err := New(spec, Unknown, NewLimit(1), func(r Result) { result = r; cancel() })
	if err != nil {
		t.Fatal(err)
	}
	c.Run(ctx)
	return result
}

func addrOf(t *testing.T, server *httptest.Server) netip.AddrPort {
	t.Helper()
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).AddrPort()
}

func handler(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ok":
		fmt.Fprintln(w, "Server OK")
	case "/host":
		fmt.Fprint(w, "host ", r.Host)
	case "/method":
		w.Header().Set("Allow", r.Method)
	case "/query":
		fmt.Fprint(w, r.URL.RawQuery)
	case "/late": // what is asked for comes after MaxAnswer bytes
		for range MaxAnswer / 1024 {
			fmt.Fprint(w, strings.Repeat("x", 1024))
		}
		fmt.Fprint(w, "needle")
	case "/redirect":
		http.Redirect(w, r, "/ok", http.StatusFound)
	case "/loop":
		http.Redirect(w, r, "/loop", http.StatusFound)
	case "/cut": // promises more than it sends
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "OK")
	default:
		http.Error(w, "OK in the body of an error", http.StatusServiceUnavailable)
	}
}

func TestHTTP(t *testing.T) {
	plain := addrOf(t, httptest.NewServer(http.HandlerFunc(handler)))
	secure := addrOf(t, httptest.NewTLSServer(http.HandlerFunc(handler)))
	tests := []struct {
		name             string
		target           netip.AddrPort
		check            config.Check
		request, receive string
		ok               bool
		reason           string
	}{
		{"status alone", plain, config.Check{Service: "http"}, "/ok", "", true, "200 OK"},
		{"body matches", plain, config.Check{Service: "http"}, "/ok", "S.*OK", true, "200 OK"},
		{"$ before the last line feed, as in Perl", plain, config.Check{Service: "http"}, "/ok", "^Server OK$", true, "200 OK"},
		{"body does not match", plain, config.Check{Service: "http"}, "/ok", "KO", false, "http check: 200 OK, but the answer of 10 bytes does not match receive"},
		{"status of an error", plain, config.Check{Service: "http"}, "/none", "OK", false, "http check: 503 Service Unavailable"},
		{"virtualhost", plain, config.Check{Service: "http", VirtualHost: "www.example"}, "/host", "^host www[.]example$", true, "200 OK"},
		{"no virtualhost", plain, config.Check{Service: "http"}, "/host", "^host 127[.]0[.]0[.]1$", true, "200 OK"},
		{"query", plain, config.Check{Service: "http"}, "/query?a=b", "^a=b$", true, "200 OK"},
		{"HEAD", plain, config.Check{Service: "http", Method: "HEAD"}, "/method", "", true, "200 OK"},
		{"HEAD has no body", plain, config.Check{Service: "http", Method: "HEAD"}, "/ok", "OK", false, "http check: 200 OK, but the answer of 0 bytes does not match receive"},
		{"redirect", plain, config.Check{Service: "http"}, "/redirect", "OK", true, "200 OK"},
		{"endless redirects", plain, config.Check{Service: "http"}, "/loop", "", false, "http check: more than 7 redirects"},
		{"too long an answer", plain, config.Check{Service: "http"}, "/late", "needle", false, "http check: 200 OK, but the answer of 1048576 bytes does not match receive"},
		{"answer cut short", plain, config.Check{Service: "http"}, "/cut", "OK", false, "http check: unexpected EOF"},
		{"TLS, whatever the certificate", secure, config.Check{Service: "https", VirtualHost: "www.example"}, "/ok", "OK", true, "200 OK"},
		{"TLS asked of a plain server", plain, config.Check{Service: "https"}, "/ok", "OK", false, "https check: http: server gave HTTP response"},
		{"own URL", netip.MustParseAddrPort("127.0.0.1:1"), config.Check{Service: "http"}, "http://" + plain.String() + "/ok", "OK", true, "200 OK"},
		{"checkport", netip.MustParseAddrPort("127.0.0.1:1"), config.Check{Service: "http", Port: plain.Port()}, "/ok", "OK", true, "200 OK"},
		{"refused", netip.MustParseAddrPort("127.0.0.1:1"), config.Check{Service: "http"}, "/ok", "OK", false, "http check: dial tcp 127.0.0.1:1"},
		{"none is up", netip.MustParseAddrPort("127.0.0.1:1"), config.Check{Service: "none"}, "/", "", true, "service=none is not checked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.check.Type = config.CheckNegotiate
			spec := ForReal(virtual(tt.check), config.Real{Addr: tt.target, Request: tt.request, Receive: tt.receive}, 1)
			r := first(t, spec)
			if r.OK != tt.ok || (r.State == Up) != tt.ok || !r.Changed || !strings.HasPrefix(r.Reason, tt.reason) {
				t.Errorf("got %v, %v, changed %v, %q; want %v, %q", r.OK, r.State, r.Changed, r.Reason, tt.ok, tt.reason)
			}
		})
	}
}

// TestNegotiateTimeout: the time-out is for the whole answer, so a server that drips bytes fails too.
func TestNegotiateTimeout(t *testing.T) {
	target := addrOf(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})))
	v := virtual(config.Check{Type: config.CheckNegotiate, Service: "http", NegotiateTimeout: 500 * time.Millisecond})
	r := first(t, ForReal(v, config.Real{Addr: target, Request: "/", Receive: "OK"}, 1))
	if r.OK || !strings.Contains(r.Reason, "no complete answer within") {
		t.Errorf("got %v, %q", r.OK, r.Reason)
	}
}

func TestConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spec := ForReal(virtual(config.Check{Type: config.CheckConnect}), config.Real{Addr: l.Addr().(*net.TCPAddr).AddrPort()}, 1)
	if r := first(t, spec); !r.OK || r.Reason != "connected" {
		t.Errorf("listening: got %v, %q", r.OK, r.Reason)
	}
	l.Close()
	if r := first(t, spec); r.OK || !strings.Contains(r.Reason, "connection refused") {
		t.Errorf("closed: got %v, %q", r.OK, r.Reason)
	}
}

func TestOnOff(t *testing.T) {
	for checkType, ok := range map[config.CheckType]bool{config.CheckOn: true, config.CheckOff: false} {
		spec := ForReal(virtual(config.Check{Type: checkType}), config.Real{Addr: netip.MustParseAddrPort("127.0.0.1:1")}, 1)
		if r := first(t, spec); r.OK != ok || r.Reason != "checktype="+string(checkType) {
			t.Errorf("%s: got %v, %q", checkType, r.OK, r.Reason)
		}
	}
}

// script is a probe that answers as told, and notes that it was asked.
type script struct {
	name    string
	asked   *strings.Builder
	results *string
}

func (p script) run(context.Context) (string, error) {
	p.asked.WriteString(p.name)
	ok := (*p.results)[0] == '+'
	*p.results = (*p.results)[1:]
	if !ok {
		return "", errors.New("scripted")
	}
	return "scripted", nil
}

// TestCombined: which of negotiate (n) and connect (c) is due, by the results before.
func TestCombined(t *testing.T) {
	tests := []struct {
		every         int
		results, want string
	}{
		{2, "+++++++", "nccnccn"},
		{1, "++++", "ncnc"},
		{0, "+++", "nnn"},
		{3, "--++", "nnnc"},     // negotiate again until it succeeds
		{3, "++-+++", "nccncc"}, // a failed connect check asks for a negotiate one
	}
	for _, tt := range tests {
		var asked strings.Builder
		results := tt.results
		c, err := New(Spec{Type: config.CheckCombined, Service: "none", Every: tt.every, FailureCount: 1, RiseCount: 1}, Unknown, NewLimit(1), func(Result) {})
		if err != nil {
			t.Fatal(err)
		}
		c.negotiate, c.connect = script{"n", &asked, &results}.run, script{"c", &asked, &results}.run
		for range tt.want {
			c.once(t.Context())
		}
		if asked.String() != tt.want {
			t.Errorf("N = %d, %s: got %s, want %s", tt.every, tt.results, asked.String(), tt.want)
		}
	}
}

// TestLimit: however many checkers there are, no more checks run at once than the limit says, and all get their turn.
func TestLimit(t *testing.T) {
	const checkers, most = 20, 3
	var now, peak atomic.Int32
	target := addrOf(t, httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > peak.Load() {
			peak.Store(n)
		}
		now.Add(-1)
	})))
	ctx, cancel := context.WithCancel(t.Context())
	limit, reported, done := NewLimit(most), make(chan int, 1000), make(chan struct{})
	spec := ForReal(virtual(config.Check{Type: config.CheckNegotiate, Service: "http"}), config.Real{Addr: target, Request: "/"}, 1)
	spec.Interval = 20 * time.Millisecond
	for i := range checkers {
		c, err := New(spec, Unknown, limit, func(Result) {
			select {
			case reported <- i:
			default:
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() { c.Run(ctx); done <- struct{}{} }()
	}
	seen := map[int]bool{}
	for len(seen) < checkers {
		seen[<-reported] = true
	}
	cancel()
	for range checkers {
		<-done
	}
	if peak.Load() > most {
		t.Errorf("%d checks at once, want at most %d", peak.Load(), most)
	}
}

// TestNoResultAfterCancel: a check that is under way when the context ends is stopped and not reported.
func TestNoResultAfterCancel(t *testing.T) {
	asked := make(chan struct{})
	target := addrOf(t, httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})))
	ctx, cancel := context.WithCancel(t.Context())
	spec := ForReal(virtual(config.Check{Type: config.CheckNegotiate, Service: "http"}), config.Real{Addr: target, Request: "/"}, 1)
	c, err := New(spec, Up, NewLimit(1), func(r Result) { t.Errorf("reported %v", r) })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	<-asked
	cancel()
	<-done
}

// TestIdentity: what does not bear on a check's outcome does not make it another check.
func TestIdentity(t *testing.T) {
	real := config.Real{Addr: netip.MustParseAddrPort("127.0.0.1:80"), Weight: 1, Request: "/a", Receive: "b"}
	heavy := real
	heavy.Weight = 9
	http := virtual(config.Check{Type: config.CheckNegotiate, Service: "http"})
	if ForReal(http, real, 1) != ForReal(http, heavy, 1) {
		t.Error("the weight makes another check")
	}
	other := real
	other.Request = "/c"
	if ForReal(http, real, 1) == ForReal(http, other, 1) {
		t.Error("the request makes no other check")
	}
	connect := virtual(config.Check{Type: config.CheckConnect})
	if ForReal(connect, real, 1) != ForReal(connect, other, 1) {
		t.Error("the request makes another connect check")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, s := range []Spec{
		{Service: "http", URL: "http://127.0.0.1/", Receive: "("}, {Service: "http", URL: "ftp://x/"}, {Service: "http", URL: "http://%zz/"},
		{Service: "http_proxy", URL: "https://x/"}, {Service: "oracle"}, {Service: "ldap", Request: "/no name"}, {Service: "ftp", Request: "/a\nb"},
		{Service: "pop", Login: "a\rb"}, {Service: "imap", Passwd: "a\x00b"}, {Service: "sip", Login: "a\nb"}, {Service: "dns", Receive: "("},
		{Service: "radius", Login: strings.Repeat("x", 254)}, {Service: "simpletcp", Receive: "["},
	} {
		s.Type = config.CheckNegotiate
		if _, err := New(s, Unknown, NewLimit(1), nil); err == nil {
			t.Errorf("%v: no error", s)
		}
	}
}
