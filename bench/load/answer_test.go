package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func TestParseAnswer(t *testing.T) {
	tests := []struct {
		body string
		want string // part of the error; empty for none
	}{
		{`{"server":"web1","id":"5d41402a","count":7,"user":"u17"}`, ""},
		{" {\"user\":\"u17\",\"count\":7,\"id\":\"5d41402a\",\"server\":\"web1\",\"more\":[1]}\n", ""},
		{``, "not the counter page's JSON"},
		{`<b>Warning</b>`, "not the counter page's JSON"},
		{`{"server":"web1","id":"5d41402a","count":7,"user":"u17"} trailing`, "not the counter page's JSON"},
		{`{"server":"web1","id":"5d41402a","count":7.5,"user":"u17"}`, "not the counter page's JSON"},
		{`{"server":"web1","id":"5d41402a","count":"7","user":"u17"}`, "not the counter page's JSON"},
		{`{"id":"5d41402a","count":7,"user":"u17"}`, "member server"},
		{`{"server":"web1","count":7,"user":"u17"}`, "member id"},
		{`{"server":"web1","id":"5D41402A","count":7,"user":"u17"}`, "member id"},
		{`{"server":"web1","id":"5d41402a0","count":7,"user":"u17"}`, "member id"},
		{`{"server":"web1","id":"5d41402a","user":"u17"}`, "member count"},
		{`{"server":"web1","id":"5d41402a","count":-1,"user":"u17"}`, "member count"},
		{`{"server":"web1","id":"5d41402a","count":7}`, "member user"},
		{`{"server":"web1","id":"5d41402a","count":7,"user":"` + strings.Repeat("x", 65) + `"}`, "member user"},
		{`null`, "member server"},
	}
	for _, tt := range tests {
		a, err := ParseAnswer([]byte(tt.body))
		switch {
		case tt.want == "" && (err != nil || a != Answer{Server: "web1", ID: "5d41402a", Count: 7, User: "u17"}):
			t.Errorf("%s: %+v, %v", tt.body, a, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want one with %q", tt.body, err, tt.want)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"server":"web1","id":"5d41402a","count":7,"user":"u17"}`))
	f.Add([]byte(`{"server":"web1","id":"5d41402a","count":9223372036854775808,"user":"u17"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := ParseAnswer(body)
		if err != nil {
			if a != (Answer{}) {
				t.Fatalf("an error and an answer: %+v", a)
			}
			return
		}
		// What is accepted keeps the contract, and means the same when it is written again.
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseAnswer(b); err != nil || again != a {
			t.Fatalf("%+v became %+v, %v", a, again, err)
		}
	})
}

// Whatever a server sends, an exchange is either acknowledged with an answer that keeps the contract or has a class, and
// the next request is well-formed.
func FuzzExchange(f *testing.F) {
	ok := `{"server":"web1","id":"5d41402a","count":1,"user":"u1"}`
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: sid=x; Path=/\r\nContent-Length: 55\r\n\r\n" + ok))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n37\r\n" + ok + "\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 503 Away\r\nSet-Cookie: a=\"b c\"\r\nSet-Cookie: d=e; Max-Age=0\r\n\r\nx"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
	origin := &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/count"}
	page := newCounterPage(origin, false)
	f.Fuzz(func(t *testing.T, sent []byte) {
		u := newUser(1, "u", 1)
		p := newPlace()
		conn := &canned{r: bytes.NewReader(sent)}
		var e exchange
		if p.receive(conn, &e) {
			u.keepCookies(origin, &p.answer)
			e.read(&p.answer, request{Visit, -1})
		}
		if e.class == "" {
			if b, err := json.Marshal(e.answer); err != nil {
				t.Fatal(err)
			} else if _, err := ParseAnswer(b); err != nil {
				t.Fatalf("acknowledged %+v: %v", e.answer, err)
			}
		}
		var r fasthttp.Request
		if err := r.Read(bufio.NewReader(bytes.NewReader(page.appendRequest(nil, u, request{Read, 5}, time.Now())))); err != nil {
			t.Fatalf("next request %q: %v", page.appendRequest(nil, u, request{Read, 5}, time.Now()), err)
		}
	})
}

// canned is a connection from which fixed bytes can be read.
type canned struct {
	net.Conn
	r *bytes.Reader
}

func (c *canned) Read(b []byte) (int, error) { return c.r.Read(b) }
