package load

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// cookiesFor is how long a Cookie header that was put together may be sent again before the jar is asked whether one of its
// cookies has expired.
const cookiesFor = time.Second

// user is one virtual user. One goroutine uses it, so it needs no lock.
type user struct {
	index    int
	prefix   string
	sessions int // that it has left behind
	name     string
	random   *rand.Rand
	clock    clock
	free     time.Time // when its last turn ended
	left     int       // turns of the session under way that are left, if Config.Visits bounds them
	jar      *cookiejar.Jar
	cookies  []byte // the Cookie header
	baked    time.Time
	id       string    // of its session, where no page keeps it in a cookie
	conn     net.Conn  // kept between requests, or nil
	used     time.Time // when it was last used
	verifier *Verifier
}

func newUser(index int, prefix string, seed uint64) *user {
	name := prefix + strconv.Itoa(index)
	u := &user{
		index: index, prefix: name, name: name,
		random:   rand.New(rand.NewPCG(seed, uint64(index))),
		verifier: NewVerifier(name),
	}
	u.forget()
	return u
}

// forget leaves the user without any cookie.
func (u *user) forget() {
	u.jar, _ = cookiejar.New(nil) // fails never: only with options
	u.id, u.baked = "", time.Time{}
}

// plan returns the requests of the user's next turn: one, or several to be made at once. Several visit and read only.
func (u *user) plan(c *Config) []request {
	if !u.verifier.Known() {
		return []request{u.visit(c)}
	}
	if !c.Visits.IsZero() && u.left == 0 {
		if u.random.Float64() >= c.Abandon {
			return []request{{LogOut, -1}}
		}
		u.leave()
		return []request{u.visit(c)}
	}
	u.left--
	at := max(1, c.Parallel.Draw(u.random))
	if at == 1 {
		return []request{u.draw(c, c.Mix)}
	}
	plan := make([]request, at)
	for i := range plan {
		plan[i] = u.draw(c, Mix{Visit: c.Mix.Visit, Read: c.Mix.Read})
	}
	return plan
}

// visit returns a visit that begins a session.
func (u *user) visit(c *Config) request {
	if !c.Visits.IsZero() {
		u.left = max(1, c.Visits.Draw(u.random)) - 1
	}
	return u.draw(c, Mix{})
}

func (u *user) draw(c *Config, m Mix) request {
	q := request{m.draw(u.random), -1}
	if !c.Payload.IsZero() {
		q.size = c.Payload.Draw(u.random)
	}
	return q
}

// leave begins the user's next session, under a name of its own, so that whoever gets an earlier one notices.
func (u *user) leave() {
	u.forget()
	u.renew("")
}

// haunt begins the user's next session after the one before was destroyed. The user goes on with the cookies that it had then,
// also if the page took them away: whatever comes of them must not be that session.
func (u *user) haunt(origin *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		c.Path = "/"
	}
	u.jar.SetCookies(origin, cookies)
	u.baked = time.Time{}
	u.renew(u.name)
}

// renew gives the user the name of its next session. dead is the one before, if that was destroyed.
func (u *user) renew(dead string) {
	u.sessions++
	u.name = u.prefix + "." + strconv.Itoa(u.sessions)
	u.verifier.renew(u.name, dead)
}

// branch is the user in a request beside others of the same user: with the same cookies, and a connection of its own.
func (u *user) branch() *user {
	return &user{index: u.index, name: u.name, jar: u.jar, id: u.id}
}

// hasSession tells whether the user would send a cookie, or a session id, with its next request.
func (u *user) hasSession(t *target) bool { return u.id != "" || len(u.jar.Cookies(t.origin)) > 0 }

// keepCookies puts the cookies of an answer, of whatever status, into the user's jar, as a browser does. What is not a
// cookie is left out.
func (u *user) keepCookies(origin *url.URL, a *fasthttp.Response) {
	var set []*http.Cookie
	for _, line := range a.Header.Cookies() {
		if c, err := http.ParseSetCookie(string(line)); err == nil {
			set = append(set, c)
		}
	}
	if len(set) > 0 {
		u.jar.SetCookies(origin, set)
		u.baked = time.Time{}
	}
}

// appendCookies appends the Cookie header, if the user has cookies.
func (u *user) appendCookies(b []byte, origin *url.URL, now time.Time) []byte {
	if now.Sub(u.baked) > cookiesFor {
		u.cookies, u.baked = cookieHeader(u.cookies[:0], u.jar.Cookies(origin)), now
	}
	return append(b, u.cookies...)
}

func cookieHeader(b []byte, cookies []*http.Cookie) []byte {
	for i, c := range cookies {
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
	if len(b) > 0 {
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
