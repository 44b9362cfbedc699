package gorilla

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

// Store is a [sessions.Store]. Its fields may be changed before it is first used; its methods may then be called
// concurrently.
type Store struct {
	// Codecs sign, and encrypt if their pair has a second key, the cookie.
	Codecs []securecookie.Codec
	// Options are what every session begins with. Default: Path "/", MaxAge 30 days, HttpOnly, SameSite=Lax.
	Options *sessions.Options
	// Serializer encodes the values. Default: [GobSerializer].
	Serializer Serializer
	// Optimistic makes Save fail with [sessionstore.ErrConflict] if another request saved the session since this one
	// loaded it, instead of overwriting.
	Optimistic bool
	// Timeout is how long Save may take. Save does not end with the request's context: what a handler did is stored
	// even when its visitor is gone. Default 10 s.
	Timeout time.Duration

	maxLength int
	sessions  sessionstore.Sessions
	origins   attached[origin]
}

var _ sessions.Store = (*Store)(nil)

const month = 86400 * 30 // seconds, gorilla's own default

// New returns a store over the sessions of a namespace: those of a [sessionstore.Service] in this process or of a
// client. Key pairs are as for [sessions.NewCookieStore]: an authentication key of 32 or 64 bytes, and optionally an
// encryption key of 16, 24 or 32; further pairs are old keys, whose cookies are still accepted.
func New(s sessionstore.Sessions, keyPairs ...[]byte) *Store {
	store := &Store{
		Codecs:     securecookie.CodecsFromPairs(keyPairs...),
		Options:    &sessions.Options{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode},
		Serializer: GobSerializer{},
		Timeout:    10 * time.Second,
		sessions:   s,
	}
	store.MaxAge(month)
	return store
}

// MaxAge sets, in seconds, the MaxAge of Options, and how old a cookie may be that is accepted; 0 leaves both open.
func (s *Store) MaxAge(age int) {
	s.Options.MaxAge = age
	for _, codec := range s.Codecs {
		if sc, ok := codec.(*securecookie.SecureCookie); ok {
			sc.MaxAge(max(age, 0))
		}
	}
}

// MaxLength sets how many bytes the encoded values of a session may have; 0, the default, leaves that to the service's
// policy. Save fails with [sessionstore.ErrTooLarge] for more. The length of cookies is the codecs' matter.
func (s *Store) MaxLength(l int) { s.maxLength = l }

// Get returns the request's session of this name, the same one each time.
func (s *Store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New loads the session that the request's cookie names, or begins a new one. It never returns nil; see the package
// comment for what comes with an error.
func (s *Store) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	options := *s.Options
	session.Options = &options
	session.IsNew = true
	cookie, err := r.Cookie(name)
	if err != nil {
		return session, nil
	}
	var id string
	if err := securecookie.DecodeMulti(name, cookie.Value, &id, s.Codecs...); err != nil {
		return session, fmt.Errorf("decode cookie %s: %w", name, err)
	}
	if sessionstore.CheckID(id) != nil { // it is ours, signed, but of another store
		return session, nil
	}
	return session, s.load(r.Context(), session, id)
}

func (s *Store) load(ctx context.Context, session *sessions.Session, id string) error {
	stored, err := s.sessions.Read(ctx, id)
	switch {
	case errors.Is(err, sessionstore.ErrNotFound), errors.Is(err, sessionstore.ErrDestroyed):
		return nil
	case err != nil:
		err = fmt.Errorf("load session %s: %w", session.Name(), err)
		s.origins.set(session, origin{failure: err})
		return err
	}
	if err := s.Serializer.Deserialize(stored.Payload, session); err != nil {
		session.Values = map[any]any{} // it may hold half of them
		err = fmt.Errorf("decode session %s: %w", session.Name(), err)
		from := origin{unread: id}
		if errors.Is(err, phpsession.ErrUnsupported) { // PHP can read it, and must find it again
			from = origin{failure: err}
		}
		s.origins.set(session, from)
		return err
	}
	session.ID, session.IsNew = id, false
	s.origins.set(session, origin{id: id, version: stored.Version})
	return nil
}

// Save stores the session, or destroys it if its Options.MaxAge is below 0, and adds the cookie to the answer. When it
// fails it has added no cookie.
func (s *Store) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	from := s.origins.get(session)
	if from.failure != nil {
		return fmt.Errorf("session %s was not loaded and is not saved: %w", session.Name(), from.failure)
	}
	ctx, cancel := s.context(r)
	defer cancel()
	if session.Options.MaxAge < 0 {
		return s.delete(ctx, w, session, from)
	}
	id := session.ID
	if id == "" {
		id = sessionstore.NewID()
	}
	cookie, payload, err := s.encode(session, id)
	if err != nil {
		return err
	}
	if err := s.write(ctx, session, id, payload, from); err != nil {
		return err
	}
	http.SetCookie(w, cookie)
	return nil
}

// encode makes all that can fail without the store. Nothing is changed yet.
func (s *Store) encode(session *sessions.Session, id string) (*http.Cookie, []byte, error) {
	payload, err := s.Serializer.Serialize(session)
	if err != nil {
		return nil, nil, fmt.Errorf("encode session %s: %w", session.Name(), err)
	}
	if s.maxLength > 0 && len(payload) > s.maxLength {
		return nil, nil, fmt.Errorf("save session %s: %w: %d bytes, the limit is %d", session.Name(), sessionstore.ErrTooLarge, len(payload), s.maxLength)
	}
	value, err := securecookie.EncodeMulti(session.Name(), id, s.Codecs...)
	if err != nil {
		return nil, nil, fmt.Errorf("encode cookie %s: %w", session.Name(), err)
	}
	return sessions.NewCookie(session.Name(), value, session.Options), payload, nil
}

// write stores the payload under the id, which becomes the session's.
func (s *Store) write(ctx context.Context, session *sessions.Session, id string, payload []byte, from origin) error {
	w := sessionstore.WriteOptions{Payload: payload, IfVersion: sessionstore.AnyVersion, Idle: idle(session)}
	if id != from.id {
		from = origin{id: id}
		session.ID = id // also if the write fails: its outcome may be unknown, and saving again must not make a second
		s.origins.set(session, from)
	}
	if s.Optimistic {
		w.IfVersion = from.version
	}
	version, err := s.sessions.Write(ctx, id, w)
	if err != nil {
		return fmt.Errorf("save session %s: %w", session.Name(), err)
	}
	from.version = version
	s.origins.set(session, from)
	return nil
}

// delete destroys what the session is and what it came from.
func (s *Store) delete(ctx context.Context, w http.ResponseWriter, session *sessions.Session, from origin) error {
	done := map[string]bool{"": true}
	for _, id := range []string{session.ID, from.id, from.unread} {
		if done[id] {
			continue
		}
		done[id] = true
		if err := s.sessions.Destroy(ctx, id); err != nil {
			return fmt.Errorf("destroy session %s: %w", session.Name(), err)
		}
	}
	http.SetCookie(w, sessions.NewCookie(session.Name(), "", session.Options))
	return nil
}

// Regenerate saves the session under a new id and destroys the old one. Call it instead of Save when a visitor logs in
// or gains rights in another way: whoever planted or knows the old id then has nothing. The old id is dead at once,
// without the grace time of [sessionstore.Sessions].Regenerate, for it would lead to the rights as well.
//
// When it fails after the session was saved, the cookie is sent all the same.
func (s *Store) Regenerate(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	old, from := session.ID, s.origins.get(session)
	if err := s.unchanged(r, from); err != nil {
		return fmt.Errorf("save session %s under a new id: %w", session.Name(), err)
	}
	session.ID = ""
	if err := s.Save(r, w, session); err != nil {
		session.ID = old
		s.origins.set(session, from)
		return err
	}
	if old == "" {
		return nil
	}
	ctx, cancel := s.context(r)
	defer cancel()
	if err := s.sessions.Destroy(ctx, old); err != nil {
		return fmt.Errorf("destroy session %s under its old id: %w", session.Name(), err)
	}
	return nil
}

// unchanged fails if Optimistic is set and another request saved the session since it was loaded.
func (s *Store) unchanged(r *http.Request, from origin) error {
	if !s.Optimistic || from.id == "" {
		return nil
	}
	ctx, cancel := s.context(r)
	defer cancel()
	stored, err := s.sessions.Read(ctx, from.id)
	if err == nil && stored.Version != from.version {
		err = sessionstore.ErrConflict
	}
	return err
}

func (s *Store) context(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), s.Timeout)
}

// idle is the session's idle time-out: none of its own unless its cookie has an age, and no longer than what a store
// takes and a browser keeps.
func idle(session *sessions.Session) time.Duration {
	const longest = int(sessionstore.MaxDuration / time.Second)
	return time.Duration(min(session.Options.MaxAge, longest)) * time.Second
}
