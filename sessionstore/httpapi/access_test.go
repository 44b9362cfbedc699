package httpapi_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore/access"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

func TestSecrets(t *testing.T) {
	secrets := &access.Secrets{}
	for _, pair := range []string{"shop=one", "shop=two", "blog=three"} {
		if err := secrets.AddPair(pair); err != nil {
			t.Fatal(err)
		}
	}
	f := start(t, memory.New(nil), httpapi.Options{Secrets: secrets}, nil)
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	for _, c := range []struct {
		path, header string
		want         int
	}{
		{"/v1/shop/sessions", "Bearer one", 201}, {"/v1/shop/sessions", "bearer two", 201},
		{"/v1/shop/sessions", basic("shop:two"), 201}, {"/v1/shop/sessions", basic(":two"), 201},
		{"/v1/shop/sessions", "", 401}, {"/v1/shop/sessions", "Bearer", 401}, {"/v1/shop/sessions", "Bearer three", 401},
		{"/v1/shop/sessions", basic("blog:one"), 401}, {"/v1/shop/sessions", "Basic !", 401}, {"/v1/news/sessions", "Bearer one", 401},
		{"/v1/gc", "", 401}, {"/v1/gc", "Bearer three", 200},
	} {
		a := f.do("POST", c.path, "", "Authorization", c.header)
		if a.StatusCode != c.want {
			t.Errorf("%s with %q: %d, want %d", c.path, c.header, a.StatusCode, c.want)
		}
		if c.want == 401 {
			f.refused(a, 401, "unauthorized")
			if len(a.Header.Values("WWW-Authenticate")) != 2 {
				t.Errorf("%v", a.Header)
			}
		}
	}
	session := "/v1/shop/sessions/" + strings.Repeat("s", 32)
	for path, methods := range map[string]string{
		session: "GET HEAD PUT DELETE", session + "/open": "POST", session + "/touch": "POST", session + "/regenerate": "POST",
		session + "/close": "POST", "/v1/shop/batch": "POST",
	} {
		for method := range strings.FieldsSeq(methods) {
			if a := f.do(method, path, ""); a.StatusCode != 401 {
				t.Errorf("%s %s: %d, want 401", method, path, a.StatusCode)
			}
		}
	}
	f.want(f.do("GET", "/healthz", ""), 200, "ok\n")
}

func TestCreationRate(t *testing.T) {
	now := time.Unix(1000, 0)
	rate := &access.Rate{PerSecond: 0.1, Now: func() time.Time { return now }}
	f := start(t, memory.New(nil), httpapi.Options{Rate: rate}, nil)
	path := f.login("first")
	other := strings.Replace(path, path[len(path)-3:], "aaa", 1)
	for _, a := range []answer{f.do("PUT", other, "second"), f.do("POST", other+"/touch", `{"create":true}`)} {
		f.refused(a, 429, "too many sessions")
		if a.Header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
		}
	}
	f.want(f.do("PUT", path, "changed"), 204, "")
	now = now.Add(10 * time.Second)
	f.want(f.do("PUT", other, "second"), 204, "")
}
