package load

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// counterPage is the counter page over HTTP, as a target.
type counterPage struct {
	host      string // of the Host header
	path      string // path and query, ready for the user's name to be appended
	keepAlive bool
	origin    *url.URL // that cookies belong to
}

func newCounterPage(u *url.URL, keepAlive bool) *counterPage {
	return &counterPage{host: u.Host, path: pathOf(u, true) + "user=", keepAlive: keepAlive, origin: u}
}

// pathOf is the path and query of a URL, ready for another parameter if more is set.
func pathOf(u *url.URL, more bool) string {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	switch {
	case u.RawQuery != "" && more:
		return path + "?" + u.RawQuery + "&"
	case u.RawQuery != "":
		return path + "?" + u.RawQuery
	case more:
		return path + "?"
	}
	return path
}

func (c *counterPage) talk(p *place, conn net.Conn, u *user, q request, e *exchange) bool {
	p.out = c.appendRequest(p.out[:0], u, q, e.begin)
	if !p.send(conn, e) || !p.receive(conn, e) {
		return false
	}
	u.keepCookies(c.origin, &p.answer)
	e.read(&p.answer, q)
	return !p.answer.ConnectionClose()
}

// read judges a complete answer.
func (e *exchange) read(a *fasthttp.Response, q request) {
	if status := a.StatusCode(); status != http.StatusOK {
		detail := fmt.Sprint(status, " ", http.StatusText(status))
		if body := excerpt(a.Body()); body != "" {
			detail += ": " + body
		}
		e.fail(httpClass(status), detail)
		return
	}
	if ct, _, _ := strings.Cut(string(a.Header.ContentType()), ";"); strings.TrimSpace(ct) != "application/json" {
		e.fail(BadBody, fmt.Sprintf("Content-Type %q, not application/json: %s", ct, excerpt(a.Body())))
		return
	}
	least := int64(0) // of a session that is not there
	if q.action.counts() {
		least = 1
	}
	var err error
	if e.answer, err = parseAnswer(a.Body(), least); err != nil {
		e.fail(BadBody, fmt.Sprintf("%v: %s", err, excerpt(a.Body())))
	} else if q.size >= 0 && e.answer.Hash == "" {
		e.fail(BadBody, "the page was asked for a payload and has no member hash: it knows only the simple contract")
	}
}

// appendRequest appends the user's next request.
func (c *counterPage) appendRequest(b []byte, u *user, q request, now time.Time) []byte {
	b = append(b, "GET "...)
	b = append(b, c.path...)
	b = append(b, u.name...)
	if q.action != Visit {
		b = append(append(b, "&do="...), q.action...)
	}
	if q.size >= 0 {
		b = strconv.AppendInt(append(b, "&payload="...), int64(q.size), 10)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.host...)
	b = append(b, "\r\nUser-Agent: vipbench\r\nAccept: application/json\r\n"...)
	b = u.appendCookies(b, c.origin, now)
	if !c.keepAlive {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

// plainPage is any page over HTTP, of which only the status is looked at.
type plainPage struct{ request []byte }

func newPlainPage(u *url.URL, keepAlive bool) *plainPage {
	r := "GET " + pathOf(u, false) + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUser-Agent: vipbench\r\n"
	if !keepAlive {
		r += "Connection: close\r\n"
	}
	return &plainPage{[]byte(r + "\r\n")}
}

func (g *plainPage) talk(p *place, conn net.Conn, _ *user, _ request, e *exchange) bool {
	p.out = append(p.out[:0], g.request...)
	if !p.send(conn, e) || !p.receive(conn, e) {
		return false
	}
	if status := p.answer.StatusCode(); status != http.StatusOK {
		e.fail(httpClass(status), fmt.Sprint(status, " ", http.StatusText(status)))
	}
	e.answer.Server = string(p.answer.Header.Peek("X-Server"))
	return !p.answer.ConnectionClose()
}
