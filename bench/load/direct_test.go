package load

import (
	"bytes"
	"net/url"
	"testing"

	"pgregory.net/rapid"
)

func (c *canned) Write(b []byte) (int, error) { return len(b), nil }

// Whatever a session server sends, the exchange has a class, or an answer that vipbench itself could have stored.
func FuzzDirect(f *testing.F) {
	f.Add(uint8(0), []byte("HTTP/1.1 201 Created\r\nSession-Id: abcdefghijklmnopqrstuv\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
	f.Add(uint8(1), []byte("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n3 u1\nxx"))
	f.Add(uint8(4), []byte("$6\r\n3 u1\nx\r\n+OK\r\n:1\r\n"))
	f.Add(uint8(5), []byte("$-1\r\n"))
	f.Add(uint8(8), []byte("real1\n"))
	f.Fuzz(func(t *testing.T, what uint8, sent []byte) {
		u := newUser(1, "u", 1)
		u.id = "abcdefghijklmnopqrstuvwxyz"
		stores := []protocol{
			direct{server: "s", store: sessiondAPI{host: "s", path: "/v1/a/sessions"}}, direct{server: "s", store: redisStore{login: []string{"u", "p"}}}, lineEcho{},
		}
		q := request{[]Action{Visit, Read, LogIn, LogOut}[what%4], 5}
		p := newPlace()
		e := exchange{fresh: len(sent)%2 == 0}
		again := stores[int(what/4)%len(stores)].talk(p, &canned{r: bytes.NewReader(sent)}, u, q, &e)
		switch {
		case e.class != "" && e.detail == "":
			t.Fatalf("error %s says nothing", e.class)
		case e.class == "" && e.answer.Count < 0, e.class == "" && again && e.end.IsZero():
			t.Fatalf("acknowledged %+v", e)
		}
	})
}

func TestStateIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := state{rapid.Int64Range(1, 1<<40).Draw(t, "count"), rapid.StringMatching("[a-z0-9.]{1,64}").Draw(t, "user"), rapid.String().Draw(t, "rest")}
		if got, err := parseState(s.encode(), true); err != nil || got != s {
			t.Fatalf("%+v is read back as %+v (%v)", s, got, err)
		}
	})
	for _, bad := range []string{"x", "1", "1 u", "0 u\n", "-1 u\n", " u\n", "1\n"} {
		if s, err := parseState([]byte(bad), true); err == nil {
			t.Errorf("%q is read as %+v", bad, s)
		}
	}
}

func TestTargets(t *testing.T) {
	for raw, want := range map[string]Target{
		"http://127.0.0.1/": Counter, "https://127.0.0.1/": Counter, "sessionds://127.0.0.1:1": Sessiond, "rediss://127.0.0.1": Redis, "sessiond://127.0.0.1:1/ns": Sessiond, "redis://127.0.0.1": Redis, "tcp://127.0.0.1:1": TCP,
	} {
		c := Config{URL: raw}.Defaults()
		if err := c.Check(); err != nil || c.Target() != want {
			t.Errorf("%s is %s (%v), want %s", raw, c.Target(), err, want)
		}
	}
	for _, raw := range []string{"tcp://127.0.0.1", "sessiond://127.0.0.1", "sessiond://127.0.0.1:1/A B", "redis://127.0.0.1/1", "ftp://127.0.0.1"} {
		if err := (Config{URL: raw}.Defaults().Check()); err == nil {
			t.Errorf("%s is taken", raw)
		}
	}
	u := &url.URL{Scheme: "http", Host: "a", Path: "/b", RawQuery: "c=d"}
	if got := newCounterPage(u, false).path; got != "/b?c=d&user=" {
		t.Errorf("path %s", got)
	}
}

// The generator's own limits are told, and not blamed on the target.
func TestGeneratorIsJudged(t *testing.T) {
	const ms = Millis(1e6)
	for name, tt := range map[string]struct {
		change func(*Result)
		want   bool
	}{
		"calm":           {func(*Result) {}, false},
		"out of CPU":     {func(r *Result) { r.Series = []Second{{CPU: 1000}, {CPU: 1000}} }, true},
		"out of places":  {func(r *Result) { r.Held = 200 }, true},
		"wakes up late":  {func(r *Result) { r.Lag = Percentiles{Count: 100, P50: 5 * ms} }, true},
		"out of ports":   {func(r *Result) { r.ErrorsByClass = map[Class]int64{Local: 1} }, true},
		"target is slow": {func(r *Result) { r.Latency.P50 = 10_000 * ms; r.ErrorsByClass = map[Class]int64{Timeout: 50} }, false},
	} {
		r := &Result{Elapsed: 10_000 * ms, Attempts: 1000, Latency: Percentiles{Count: 1000, P50: 10 * ms}, Lag: Percentiles{Count: 100, P50: ms / 2}}
		tt.change(r)
		r.judgeGenerator(0)
		if r.Generator.Saturated != tt.want || r.Generator.Saturated != (len(r.Generator.Reasons) > 0) {
			t.Errorf("%s: saturated %v, %v", name, r.Generator.Saturated, r.Generator.Reasons)
		}
	}
}
