package gorilla_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/sessions"
	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/counterpage"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/client"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// counted is the counter page's session, kept by gorilla.
type counted struct {
	w http.ResponseWriter
	r *http.Request
	*sessions.Session
}

func (c counted) Get() counterpage.Visits {
	n, _ := c.Values["count"].(int64)
	user, _ := c.Values["user"].(string)
	return counterpage.Visits{Count: n, User: user}
}
func (c counted) Set(v counterpage.Visits) { c.Values["count"], c.Values["user"] = v.Count, v.User }
func (c counted) Save() error              { return c.Session.Save(c.r, c.w) }
func (c counted) ID() string               { return c.Session.ID }

// The whole path without the director: browsers, two real servers, two sessiond.
func TestCounterPageOverSessiond(t *testing.T) {
	store := memory.New(nil)
	var endpoints []string
	for range 2 {
		endpoints = append(endpoints, sessiond(t, store))
	}
	var urls []string
	for _, name := range []string{"go1", "go2"} {
		shop, err := client.New(endpoints, "shop", client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ended(t, shop.Shutdown) })
		keeper := gorilla.New(shop, key)
		server := httptest.NewServer(counterpage.Handler(name, func(w http.ResponseWriter, r *http.Request) (counterpage.Session, error) {
			s, err := keeper.Get(r, "sid")
			return counted{w, r, s}, err
		}))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	var wg sync.WaitGroup
	for _, user := range []string{"ann", "bob", "cy", "dee"} {
		wg.Go(func() { countTo(t, 20, user, urls) })
	}
	wg.Wait()
}

// Users who log in and out, and store payloads, find nothing wrong.
func TestCounterPageUnderLoad(t *testing.T) {
	shop, err := client.New([]string{sessiond(t, memory.New(nil))}, "shop", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ended(t, shop.Shutdown) })
	server := httptest.NewServer(counterpage.Handler("go1", counterpage.Gorilla(gorilla.New(shop, key), "sid")))
	t.Cleanup(server.Close)
	c := load.Config{URL: server.URL, Users: 8, Requests: 60, Abandon: 0.3}
	for name, value := range map[string]string{"mix": "visit=50,read=30,login=15,logout=5", "visits": "1-20", "payload": "50%0,50%1-3k"} {
		if err := c.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Proven || r.Sessions < 2*8 {
		t.Errorf("%s: %.3v; %.1v; %d sessions", r.Reason, r.Errors, r.Violations, r.Sessions)
	}
}

// countTo is one browser that visits the servers in turn.
func countTo(t *testing.T, n int64, user string, urls []string) {
	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Jar: jar, Transport: transport, Timeout: 10 * time.Second}
	var id string
	for want := int64(1); want <= n; want++ {
		resp, err := browser.Get(urls[want%2] + "/?user=" + user)
		if err != nil {
			t.Error(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var a load.Answer
		if err := json.Unmarshal(body, &a); err != nil || a.Count != want || a.User != user || (id != "" && a.ID != id) {
			t.Errorf("%s, visit %d: %d %s", user, want, resp.StatusCode, body)
			return
		}
		id = a.ID
	}
}

// sessiond starts one on the store and returns its URL.
func sessiond(t *testing.T, store sessionstore.Store) string {
	t.Helper()
	svc, err := sessionstore.NewService(store, sessionstore.DefaultPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, served := httpapi.New(svc, httpapi.Options{}), make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	url := "http://" + l.Addr().String()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get(url + "/healthz") // a Shutdown before Serve began would not end it
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() {
		ended(t, server.Shutdown)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return url
}

// ended ends something, within 5 s.
func ended(t *testing.T, shutdown func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps a clock, and the workers of a server for a few seconds after it ended.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}
