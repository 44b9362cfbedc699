package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// direct is a session server as a target: the user does with it what a page does. A session's payload there is its count and
// its user's name in one line, and after that what the page would keep beside them.
type direct struct {
	server string // what answers are told to come from
	store  sessionServer

	keepAlive bool
}

// sessionServer keeps sessions, each for one connection's use of it. Its methods return false if the exchange has failed.
type sessionServer interface {
	// greet does what a new connection needs first.
	greet(d *dialog) bool
	// open finds the session, and locks it for a write. It leaves a new id, and found unset, if there is none.
	open(d *dialog, s *directSession, write bool) bool
	// write stores the payload and gives the lock back.
	write(d *dialog, s *directSession, payload []byte) bool
	// move stores the payload under a new id, destroys the old one, and gives the lock back.
	move(d *dialog, s *directSession, payload []byte) bool
	destroy(d *dialog, s *directSession) bool
	// quit asks the server to close the connection, if the last question did not.
	quit(d *dialog)
}

// directSession is a session in a user's hands.
type directSession struct {
	id      string // empty for a user without one
	payload []byte
	found   bool
	lease   string
}

// dialog is an exchange of several questions and answers.
type dialog struct {
	*place
	conn net.Conn
	e    *exchange
	last bool // the server closes the connection
	// final says that the next question is the last one on a connection that is not kept. The server is asked to close it: who
	// closes first keeps the port in TIME_WAIT.
	final bool
}

func (t direct) talk(p *place, conn net.Conn, u *user, q request, e *exchange) bool {
	d := &dialog{place: p, conn: conn, e: e}
	p.reader.Reset(conn)
	s := directSession{id: u.id}
	if e.fresh && !t.store.greet(d) {
		return false
	}
	d.final = !t.keepAlive && q.action == Read
	ok := t.store.open(d, &s, q.action != Read)
	e.sent = false // nothing was changed yet
	if !ok {
		return false
	}
	was, err := parseState(s.payload, s.found)
	if err != nil {
		e.fail(BadBody, err.Error())
		return false
	}
	now := was
	if was.count == 0 {
		now.user = u.name
	}
	if q.action.counts() {
		now.count++
		now.rest = Payload(now.user, now.count, max(q.size, 0))
	}
	d.final = !t.keepAlive
	switch q.action {
	case Visit:
		ok = t.store.write(d, &s, now.encode())
	case LogIn:
		ok = t.store.move(d, &s, now.encode())
	case LogOut:
		ok = t.store.destroy(d, &s)
	}
	if !ok {
		return false
	}
	if d.final {
		t.store.quit(d)
	}
	if q.action.counts() {
		u.id = s.id
	}
	hash := sha256.Sum256([]byte(s.id))
	e.answer = Answer{Server: t.server, ID: hex.EncodeToString(hash[:])[:IDLength], Count: now.count, User: now.user}
	if q.size >= 0 {
		e.answer.Size, e.answer.Hash = len(was.rest), HashPayload(was.rest)
	}
	return !d.last
}

// state is what a session holds.
type state struct {
	count int64
	user  string
	rest  string
}

func (s state) encode() []byte {
	b := strconv.AppendInt(nil, s.count, 10)
	return append(append(append(append(b, ' '), s.user...), '\n'), s.rest...)
}

func parseState(payload []byte, found bool) (state, error) {
	if !found || len(payload) == 0 {
		return state{}, nil
	}
	head, rest, complete := bytes.Cut(payload, []byte("\n"))
	count, user, _ := strings.Cut(string(head), " ")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 || !complete || user == "" {
		return state{}, fmt.Errorf("the session holds what vipbench did not store: %s", excerpt(payload))
	}
	return state{n, user, string(rest)}, nil
}

// sessiondAPI is sessiond's HTTP API, see docs/http-api.md.
type sessiondAPI struct {
	host  string
	path  string // up to the session ids
	login string // a header line, or nothing
}

func newSessiondAPI(u *url.URL, secret string) sessiondAPI {
	a := sessiondAPI{host: u.Host, path: "/v1/" + namespaceOf(u) + "/sessions"}
	if secret != "" {
		a.login = "Authorization: Bearer " + secret + "\r\n"
	}
	return a
}

func (a sessiondAPI) greet(*dialog) bool { return true }

// withLease are headers that show the lease, and have the operation give it back if close is set; none without a lease, as where
// the namespace has none.
func (s *directSession) withLease(close bool) (headers []string) {
	if s.lease == "" {
		return nil
	}
	headers = append(headers, "Session-Lease: "+s.lease)
	if close {
		headers = append(headers, "Session-Close: 1")
	}
	return headers
}

// ask sends a request and returns the answer's status, 0 if the exchange has failed.
func (a sessiondAPI) ask(d *dialog, method, what string, body []byte, headers ...string) int {
	b := append(d.out[:0], method...)
	for _, s := range []string{" ", a.path, what, " HTTP/1.1\r\nHost: ", a.host, "\r\nUser-Agent: vipbench\r\n"} {
		b = append(b, s...)
	}
	if d.final {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, a.login...)
	for _, h := range headers {
		b = append(append(b, h...), "\r\n"...)
	}
	b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(body)), 10)
	d.out = append(append(b, "\r\n\r\n"...), body...)
	if !d.send(d.conn, d.e) || !d.receiveAtMost(d.conn, d.e, MaxPayload+MaxBody) {
		return 0
	}
	d.last = d.answer.ConnectionClose()
	return d.answer.StatusCode()
}

// expect asks, and fails the exchange for any other status than those. It returns the status or 0.
func (a sessiondAPI) expect(d *dialog, method, what string, body []byte, wanted []int, headers ...string) int {
	status := a.ask(d, method, what, body, headers...)
	for _, w := range wanted {
		if status == w {
			return status
		}
	}
	if status != 0 {
		d.e.fail(httpClass(status), fmt.Sprint(method, " is answered with ", status, ": ", excerpt(d.answer.Body())))
	}
	return 0
}

func (a sessiondAPI) open(d *dialog, s *directSession, write bool) bool {
	var status int
	opened := []int{http.StatusOK, http.StatusCreated}
	switch {
	case s.id == "":
		status = a.expect(d, "POST", "", []byte(`{"lock":true}`), opened)
	case write:
		status = a.expect(d, "POST", "/"+s.id+"/open", []byte(`{"lock":true}`), opened)
	default:
		status = a.expect(d, "GET", "/"+s.id, nil, []int{http.StatusOK, http.StatusNotFound, http.StatusGone})
	}
	s.found = status == http.StatusOK
	if s.found {
		s.payload = append(s.payload[:0], d.answer.Body()...)
	}
	s.lease = string(d.answer.Header.Peek("Session-Lease"))
	if id := d.answer.Header.Peek("Session-Id"); status != 0 && len(id) > 0 {
		s.id = string(id)
	}
	return status != 0
}

func (a sessiondAPI) write(d *dialog, s *directSession, payload []byte) bool {
	headers := append(s.withLease(true), "Content-Type: application/octet-stream")
	return a.expect(d, "PUT", "/"+s.id, payload, []int{http.StatusNoContent}, headers...) != 0
}

func (a sessiondAPI) move(d *dialog, s *directSession, payload []byte) bool {
	final := d.final
	if d.final = false; s.found {
		if a.expect(d, "POST", "/"+s.id+"/regenerate", []byte(`{"drop":true}`), []int{http.StatusOK}, s.withLease(false)...) == 0 {
			return false
		}
		s.id = string(d.answer.Header.Peek("Session-Id"))
	}
	d.final = final
	return a.write(d, s, payload)
}

func (a sessiondAPI) destroy(d *dialog, s *directSession) bool {
	return a.expect(d, "DELETE", "/"+s.id, nil, []int{http.StatusNoContent}, s.withLease(true)...) != 0
}

func (a sessiondAPI) quit(*dialog) {}

// redisStore is a server of Redis's protocol, with sessions as phpredis keeps them.
type redisStore struct {
	locks bool     // users make several requests at once: lock the session for each
	login []string // password, or user and password; nothing where the server asks for none
}

const (
	redisPrefix = "PHPREDIS_SESSION:"
	redisIdle   = "1440"  // seconds that a session lasts
	redisLock   = "30000" // milliseconds that a lock lasts
	redisSpin   = 2 * time.Millisecond
)

// command sends a command and returns the first line of its answer, and false if the exchange has failed or the answer is an
// error.
func (redisStore) command(d *dialog, args ...string) (string, bool) {
	b := append(strconv.AppendInt(append(d.out[:0], '*'), int64(len(args)), 10), "\r\n"...)
	for _, a := range args {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(a)), 10), "\r\n"...)
		b = append(append(b, a...), "\r\n"...)
	}
	d.out = b
	if !d.send(d.conn, d.e) {
		return "", false
	}
	line, err := d.reader.ReadSlice('\n')
	d.e.end = time.Now()
	switch {
	case err != nil:
		d.e.fail(classify(err), "receive: "+cause(err))
	case line[0] == '-':
		word, _, _ := strings.Cut(string(line[1:]), " ")
		d.e.fail(Class("redis_"+strings.TrimSpace(word)), args[0]+" is answered with "+excerpt(line))
	default:
		return strings.TrimRight(string(line), "\r\n"), true
	}
	return "", false
}

func (r redisStore) greet(d *dialog) bool {
	return len(r.login) == 0 || r.expect(d, "+OK", append([]string{"AUTH"}, r.login...)...)
}

// expect sends a command that has one good answer.
func (r redisStore) expect(d *dialog, want string, args ...string) bool {
	got, ok := r.command(d, args...)
	if ok && got != want {
		d.e.fail(BadBody, fmt.Sprintf("%s is answered with %q, not %q", args[0], got, want))
	}
	return ok && got == want
}

// get reads a value; found is false if there is none.
func (r redisStore) get(d *dialog, key string) (value []byte, found, ok bool) {
	line, ok := r.command(d, "GET", key)
	if !ok || line == "$-1" || line == "_" {
		return nil, false, ok
	}
	n, err := strconv.Atoi(strings.TrimPrefix(line, "$"))
	if err != nil || n < 0 || n > MaxPayload+MaxBody {
		d.e.fail(BadBody, fmt.Sprintf("GET is answered with %q", line))
		return nil, false, false
	}
	value = make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(d.reader, value); err != nil {
		d.e.fail(classify(err), "receive: "+cause(err))
		return nil, false, false
	}
	d.e.end = time.Now()
	return value[:n], true, true
}

// lock takes the session's lock, or waits for it until the request's time is over.
func (r redisStore) lock(d *dialog, s *directSession) bool {
	s.lease = sessionstore.NewID()
	for {
		answer, ok := r.command(d, "SET", redisPrefix+s.id+"_LOCK", s.lease, "NX", "PX", redisLock)
		if !ok || answer == "+OK" {
			return ok
		}
		time.Sleep(redisSpin)
	}
}

// unlock gives the lock back by taking it away: it is ours, unless the request took longer than locks last.
func (r redisStore) unlock(d *dialog, s *directSession) bool {
	if s.lease == "" {
		return true
	}
	_, ok := r.command(d, "DEL", redisPrefix+s.id+"_LOCK")
	s.lease = ""
	return ok
}

func (r redisStore) open(d *dialog, s *directSession, write bool) (ok bool) {
	if s.id != "" {
		if write && r.locks && !r.lock(d, s) {
			return false
		}
		if s.payload, s.found, ok = r.get(d, redisPrefix+s.id); !ok {
			return false
		}
	}
	if s.found {
		return true
	}
	ok = r.unlock(d, s)
	s.id = sessionstore.NewID() // an id that nobody knows is never taken over
	return ok
}

func (r redisStore) write(d *dialog, s *directSession, payload []byte) bool {
	return r.expect(d, "+OK", "SETEX", redisPrefix+s.id, redisIdle, string(payload)) && r.unlock(d, s)
}

func (r redisStore) move(d *dialog, s *directSession, payload []byte) bool {
	id := sessionstore.NewID()
	if !r.expect(d, "+OK", "SETEX", redisPrefix+id, redisIdle, string(payload)) || !r.destroy(d, s) {
		return false
	}
	s.id = id
	return true
}

func (r redisStore) destroy(d *dialog, s *directSession) bool {
	_, ok := r.command(d, "DEL", redisPrefix+s.id)
	return ok && r.unlock(d, s)
}

func (r redisStore) quit(d *dialog) {
	end := d.e.end
	r.command(d, "QUIT")
	d.e.end, d.e.class, d.e.detail = end, "", "" // the request is answered, whatever becomes of this
}

// lineEcho is a server that answers a line with a line, over TCP. Its answer is taken for the server's name.
type lineEcho struct{}

func (lineEcho) talk(p *place, conn net.Conn, _ *user, _ request, e *exchange) bool {
	p.reader.Reset(conn)
	p.out = append(p.out[:0], "vipbench\n"...)
	if !p.send(conn, e) {
		return false
	}
	line, err := p.reader.ReadSlice('\n')
	e.end = time.Now()
	switch line = bytes.TrimSpace(line); {
	case err != nil:
		e.fail(classify(err), "receive: "+cause(err))
	case len(line) > MaxServerLength:
		e.fail(BadBody, fmt.Sprintf("the line has %d bytes, more than a name's %d", len(line), MaxServerLength))
	default:
		e.answer.Server = string(line)
	}
	return e.class == ""
}
