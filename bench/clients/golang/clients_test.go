package golang

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/boj/redistore"
	"github.com/gorilla/sessions"
	"github.com/redis/go-redis/v9"
)

var (
	buildDir string
	program  = sync.OnceValues(func() (string, error) {
		path := filepath.Join(buildDir, "sessiond")
		out, err := exec.Command("go", "build", "-C", "../../..", "-o", path, "./cmd/sessiond").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("build sessiond: %w\n%s", err, out)
		}
		return path, err
	})
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "clients")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// start starts a sessiond on the embedded store and returns its address for Redis clients once it answers.
func start(t *testing.T, args ...string) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir, addr := t.TempDir(), freeAddr(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, append([]string{"--http", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--redis", addr}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr
		}
		select {
		case <-ended:
			deadline = time.Time{}
		default:
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("sessiond does not serve: %v\n%s", err, said)
		}
	}
}

// freeAddr returns an address on which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.78.1:0") // not 127.0.0.1: a load test may have every port there in use
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestGoRedis(t *testing.T) {
	addr := start(t, "--secret", "default=hush", "--secret", "shop=one")
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			// Patient: the machine may be busy. A retry would repeat an answer that the test is about.
			o := redis.Options{Addr: addr, Password: "hush", DB: protocol, Protocol: protocol, MaxRetries: -1, ReadTimeout: time.Minute, DialTimeout: time.Minute}
			c := redis.NewClient(&o)
			defer c.Close()
			goRedis(t, t.Context(), c)
			o.Username, o.Password, o.DB = "shop", "one", 0
			shop := redis.NewClient(&o)
			defer shop.Close()
			if err := shop.Get(t.Context(), "k").Err(); err != redis.Nil {
				t.Errorf("another namespace: %v", err)
			}
		})
	}
}

func goRedis(t *testing.T, ctx context.Context, c *redis.Client) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Set(ctx, "k", "v", time.Minute).Err())
	if v, err := c.Get(ctx, "k").Result(); v != "v" || err != nil {
		t.Errorf("GET: %q, %v", v, err)
	}
	if d, err := c.TTL(ctx, "k").Result(); d <= 0 || d > time.Minute || err != nil {
		t.Errorf("TTL: %v, %v", d, err)
	}
	if ok, err := c.SetNX(ctx, "k", "w", time.Minute).Result(); ok || err != nil {
		t.Errorf("SET NX: %v, %v", ok, err)
	}
	must(c.HSet(ctx, "h", "a", 1, "b", 2).Err())
	if m, err := c.HGetAll(ctx, "h").Result(); len(m) != 2 || m["b"] != "2" || err != nil {
		t.Errorf("HGETALL: %v, %v", m, err)
	}
	if n, err := c.HIncrBy(ctx, "h", "a", 41).Result(); n != 42 || err != nil {
		t.Errorf("HINCRBY: %d, %v", n, err)
	}
	if v, err := c.GetEx(ctx, "k", time.Hour).Result(); v != "v" || err != nil {
		t.Errorf("GETEX: %q, %v", v, err)
	}
	unlock := redis.NewScript(`if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end`)
	must(c.SetNX(ctx, "job", "me", time.Minute).Err())
	if n, err := unlock.Run(ctx, c, []string{"job"}, "me").Int(); n != 1 || err != nil {
		t.Errorf("script: %d, %v", n, err)
	}
	pipelined(t, ctx, c)
	keys, found := c.Scan(ctx, 0, "page:*", 30).Iterator(), 0
	for keys.Next(ctx) {
		found++
	}
	if found != 200 || keys.Err() != nil {
		t.Errorf("SCAN: %d keys, %v", found, keys.Err())
	}
	if n, err := c.Del(ctx, "k", "h", "none").Result(); n != 2 || err != nil {
		t.Errorf("DEL: %d, %v", n, err)
	}
	var refused redis.Error
	if err := c.FlushDB(ctx).Err(); !errors.As(err, &refused) {
		t.Errorf("FLUSHDB: %v", err)
	}
}

// pipelined sends 400 commands at once.
func pipelined(t *testing.T, ctx context.Context, c *redis.Client) {
	p := c.Pipeline()
	var got []*redis.StringCmd
	for i := range 200 {
		p.Set(ctx, fmt.Sprint("page:", i), i, time.Hour)
		got = append(got, p.Get(ctx, fmt.Sprint("page:", i)))
	}
	if _, err := p.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	for i, one := range got {
		if n, err := one.Int(); n != i || err != nil {
			t.Fatalf("pipeline: %d, %v, want %d", n, err, i)
		}
	}
}

func TestRediStore(t *testing.T) {
	store, err := redistore.NewRediStore(4, "tcp", start(t), "", "", []byte("a key of thirty-two bytes, nearly"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var cookie *http.Cookie
	visit := func(change func(s *sessions.Session)) any {
		t.Helper()
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		if cookie != nil {
			r.AddCookie(cookie)
		}
		s, err := store.Get(r, "shop")
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		if err := s.Save(r, w); err != nil {
			t.Fatal(err)
		}
		cookie = w.Result().Cookies()[0]
		return s.Values["n"]
	}
	count := func(s *sessions.Session) {
		n, _ := s.Values["n"].(int)
		s.Values["n"] = n + 1
	}
	for want := 1; want <= 3; want++ {
		if n := visit(count); n != want {
			t.Fatalf("visit %d: %v", want, n)
		}
	}
	kept := *cookie
	visit(func(s *sessions.Session) { s.Options.MaxAge = -1 })
	cookie = &kept
	if n := visit(count); n != 1 {
		t.Errorf("after the end: %v", n)
	}
}
