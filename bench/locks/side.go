package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/internal/wire"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
	"github.com/lvsession/lvsession/bench/rig/redis"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
	"github.com/lvsession/lvsession/sessionstore"
)

// client sends requests, one at a time.
type client interface {
	// request has the session to itself for the time of hold, and changes it.
	request(ctx context.Context, hold time.Duration) error
}

// side is one way to lock. All its clients want one session.
type side struct {
	name    string
	peer    bool // not ours
	clients []client
	// count makes one more change and returns how many there have been.
	count func(ctx context.Context) (int, error)
}

// rig is all that runs.
type rig struct {
	sides []*side
	stops []func()
}

func (r *rig) stop() {
	for i := len(r.stops) - 1; i >= 0; i-- {
		r.stops[i]()
	}
}

// startRig starts everything. What it returns is to be stopped also when there is an error.
func (o options) startRig(ctx context.Context, dir string) (*rig, error) {
	r := &rig{}
	for _, sub := range []string{"redis", "php"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return r, err
		}
	}
	server, err := redis.StartDir(ctx, filepath.Join(dir, "redis"), redis.EverySec)
	if err != nil {
		return r, err
	}
	r.stops = append(r.stops, server.Stop)
	php, err := phpfpm.StartDir(filepath.Join(dir, "php"), phpfpm.Options{
		Root: o.root, Index: "hold.php", Children: o.requests, Env: map[string]string{"PHPCLIENT": o.php},
	})
	if err != nil {
		return r, err
	}
	r.stops = append(r.stops, php.Close)
	spin := func(name, addr, wait, retries string) *side {
		return o.page(name, php, url.Values{"redis": {addr}, "wait": {wait}, "retries": {retries}})
	}
	r.sides = append(r.sides, spin("phpredis, every 2 ms", server.Addr(), "2000", "-1"), spin("phpredis, every 20 ms", server.Addr(), "20000", "-1"),
		spin("phpredis, 10 × 2 ms", server.Addr(), "2000", "10"))
	for _, s := range r.sides {
		s.peer = true
	}

	program, err := sessiond.Build(ctx, dir)
	if err != nil {
		return r, err
	}
	add := func(store string, n int, args ...string) error {
		urls, resp, err := r.startSessiond(ctx, program, dir, n, args...)
		if err != nil {
			return err
		}
		r.sides = append(r.sides, o.page("phpclient, "+store, php, url.Values{"sessiond": urls}))
		if len(resp) == 1 {
			r.sides = append(r.sides, spin("phpredis 2 ms, "+store, resp[0], "2000", "-1"))
		}
		raw, err := o.raw(ctx, "raw, "+store, urls)
		r.sides = append(r.sides, raw)
		return err
	}
	if err := add("embedded", 1, "--data", filepath.Join(dir, "data")); err != nil {
		return r, err
	}
	if !o.ndb {
		return r, nil
	}
	cluster, err := ndbcluster.StartDir(ctx, filepath.Join(dir, "ndb"), ndbcluster.Options{})
	if errors.Is(err, ndbcluster.ErrNoKit) {
		fmt.Fprintln(os.Stderr, "Without two sessiond:", err)
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.stops = append(r.stops, cluster.Stop)
	args := []string{"--store", "mysql"}
	for _, dsn := range cluster.DSNs() {
		args = append(args, "--dsn", dsn)
	}
	if err := program.ApplySchema(ctx, cluster.DSNs()[0]); err != nil {
		return r, err
	}
	return r, add("2 on NDB", 2, args...)
}

// startSessiond starts so many of it and returns their addresses.
func (r *rig) startSessiond(ctx context.Context, program *sessiond.Program, dir string, n int, args ...string) (urls, resp []string, err error) {
	for i := range n {
		own := args
		if program.Knows("--redis") {
			port, err := child.Port()
			if err != nil {
				return nil, nil, err
			}
			resp = append(resp, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			own = append([]string{"--redis", resp[i]}, args...)
		}
		s, err := program.Start(ctx, filepath.Join(dir, fmt.Sprintf("sessiond-%d-%d.log", n, i)), own...)
		if err != nil {
			return nil, nil, err
		}
		r.stops = append(r.stops, s.Stop)
		urls = append(urls, s.URL())
	}
	return urls, resp, nil
}

// page returns the side of the PHP page. Where there are several sessiond, each client's pages go to another one first.
func (o options) page(name string, php *phpfpm.Server, query url.Values) *side {
	s := &side{name: name}
	first := &browser{url: php.URL("/hold.php?"), query: query, cookie: sessionstore.NewID()[:32]}
	first.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.requests + 1}}
	s.count = func(ctx context.Context) (int, error) { return first.count(ctx, 0) }
	endpoints := query["sessiond"]
	for i := range o.requests {
		b := *first
		b.first = first
		if n := len(endpoints); n > 0 {
			order := append(append([]string(nil), endpoints[i%n:]...), endpoints[:i%n]...)
			b.query = url.Values{"sessiond": {strings.Join(order, ",")}}
		}
		s.clients = append(s.clients, &b)
	}
	if len(endpoints) > 0 {
		first.query = url.Values{"sessiond": {strings.Join(endpoints, ",")}}
	}
	return s
}

// browser requests the page.
type browser struct {
	client *http.Client
	url    string
	query  url.Values
	cookie string
	first  *browser // whose cookie it shares; nil for that one itself
}

func (b *browser) request(ctx context.Context, hold time.Duration) error {
	b.cookie = b.first.cookie
	_, err := b.count(ctx, hold)
	return err
}

func (b *browser) count(ctx context.Context, hold time.Duration) (int, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s%s&ms=%d", b.url, b.query.Encode(), hold.Milliseconds()), nil)
	if err != nil {
		return 0, err
	}
	req.AddCookie(&http.Cookie{Name: "PHPSESSID", Value: b.cookie})
	answer, err := b.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	for _, c := range answer.Cookies() { // strict mode gave a session of its own
		b.cookie = c.Value
	}
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %s: %.200s", answer.Status, body)
	}
	return strconv.Atoi(string(body))
}

// raw returns the side that does without PHP.
func (o options) raw(ctx context.Context, name string, urls []string) (*side, error) {
	s := &side{name: name}
	id := sessionstore.NewID()
	changes := 0
	for i := range o.requests + 1 {
		c, err := wire.DialHTTP(ctx, strings.TrimPrefix(urls[i%len(urls)], "http://"), "locks")
		if err != nil {
			return s, err
		}
		if i < o.requests {
			s.clients = append(s.clients, &visitor{http: c, id: id, changes: &changes})
			continue
		}
		counter := &visitor{http: c, id: id, changes: &changes}
		if err := c.Write(id, make([]byte, 200)); err != nil {
			return s, err
		}
		s.count = func(ctx context.Context) (int, error) {
			err := counter.request(ctx, 0)
			return changes, err
		}
	}
	return s, nil
}

// visitor does what the page does.
type visitor struct {
	http    *wire.HTTP
	id      string
	changes *int // of the session; guarded by its lock alone, which is the point
}

func (v *visitor) request(ctx context.Context, hold time.Duration) error {
	token, err := v.http.Open(v.id)
	if err != nil {
		return err
	}
	*v.changes++
	time.Sleep(hold)
	return v.http.WriteLast(v.id, token, make([]byte, 200))
}
