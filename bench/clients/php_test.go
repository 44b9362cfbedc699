package clients

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
)

type ini = map[string]string

// page is testdata/session.php with some settings.
type page struct {
	*testing.T
	server *phpfpm.Server
	ini    ini
}

// answer is what the page says.
type answer struct {
	Started bool     `json:"started"`
	ID      string   `json:"id"`
	After   string   `json:"after"`
	N       int      `json:"n"`
	Same    bool     `json:"same"`
	Said    []string `json:"said"`
}

// requirePHPRedis skips the test where PHP has no extension for Redis or igbinary.
func requirePHPRedis(t *testing.T) {
	t.Helper()
	for module, pkg := range map[string]string{"redis": "php-redis", "igbinary": "php-igbinary"} {
		found, err := filepath.Glob("/usr/lib/php/*/" + module + ".so")
		if err != nil || len(found) == 0 {
			need.Skip(t, pkg+" is not installed: apt-get install "+pkg)
		}
	}
}

func startPHP(t *testing.T) *phpfpm.Server {
	t.Helper()
	requirePHPRedis(t)
	return phpfpm.Start(t, phpfpm.Options{Root: "testdata", Index: "session.php", Children: 20})
}

// with returns the page with more settings.
func (p page) with(more ini) page {
	all := ini{}
	for _, m := range []ini{p.ini, more} {
		for name, value := range m {
			all[name] = value
		}
	}
	p.ini = all
	return p
}

// try requests the page; an error is said to t, since it may be called in any goroutine.
func (p page) try(op, id string) (a answer) {
	query := url.Values{"op": {op}}
	for name, value := range p.ini {
		query.Set("ini["+name+"]", value)
	}
	r, err := http.NewRequest("GET", p.server.URL("/session.php?"+query.Encode()), nil)
	if err != nil {
		p.Error(err)
		return a
	}
	if id != "" {
		r.AddCookie(&http.Cookie{Name: "PHPSESSID", Value: id})
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Minute}
	res, err := client.Do(r)
	if err != nil {
		p.Error(err)
		return a
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		p.Errorf("%s: %d, %v", op, res.StatusCode, err)
	}
	return a
}

// do requests the page and wants it to have nothing to complain about.
func (p page) do(op, id string) answer {
	p.Helper()
	a := p.try(op, id)
	if !a.Started || len(a.Said) > 0 {
		p.Fatalf("%s: %+v", op, a)
	}
	return a
}

// count adds one and wants to have come to n.
func (p page) count(id string, n int) {
	p.Helper()
	if a := p.do("count", id); a.ID != id || a.N != n {
		p.Fatalf("%+v, want %d in the same session", a, n)
	}
}

func TestPHP(t *testing.T) {
	server := startPHP(t)
	d := start(t)
	guarded := start(t, "--secret", "shop=hush", "--secret", "default=other")
	base := page{t, server, ini{"session.save_handler": "redis", "session.save_path": "tcp://" + d.redis, "session.use_strict_mode": "1"}}
	locking := ini{"redis.session.locking_enabled": "1", "redis.session.lock_retries": "-1"}
	for name, settings := range map[string]ini{
		"plain":         {},
		"lenient":       {"session.use_strict_mode": "0"},
		"no lazy write": {"session.lazy_write": "0"},
		"locking":       locking,
		"lock expires":  {"redis.session.locking_enabled": "1", "redis.session.lock_expire": "60"},
		"php_serialize": {"session.serialize_handler": "php_serialize"},
		"igbinary":      {"session.serialize_handler": "igbinary"},
		"unix":          {"session.save_path": "unix://" + d.socket},
		"persistent":    {"session.save_path": "tcp://" + d.redis + "?persistent=1"},
		"database":      {"session.save_path": "tcp://" + d.redis + "?database=3"},
		"prefix":        {"session.save_path": "tcp://" + d.redis + "?prefix=site%3A"},
		"two servers":   {"session.save_path": "tcp://" + d.redis + "?weight=1, unix://" + d.socket + "?weight=2"},
		"secret":        {"session.save_path": "tcp://" + guarded.redis + "?auth=hush"},
		"namespace":     {"session.save_path": "tcp://" + guarded.redis + "?auth[]=shop&auth[]=hush"},
		"compression":   {"redis.session.compression": "zstd"},
		"early refresh": {"redis.session.early_refresh": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := base.with(settings)
			p.T = t
			lifeOfASession(t, p)
		})
	}
	t.Run("20 at once", func(t *testing.T) {
		p := base.with(locking)
		p.T = t
		twentyAtOnce(t, p)
	})
	t.Run("shared with HTTP", func(t *testing.T) {
		p := base
		p.T = t
		sharedWithHTTP(t, p, d)
	})
	t.Run("wrong secret", func(t *testing.T) {
		p := base.with(ini{"session.save_path": "tcp://" + guarded.redis + "?auth=wrong"})
		p.T = t
		if a := p.try("count", ""); len(a.Said) == 0 {
			t.Errorf("%+v: nothing was said", a)
		}
	})
}

// lifeOfASession makes the calls that pages make, in turn.
func lifeOfASession(t *testing.T, p page) {
	for setting := range p.ini { // phpredis 5.3 of Debian 12 has neither compression nor early refresh for sessions
		if a := p.try("read", ""); strings.HasPrefix(setting, "redis.session.") && strings.Contains(fmt.Sprint(a.Said), "no setting "+setting) {
			t.Logf("this phpredis has no %s", setting)
			return
		}
	}
	id := p.do("count", "").ID
	p.count(id, 2)
	if a := p.do("read", id); a.N != 2 {
		t.Errorf("read: %+v", a)
	}
	if a := p.do("read_and_close", id); a.N != 2 {
		t.Errorf("read_and_close: %+v", a)
	}
	p.do("abort", id)
	p.count(id, 3)

	p.do("fill", id)
	if a := p.do("compare", id); !a.Same {
		t.Error("values came back changed")
	}

	kept := p.do("regenerate", id).After
	if kept == id {
		t.Error("the id did not change")
	}
	p.count(id, 4) // each goes its own way
	p.count(kept, 4)
	p.count(kept, 5)
	moved := p.do("regenerate_and_delete", kept).After
	p.count(moved, 6)
	p.do("destroy", moved)
	for what, gone := range map[string]string{"regenerated": kept, "destroyed": moved, "made up": strings.Repeat("m", 26)} {
		if p.ini["session.use_strict_mode"] == "0" {
			break // PHP adopts the id then
		}
		if a := p.do("read", gone); a.ID == gone || a.N != 0 {
			t.Errorf("%s: %+v", what, a)
		}
	}
}

// twentyAtOnce has twenty requests add one each to one session.
func twentyAtOnce(t *testing.T, p page) {
	id := p.do("count", "").ID
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if a := p.try("count", id); !a.Started || len(a.Said) > 0 || a.ID != id {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	p.count(id, 22)
}

// sharedWithHTTP looks at PHP's session through the other face.
func sharedWithHTTP(t *testing.T, p page, d *daemon) {
	id := p.do("count", "").ID
	if v := d.version(id); v != `"1"` {
		t.Fatalf("version %s, want 1", v)
	}
	p.do("read", id) // lazy write: it is touched, not written
	if v := d.version(id); v != `"1"` {
		t.Errorf("version %s after a request that changed nothing", v)
	}
	p.count(id, 2)
	if v := d.version(id); v != `"2"` {
		t.Errorf("version %s, want 2", v)
	}
	p.do("destroy", id)
	if v := d.version(id); v != "" {
		t.Errorf("version %s of a destroyed session", v)
	}
}
