package wholepath

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
	"github.com/lvsession/lvsession/sessionstore/client"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
	"github.com/lvsession/lvsession/sessionstore/middleware"
	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

// mixedAnswer is what either half of a mixed fleet answers.
type mixedAnswer struct {
	Server  string         `json:"server"`
	Count   int            `json:"count"`
	User    string         `json:"user"`
	Seen    map[string]int `json:"seen"` // visits by server
	Flashes []any          `json:"flashes"`
	Visitor string         `json:"visitor"` // told by PHP alone: its object still works
}

// TestMixedFleet puts a PHP page and a Go page behind one virtual service. A visitor who logs in with either is known to
// both, and what they add to the session adds up, for each way that
// Go has, for two of PHP's formats, and for PHP pages that reach sessiond by phpredis.
func TestMixedFleet(t *testing.T) {
	modules, err := exec.Command(need.Program(t, "php", "php-cli"), "-m").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"redis", "igbinary"} {
		if !slices.Contains(strings.Fields(string(modules)), module) {
			need.Skip(t, "PHP has no "+module+": apt-get install php-"+module)
		}
	}
	f := &fleet{T: t, dir: t.TempDir()}
	f.build("sessiond", "lvsproxy")
	addr, redis := f.addr(), f.addr()
	sessiond := f.run("sessiond", nil, filepath.Join(f.dir, "sessiond"), "--store", "memory", "--http", addr, "--redis", redis)
	f.await("http://"+addr+"/readyz", sessiond)
	f.endpoints = []string{"http://" + addr}

	vips := map[string]string{}
	var file strings.Builder
	for _, php := range []struct {
		name   string
		format phpsession.Format
		ini    map[string]string
	}{
		{"php", phpsession.PHP, nil},
		{"igbinary", phpsession.Igbinary, nil},
		{"phpredis", phpsession.PHP, map[string]string{
			"session.save_handler": "redis", "session.save_path": "tcp://" + redis, "redis.session.locking_enabled": "1",
		}},
	} {
		ini := map[string]string{"session.serialize_handler": string(php.format)}
		maps.Copy(ini, php.ini)
		server := f.mixedPHP(ini)
		sessions, err := client.New(f.endpoints, "default", client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := sessions.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		})
		for kind, page := range map[string]http.Handler{"gorilla": gorillaPage(t, sessions, php.format), "middleware": middlewarePage(t, sessions, php.format)} {
			vip := f.addr()
			vips[php.name+" "+kind] = vip
			// No checks: a slow answer to one must not change whose turn it is.
			fmt.Fprintf(&file, "virtual=%s\n\treal=%s masq\n\treal=%s masq\n\tscheduler=rr\n\tprotocol=tcp\n\tchecktype=on\n",
				vip, server.Addr(), serveMixed(t, page))
		}
	}
	f.director(file.String(), slices.Collect(maps.Values(vips))...)
	for name, vip := range vips {
		t.Run(name, func(t *testing.T) {
			jar, _ := cookiejar.New(nil)
			browser := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
			visitMixed(t, browser, "http://"+vip+"/")
			if strings.HasSuffix(name, "middleware") && !strings.HasPrefix(name, "phpredis") { // gorilla/sessions takes no lock, and phpredis gives up after a while
				visitAtOnce(t, browser, "http://"+vip+"/")
			}
		})
	}
}

// mixedPHP starts a PHP real server.
func (f *fleet) mixedPHP(ini map[string]string) *phpfpm.Server {
	f.Helper()
	const page = "testdata/mixed.php"
	if _, err := os.Stat(page); err != nil {
		f.Fatal(err)
	}
	phpclient, err := filepath.Abs("../../phpclient")
	if err != nil {
		f.Fatal(err)
	}
	return phpfpm.Start(f.T, phpfpm.Options{
		Root: filepath.Dir(page), Index: filepath.Base(page),
		Env: map[string]string{
			envLabel: "php", envEndpoints: strings.Join(f.endpoints, ","), "PHPCLIENT": phpclient,
		},
		INI: ini,
	})
}

// serveMixed starts a Go real server and returns its address.
func serveMixed(t *testing.T, page http.Handler) string {
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.HandleFunc(phpfpm.HealthPath, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, phpfpm.HealthBody) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// gorillaPage is the Go half of the fleet, as a user of gorilla/sessions writes it.
func gorillaPage(t *testing.T, sessions *client.Client, format phpsession.Format) http.Handler {
	store, err := gorilla.NewPHP(sessions, format)
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, gorilla.PHPCookie)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		a := mixedAnswer{Server: "go"}
		n, _ := session.Values["count"].(int)
		a.Count = n + 1
		session.Values["count"] = a.Count
		seen, _ := session.Values["seen"].(map[string]any)
		if seen == nil {
			seen = map[string]any{}
			session.Values["seen"] = seen
		}
		n, _ = seen["go"].(int)
		seen["go"] = n + 1
		a.Flashes = session.Flashes()
		session.AddFlash("from go")
		save := session.Save
		if name := r.FormValue("login"); name != "" {
			session.Values["user"] = map[string]any{"name": name, "by": "go", "rate": 0.1}
			save = func(r *http.Request, w http.ResponseWriter) error { return store.Regenerate(r, w, session) }
		}
		user, _ := session.Values["user"].(map[string]any)
		a.User, _ = user["name"].(string)
		if err := save(r, w); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		a.Seen = map[string]int{}
		for server, n := range seen {
			a.Seen[server], _ = n.(int)
		}
		json.NewEncoder(w).Encode(a)
	})
}

// middlewarePage is the Go half of the fleet, as a user of package middleware writes it.
func middlewarePage(t *testing.T, sessions *client.Client, format phpsession.Format) http.Handler {
	m, err := middleware.New(sessions, middleware.Options{Format: format, Concurrency: middleware.Lease})
	if err != nil {
		t.Fatal(err)
	}
	return m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := middleware.Get(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		a := mixedAnswer{Server: "go"}
		err = session.PHP(func(values *phpsession.Array) error {
			if name := r.FormValue("login"); name != "" {
				if err := values.Set(map[string]any{"name": name, "by": "go", "rate": 0.1}, "user"); err != nil {
					return err
				}
			}
			n, _ := values.GetInt("seen", "go")
			if err := values.Set(n+1, "seen", "go"); err != nil {
				return err
			}
			a.User, _ = values.GetString("user", "name")
			return nil
		})
		if err == nil {
			_, err = session.Get("seen", &a.Seen)
		}
		if err == nil {
			_, err = session.Get("_flash", &a.Flashes)
		}
		if err == nil {
			err = session.Set("_flash", []string{"from go"})
		}
		if err == nil {
			_, err = session.Get("count", &a.Count)
		}
		a.Count++
		if err == nil {
			err = session.Set("count", a.Count)
		}
		if err == nil && r.FormValue("login") != "" {
			err = session.Regenerate()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		json.NewEncoder(w).Encode(a)
	}))
}

const visits = 100

// visitMixed is one visitor who comes a hundred times, each time over a new connection, and logs in twice.
func visitMixed(t *testing.T, browser *http.Client, url string) {
	seen := map[string]int{}
	last, user, byPHP := "", "", 0
	for visit := 1; visit <= visits; visit++ {
		page := url
		if visit == 2 || visit == 51 { // each of the two servers gets one of them
			user = fmt.Sprintf("user%d", visit)
			page += "?login=" + user
		}
		a := askMixed(t, browser, page)
		seen[a.Server]++
		if a.Server == last {
			t.Fatalf("visit %d came from %s as the one before", visit, a.Server)
		}
		if a.Count != visit || a.User != user || !maps.Equal(a.Seen, seen) {
			t.Fatalf("visit %d: %+v, want user %q, seen %v", visit, a, user, seen)
		}
		if visit > 1 && (len(a.Flashes) != 1 || a.Flashes[0] != "from "+last) {
			t.Fatalf("visit %d: flashes %v after %s", visit, a.Flashes, last)
		}
		if a.Server == "php" {
			byPHP++
			if want := fmt.Sprintf("somebody %d", byPHP); a.Visitor != want {
				t.Fatalf("visit %d: the object is %q, want %q", visit, a.Visitor, want)
			}
		}
		last = a.Server
	}
}

// visitAtOnce is that visitor's twenty requests at the same time, of which each half of the fleet gets ten. They take turns.
func visitAtOnce(t *testing.T, browser *http.Client, url string) {
	const requests = 20
	answers := make(chan mixedAnswer, requests)
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() { answers <- askMixed(t, browser, url) })
	}
	wg.Wait()
	close(answers)
	counted, servers := map[int]bool{}, map[string]int{}
	for a := range answers {
		counted[a.Count] = true
		servers[a.Server]++
	}
	for n := visits + 1; n <= visits+requests; n++ {
		if !counted[n] {
			t.Errorf("no request counted to %d", n)
		}
	}
	if servers["php"] != requests/2 || servers["go"] != requests/2 {
		t.Errorf("answered by %v", servers)
	}
}

// askMixed asks for a page; what went wrong is an error of the test, and the answer empty.
func askMixed(t *testing.T, browser *http.Client, url string) mixedAnswer {
	t.Helper()
	res, err := browser.Get(url)
	if err != nil {
		t.Error(err)
		return mixedAnswer{}
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	var a mixedAnswer
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s: %s %q, %v", url, res.Status, body, err)
	}
	return a
}
