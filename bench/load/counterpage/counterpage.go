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

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/sessionstore"
)

// Visits is what the page keeps in a session.
type Visits struct {
	Count int64  // visits so far
	User  string // name given with the first visit
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
		user := r.URL.Query().Get("user")
		if user == "" || len(user) > load.MaxUserLength {
			http.Error(w, fmt.Sprintf("query parameter user must have 1 to %d bytes", load.MaxUserLength), http.StatusBadRequest)
			return
		}
		answer, err := visit(server, user, open, w, r)
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

// visit counts one visit. Nothing is written to the answer but its header.
func visit(server, user string, open Open, w http.ResponseWriter, r *http.Request) (load.Answer, error) {
	s, err := open(w, r)
	if err != nil {
		return load.Answer{}, &stepError{"open session", err}
	}
	v := s.Get()
	if v.Count == 0 {
		v.User = user
	}
	v.Count++
	s.Set(v)
	if err := s.Save(); err != nil {
		return load.Answer{}, &stepError{"save session", err}
	}
	hash := sha256.Sum256([]byte(s.ID()))
	return load.Answer{
		Server: server,
		ID:     hex.EncodeToString(hash[:])[:load.IDLength],
		Count:  v.Count,
		User:   v.User,
	}, nil
}

// failures maps the errors of the session contract to statuses; what is not listed is a 503.
var failures = []struct {
	err    error
	status int
	word   string
}{
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
