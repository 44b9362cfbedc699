// Package counterpage is the page that package load loads, for Go real servers: it counts the visits of a session. Its
// contract stands in package load. How sessions are kept is the caller's matter, so that the same page proves any of
// them.
package counterpage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/sessionstore"
)

// Visits is what the page keeps in a session.
type Visits struct {
	Count int64  // visits so far
	User  string // name given with the first visit
	// Payload is what the last visit stored beside them, see [load.Payload].
	Payload string
}

// Session is the session of one request, bound to its request and answer.
type Session interface {
	// Get returns what the session holds; a new session holds the zero value.
	Get() Visits
	// Set changes what Save will store.
	Set(Visits)
	// Save stores the session and returns once it is committed. It adds the cookie, if one is due, to the answer's
	// header.
	Save() error
	// ID returns the session id. It is called after Save.
	ID() string
}

// Destroyer is a [Session] that can be destroyed, as a logout does. Destroy ends it in the store and takes the cookie away.
type Destroyer interface{ Destroy() error }

// Regenerator is a [Session] that can move to a new id, as a login does. Regenerate is called instead of Save.
type Regenerator interface{ Regenerate() error }

// errUnable tells that the session cannot do what the request asks for.
var errUnable = errors.New("this page's sessions cannot do that")

// Open returns the session of a request, a new one for a visitor who has none.
type Open func(w http.ResponseWriter, r *http.Request) (Session, error)

// Handler returns the counter page of the real server with this name. It answers GET on any path. When a session cannot
// be opened or saved it answers 423 if the session is locked, 409 if it changed meanwhile, and 503 otherwise; the body
// then names the step and the kind of error, never its details.
func Handler(server string, open Open) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "the counter page knows only GET", http.StatusMethodNotAllowed)
			return
		}
		q, err := parse(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := q.answer(server, open, w, r)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer) // the client is gone if this fails, and nobody is left to tell
	})
}

// stepError is an error and what the page was doing.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// query is what a request asks for.
type query struct {
	user string
	do   load.Action
	size int // of the payload, -1 for none
}

func parse(v url.Values) (query, error) {
	q := query{user: v.Get("user"), do: load.Action(v.Get("do")), size: -1}
	if q.user == "" || len(q.user) > load.MaxUserLength {
		return query{}, fmt.Errorf("query parameter user must have 1 to %d bytes", load.MaxUserLength)
	}
	switch q.do {
	case "":
		q.do = load.Visit
	case load.Visit, load.Read, load.LogIn, load.LogOut:
	default:
		return query{}, errors.New("query parameter do must be visit, read, login or logout")
	}
	if size := v.Get("payload"); size != "" {
		n, err := strconv.ParseUint(size, 10, 32)
		if err != nil || n > load.MaxPayload {
			return query{}, fmt.Errorf("query parameter payload must be 0 to %d", load.MaxPayload)
		}
		q.size = int(n)
	}
	return q, nil
}

// answer does what the request asks for. Nothing is written to the answer but its header.
func (q query) answer(server string, open Open, w http.ResponseWriter, r *http.Request) (load.Answer, error) {
	s, err := open(w, r)
	if err != nil {
		return load.Answer{}, &stepError{"open session", err}
	}
	was := s.Get()
	now := q.next(was)
	if err := q.carryOut(s, now); err != nil {
		return load.Answer{}, err
	}
	hash := sha256.Sum256([]byte(s.ID()))
	a := load.Answer{Server: server, ID: hex.EncodeToString(hash[:])[:load.IDLength], Count: now.Count, User: now.User}
	if q.size >= 0 || was.Payload != "" {
		a.Size, a.Hash = len(was.Payload), load.HashPayload(was.Payload)
	}
	return a, nil
}

// next is what the session holds after the request.
func (q query) next(v Visits) Visits {
	if v.Count == 0 {
		v.User = q.user
	}
	if q.do == load.Visit || q.do == load.LogIn {
		v.Count++
		v.Payload = load.Payload(v.User, v.Count, max(q.size, 0))
	}
	return v
}

// carryOut stores what the session holds from now on, under a new id if that is a login, or destroys it.
func (q query) carryOut(s Session, v Visits) error {
	switch q.do {
	case load.Read:
		return nil
	case load.LogOut:
		d, able := s.(Destroyer)
		if !able {
			return &stepError{"destroy session", errUnable}
		}
		if err := d.Destroy(); err != nil {
			return &stepError{"destroy session", err}
		}
		return nil
	case load.LogIn:
		r, able := s.(Regenerator)
		if !able {
			return &stepError{"regenerate session", errUnable}
		}
		s.Set(v)
		if err := r.Regenerate(); err != nil {
			return &stepError{"regenerate session", err}
		}
		return nil
	}
	s.Set(v)
	if err := s.Save(); err != nil {
		return &stepError{"save session", err}
	}
	return nil
}

// failures maps the errors of the session contract to statuses; what is not listed is a 503.
var failures = []struct {
	err    error
	status int
	word   string
}{
	{errUnable, http.StatusNotImplemented, "not possible"},
	{sessionstore.ErrLocked, http.StatusLocked, "locked"},
	{sessionstore.ErrConflict, http.StatusConflict, "changed meanwhile"},
	{sessionstore.ErrDestroyed, http.StatusServiceUnavailable, "destroyed"},
	{sessionstore.ErrNotFound, http.StatusServiceUnavailable, "not found"},
	{sessionstore.ErrTooLarge, http.StatusServiceUnavailable, "too large"},
	{sessionstore.ErrInvalid, http.StatusServiceUnavailable, "invalid"},
	{sessionstore.ErrUnavailable, http.StatusServiceUnavailable, "store unavailable"},
}

// fail answers with an error. The details stay here: they may name hosts and users of a database.
func fail(w http.ResponseWriter, err error) {
	status, word := http.StatusServiceUnavailable, "failed"
	for _, f := range failures {
		if errors.Is(err, f.err) {
			status, word = f.status, f.word
			break
		}
	}
	step := "session"
	if e := (*stepError)(nil); errors.As(err, &e) {
		step = e.step
	}
	if status != http.StatusConflict {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, step+": "+word, status)
}
