package load

import (
	"net"
	"net/http"
	"net/http/cookiejar"

	"github.com/valyala/fasthttp"
)

// user is one virtual user. It has one request in flight at a time, so it needs no lock.
type user struct {
	index    int
	name     string
	jar      *cookiejar.Jar
	conn     *net.TCPConn // kept between requests, or nil
	verifier *Verifier
}

func newUser(index int, name string) *user {
	jar, _ := cookiejar.New(nil) // fails never: only with options
	return &user{index: index, name: name, jar: jar, verifier: NewVerifier(name)}
}

// hasSession tells whether the user would send a cookie with its next request.
func (u *user) hasSession(t *target) bool { return len(u.jar.Cookies(t.origin)) > 0 }

// keepCookies puts the cookies of an answer, of whatever status, into the user's jar, as a browser does. What is not a
// cookie is left out.
func (u *user) keepCookies(t *target, a *fasthttp.Response) {
	var set []*http.Cookie
	for _, line := range a.Header.Cookies() {
		if c, err := http.ParseSetCookie(string(line)); err == nil {
			set = append(set, c)
		}
	}
	if len(set) > 0 {
		u.jar.SetCookies(t.origin, set)
	}
}

// appendCookies appends the Cookie header, if the user has cookies.
func (u *user) appendCookies(b []byte, t *target) []byte {
	for i, c := range u.jar.Cookies(t.origin) {
		if i == 0 {
			b = append(b, "Cookie: "...)
		} else {
			b = append(b, "; "...)
		}
		b = append(b, c.Name...)
		b = append(b, '=')
		if c.Quoted {
			b = append(append(append(b, '"'), c.Value...), '"')
			continue
		}
		b = append(b, c.Value...)
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, "\r\n"...)
	}
	return b
}

// close ends the user's kept connection.
func (u *user) close() {
	if u.conn != nil {
		u.conn.Close()
		u.conn = nil
	}
}
