package phpfpm_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
)

const phpclient = "../../../phpclient"

// site starts a PHP server with the pages of testdata.
func site(t *testing.T, endpoints ...string) *phpfpm.Server {
	return siteWith(t, phpfpm.Options{Env: map[string]string{"LVSESSION_ENDPOINTS": strings.Join(endpoints, ",")}})
}

func siteWith(t *testing.T, o phpfpm.Options) *phpfpm.Server {
	t.Helper()
	dir, err := filepath.Abs(phpclient)
	if err != nil {
		t.Fatal(err)
	}
	o.Addr, o.Root, o.Env["PHPCLIENT"] = ownIP+":0", "testdata", dir
	return phpfpm.Start(t, o)
}

// step is the answer of testdata/session.php.
type step struct {
	Status    int
	SetCookie string
	ID        string `json:"id"`
	New       string `json:"new"`
	Count     int    `json:"count"`
	Error     string `json:"error"`
	Message   string `json:"message"`
}

// visitor is a browser.
type visitor struct {
	t      testing.TB
	server *phpfpm.Server
	client http.Client
}

func newVisitor(t testing.TB, server *phpfpm.Server) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t: t, server: server, client: http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}}
}

// cookie sets the session cookie by hand.
func (v *visitor) cookie(id string) {
	u := &url.URL{Scheme: "http", Host: v.server.Addr(), Path: "/"}
	v.client.Jar.SetCookies(u, []*http.Cookie{{Name: "PHPSESSID", Value: id}})
}

// do requests a step. It may be called in any goroutine.
func (v *visitor) do(query string) step {
	answer, err := v.client.Get(v.server.URL("/session.php?" + query))
	if err != nil {
		v.t.Errorf("%s: %v", query, err)
		return step{}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Errorf("%s: %v", query, err)
		return step{}
	}
	s := step{Status: answer.StatusCode, SetCookie: answer.Header.Get("Set-Cookie")}
	if err := json.Unmarshal(body, &s); err != nil && s.Status == http.StatusOK {
		v.t.Errorf("%s: status %d, body %q: %v", query, s.Status, body, err)
	}
	return s
}

// must requests a step that succeeds.
func (v *visitor) must(query string) step {
	v.t.Helper()
	s := v.do(query)
	if s.Status != http.StatusOK {
		v.t.Fatalf("%s: status %d, %s %s", query, s.Status, s.Error, s.Message)
	}
	return s
}

// gate is where a page waits until the test lets it go on.
type gate struct {
	t        testing.TB
	listener net.Listener
}

func newGate(t testing.TB) *gate {
	listener, err := net.Listen("tcp", ownIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return &gate{t: t, listener: listener}
}

func (g *gate) query() string { return "&gate=" + g.listener.Addr().String() }

// arrival waits until a page is at the gate and returns what lets it pass.
func (g *gate) arrival() (pass func()) {
	g.t.Helper()
	g.listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	conn, err := g.listener.Accept()
	if err != nil {
		g.t.Fatalf("no page came to the gate: %v", err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		g.t.Fatalf("no page came to the gate: %v", err)
	}
	return func() { conn.Close() }
}

func TestServerAnswersHealthChecksAndComesBackAfterKill(t *testing.T) {
	server := phpfpm.Start(t, phpfpm.Options{Addr: ownIP + ":0", Root: "testdata"})
	health := func() (string, error) {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		answer, err := client.Get(server.URL(phpfpm.HealthPath))
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return string(body), err
	}
	if body, err := health(); err != nil || body != phpfpm.HealthBody {
		t.Fatalf("health page: %q, %v", body, err)
	}
	server.Kill()
	if body, err := health(); err == nil {
		t.Fatalf("a killed server answers %q", body)
	}
	server = phpfpm.Start(t, phpfpm.Options{Addr: server.Addr(), Root: "testdata"})
	if body, err := health(); err != nil || body != phpfpm.HealthBody {
		t.Fatalf("health page after the restart: %q, %v", body, err)
	}
}

func TestCounterPageKeepsItsContractOnTwoServers(t *testing.T) {
	store := startSessiond(t)
	var servers []*phpfpm.Server
	for i, ip := range []string{ownIP + ":0", "127.0.77.2:0"} {
		servers = append(servers, phpfpm.Start(t, phpfpm.Options{
			Addr: ip, Root: phpclient + "/examples", Children: 2,
			Env: map[string]string{"LVSESSION_ENDPOINTS": store.url(), "SERVER_LABEL": "web" + strconv.Itoa(i+1)},
		}))
	}
	v := newVisitor(t, servers[0])
	var cookies []*http.Cookie
	for i := range 6 {
		server := servers[i%2]
		r, err := http.NewRequest(http.MethodGet, server.URL("/?user=u"+strconv.Itoa(i)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cookies {
			r.AddCookie(c)
		}
		answer, err := v.client.Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("visit %d: status %s, %v: %s", i, answer.Status, err, body)
		}
		if set := answer.Cookies(); len(set) > 0 {
			cookies = set
		}
		a, err := load.ParseAnswer(body)
		if err != nil {
			t.Fatal(err)
		}
		if want := (load.Answer{Server: "web" + strconv.Itoa(i%2+1), ID: a.ID, Count: int64(i + 1), User: "u0"}); a != want {
			t.Fatalf("visit %d: got %+v, want %+v", i, a, want)
		}
	}
}

func TestCounterPageRefusesAVisitWithoutUser(t *testing.T) {
	server := phpfpm.Start(t, phpfpm.Options{Addr: ownIP + ":0", Root: phpclient + "/examples"})
	for _, query := range []string{"", "?user=", "?user[]=a", "?user=" + strings.Repeat("x", 65)} {
		answer, err := http.Get(server.URL("/" + query))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status %s", query, answer.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestLockedRequestsLoseNoUpdate(t *testing.T) {
	for _, strict := range []string{"1", "0"} {
		t.Run("strict="+strict, func(t *testing.T) {
			v := newVisitor(t, site(t, startSessiond(t).url()))
			if strict == "1" {
				v.must("op=count")
			} else {
				v.cookie(strings.Repeat("chosen-by-the-visitor,", 2)) // nothing is stored under it yet
				v.must("op=count&strict=0")
			}
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if s := v.do("op=count&strict=" + strict); s.Status != http.StatusOK {
						t.Errorf("status %d: %s %s", s.Status, s.Error, s.Message)
					}
				})
			}
			wg.Wait()
			if s := v.must("op=read&strict=" + strict); s.Count != 21 {
				t.Errorf("21 requests counted to %d", s.Count)
			}
		})
	}
}

func TestFirstRequestsUnderAnAdoptedIDLoseNoUpdate(t *testing.T) {
	v := newVisitor(t, site(t, startSessiond(t).url()))
	v.cookie("nobody-has-used-this-id-before")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { v.do("op=count&strict=0") })
	}
	wg.Wait()
	if s := v.must("op=read&strict=0"); s.Count != 20 {
		t.Errorf("20 requests counted to %d", s.Count)
	}
}

func TestRequestWaitsForTheLockOfAnother(t *testing.T) {
	v, g := newVisitor(t, site(t, startSessiond(t).url())), newGate(t)
	v.must("op=count")
	first, second := make(chan step), make(chan step)
	go func() { first <- v.do("op=count" + g.query()) }()
	pass := g.arrival() // the first request holds the lock
	go func() { second <- v.do("op=count") }()
	select {
	case s := <-second:
		t.Errorf("the second request did not wait: %+v", s)
	case <-time.After(300 * time.Millisecond): // must not happen; a longer wait proves no more
	}
	pass()
	if s := <-first; s.Count != 1 {
		t.Errorf("the first request found %+v", s)
	}
	if s := <-second; s.Count != 2 {
		t.Errorf("the second request found %+v", s)
	}
}

func TestOptimisticLockingRefusesTheSecondWriter(t *testing.T) {
	v, g := newVisitor(t, site(t, startSessiond(t).url())), newGate(t)
	v.must("op=count&locking=optimistic")
	slow := make(chan step)
	go func() { slow <- v.do("op=count&locking=optimistic" + g.query()) }()
	pass := g.arrival()
	v.must("op=count&locking=optimistic")
	pass()
	if s := <-slow; s.Error != `Lvsession\Exception\Conflict` {
		t.Errorf("the overtaken request ended with %+v", s)
	}
	if s := v.must("op=read&locking=optimistic"); s.Count != 2 {
		t.Errorf("count is %d", s.Count)
	}
}

func TestWithoutLockingTheLastWriterWins(t *testing.T) {
	v, g := newVisitor(t, site(t, startSessiond(t).url())), newGate(t)
	v.must("op=count&locking=none")
	slow := make(chan step)
	go func() { slow <- v.do("op=count&locking=none" + g.query()) }()
	pass := g.arrival()
	v.must("op=count&locking=none")
	v.must("op=count&locking=none")
	pass()
	if s := <-slow; s.Status != http.StatusOK {
		t.Errorf("the overtaken request ended with %+v", s)
	}
	if s := v.must("op=read&locking=none"); s.Count != 2 {
		t.Errorf("count is %d: the last writer had read 1", s.Count)
	}
}

func TestRegenerate(t *testing.T) {
	for _, deletes := range []bool{false, true} {
		t.Run("delete="+strconv.FormatBool(deletes), func(t *testing.T) {
			server := site(t, startSessiond(t).url())
			v := newVisitor(t, server)
			old := v.must("op=count").ID
			query := "op=regenerate&delete=0"
			if deletes {
				query = "op=regenerate&delete=1"
			}
			s := v.must(query)
			if s.New == old || s.New == "" {
				t.Fatalf("the id did not change: %+v", s)
			}
			if now := v.must("op=read"); now.ID != s.New || now.Count != 2 {
				t.Errorf("after regenerate: %+v", now)
			}
			other := newVisitor(t, server)
			other.cookie(old)
			got := other.must("op=read")
			if deletes && got.ID == old {
				t.Errorf("the deleted id still works: %+v", got)
			}
			if !deletes && (got.ID != old || got.Count != 1) {
				t.Errorf("the kept session is not as it was: %+v", got)
			}
		})
	}
}

func TestWriteInFlightDoesNotResurrectADestroyedSession(t *testing.T) {
	v, g := newVisitor(t, site(t, startSessiond(t).url())), newGate(t)
	id := v.must("op=count&locking=optimistic").ID
	inFlight := make(chan step)
	go func() { inFlight <- v.do("op=count&locking=optimistic" + g.query()) }()
	pass := g.arrival()
	v.must("op=destroy&locking=optimistic")
	pass()
	if s := <-inFlight; s.Error != `Lvsession\Exception\Destroyed` {
		t.Errorf("the write in flight ended with %+v", s)
	}
	if s := v.must("op=read"); s.ID == id || s.Count != 0 {
		t.Errorf("the destroyed session is back: %+v", s)
	}
}

func TestUnchangedSessionIsTouchedNotWritten(t *testing.T) {
	store := startSessiond(t)
	v := newVisitor(t, site(t, store.url()))
	id := v.must("op=count&idle_ms=60000").ID
	version, expires := store.header(id, "ETag"), store.header(id, "Session-Expires")
	v.must("op=read&idle_ms=600000")
	if got := store.header(id, "ETag"); got != version {
		t.Errorf("version %s became %s", version, got)
	}
	before, _ := strconv.ParseInt(expires, 10, 64)
	after, _ := strconv.ParseInt(store.header(id, "Session-Expires"), 10, 64)
	if moved := after - before; moved < 500000 {
		t.Errorf("the expiry moved by %d ms only", moved)
	}
}

func TestStrictModeNeverAdoptsAMadeUpID(t *testing.T) {
	server := site(t, startSessiond(t).url())
	for _, id := range []string{strings.Repeat("a", 52), "short", "../../../../etc/passwd-and-more", strings.Repeat("b", 300)} {
		v := newVisitor(t, server)
		v.cookie(id)
		if s := v.must("op=count"); s.ID == id || !strings.Contains(s.SetCookie, s.ID) {
			t.Errorf("cookie %.60q led to %+v", id, s)
		}
		if s := v.must("op=read"); s.Count != 1 {
			t.Errorf("after cookie %.60q the session is lost: %+v", id, s)
		}
	}
}

func TestStoreAwayIsAnErrorAndLogsNobodyOut(t *testing.T) {
	store := startSessiond(t)
	v := newVisitor(t, site(t, store.url()))
	id := v.must("op=count").ID
	store.kill()
	for _, query := range []string{"op=count", "op=count&on_failure=warn", "op=read&locking=optimistic"} {
		if s := v.do(query); s.Status != http.StatusServiceUnavailable || s.SetCookie != "" {
			t.Errorf("%s with the store away: %+v", query, s)
		}
	}
	if s := newVisitor(t, v.server).do("op=count"); s.Status != http.StatusServiceUnavailable {
		t.Errorf("a new visitor with the store away: %+v", s)
	}
	store.start()
	if s := v.must("op=count"); s.ID != id || s.Count != 1 {
		t.Errorf("after the store is back: %+v", s)
	}
}

func TestDeadSessiondIsPassedOver(t *testing.T) {
	store := startSessiond(t)
	v := newVisitor(t, site(t, "http://"+freeAddr(t), store.url()))
	for i := range 5 {
		if s := v.must("op=count"); s.Count != i {
			t.Fatalf("visit %d found %+v", i, s)
		}
	}
}

func TestSessiondRestartBetweenRequestsGoesUnnoticed(t *testing.T) {
	store := startSessiond(t)
	// The kill may come before the release of the lock is on disk: then it ends by itself.
	v := newVisitor(t, siteWith(t, phpfpm.Options{Env: map[string]string{
		"LVSESSION_ENDPOINTS": store.url(), "LVSESSION_LOCK_TTL_MS": "1000",
	}}))
	for i := range 6 {
		if s := v.must("op=count"); s.Count != i {
			t.Fatalf("visit %d found %+v", i, s)
		}
		store.kill() // the workers' kept connections are dead now
		store.start()
	}
}

func TestKilledWorkerLosesItsLockToTheNextRequest(t *testing.T) {
	v := newVisitor(t, siteWith(t, phpfpm.Options{Env: map[string]string{
		"LVSESSION_ENDPOINTS": startSessiond(t).url(), "LVSESSION_LOCK_TTL_MS": "500",
	}}))
	v.must("op=count")
	if s := v.do("op=die"); s.Status == http.StatusOK {
		t.Fatalf("the killed worker answered: %+v", s)
	}
	if s := v.must("op=count"); s.Count != 1 {
		t.Errorf("after the crash: %+v", s)
	}
}

func TestAnswerLeftUnreadReachesNobodyElse(t *testing.T) {
	server := siteWith(t, phpfpm.Options{Children: 1, Env: map[string]string{"LVSESSION_ENDPOINTS": startSessiond(t).url()}})
	alice, bob := newVisitor(t, server), newVisitor(t, server)
	for range 3 {
		alice.must("op=count")
	}
	bob.must("op=count")
	alice.must("op=abandon")
	if s := bob.must("op=read&locking=optimistic"); s.Count != 1 {
		t.Errorf("bob has a session with count %d", s.Count)
	}
}

// Users who do all that the counter page knows, several things at once among them, find nothing wrong with PHP's sessions in
// sessiond.
func TestCounterPageUnderLoad(t *testing.T) {
	backend := startSessiond(t)
	dir, err := filepath.Abs(phpclient)
	if err != nil {
		t.Fatal(err)
	}
	s := phpfpm.Start(t, phpfpm.Options{
		Addr: ownIP + ":0", Root: filepath.Join(dir, "examples"),
		Env: map[string]string{"LVSESSION_ENDPOINTS": backend.url(), "PHPCLIENT": dir},
	})
	c := load.Config{URL: s.URL("/counter.php"), Users: 8, Requests: 60, Abandon: 0.3}
	for name, value := range map[string]string{
		"mix": "visit=50,read=30,login=15,logout=5", "visits": "1-20", "parallel": "80%1,20%2-4", "payload": "50%0,50%1-3k",
	} {
		if err := c.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Proven || r.Ended != load.Complete || r.Sessions < 2*8 {
		t.Errorf("%s: %v %.3v; %.1v; %d sessions", r.Reason, r.ErrorsByClass, r.Errors, r.Violations, r.Sessions)
	}
}
