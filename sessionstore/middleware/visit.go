package middleware

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// visit is one request's dealings with the store.
type visit struct {
	*Middleware
	request *http.Request
	cookie  string // the id that the request brought, or ""

	mu        sync.Mutex
	session   *Session
	opened    sessionstore.Opened
	err       error // of loading
	committed bool
}

// load loads the session once. A failure is final for this request, or a handler could see two answers.
func (v *visit) load(ctx context.Context) (*Session, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.session != nil || v.err != nil:
		return v.session, v.err
	case v.committed:
		return nil, ErrCommitted
	}
	o := sessionstore.OpenOptions{Lock: v.opts.Concurrency == Lease}
	v.opened, v.err = v.sessions.Open(ctx, v.cookie, o)
	if v.err != nil {
		v.err = fmt.Errorf("load session: %w", v.err)
		return nil, v.err
	}
	payload := v.opened.Session.Payload
	v.session = &Session{id: v.opened.ID, isNew: v.opened.New, format: v.opts.Format, loaded: payload, payload: payload}
	return v.session, nil
}

// commit stores the session and adds the cookie to the header. Only the first call does anything. Nothing of the
// session changes afterwards, whether it succeeds or not.
func (v *visit) commit(header http.Header) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.committed {
		return nil
	}
	v.committed = true
	if v.session == nil {
		return nil
	}
	ctx, cancel := v.context()
	defer cancel()
	s := v.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = true
	cookie, err := v.store(ctx, s)
	if err != nil {
		return err
	}
	if cookie != nil {
		header.Add("Set-Cookie", cookie.String())
		header.Add("Cache-Control", `no-cache="Set-Cookie"`)
	}
	return nil
}

// store does what the handler asked for, and returns the cookie to send, if any.
func (v *visit) store(ctx context.Context, s *Session) (*http.Cookie, error) {
	if s.destroyed {
		return v.destroy(ctx, s)
	}
	payload, err := s.encode()
	if err != nil {
		return nil, err
	}
	switch {
	case s.isNew && len(payload) == 0:
		return nil, nil
	case s.fresh && !s.isNew:
		return v.regenerate(ctx, s, payload)
	case !s.isNew && bytes.Equal(payload, s.loaded):
		return v.touch(ctx, s), nil
	}
	return v.write(ctx, s, payload)
}

func (v *visit) destroy(ctx context.Context, s *Session) (*http.Cookie, error) {
	if !s.isNew {
		if err := v.sessions.Destroy(ctx, s.id); err != nil {
			return nil, fmt.Errorf("destroy session: %w", err)
		}
	}
	if v.cookie == "" {
		return nil, nil
	}
	return v.opts.cookie("", -1), nil
}

func (v *visit) write(ctx context.Context, s *Session, payload []byte) (*http.Cookie, error) {
	w := sessionstore.WriteOptions{
		Payload: payload, Idle: v.opts.MaxAge,
		IfVersion: v.opened.Session.Version, Token: v.opened.Lease.Token, Release: v.opened.Lease.Token != 0,
	}
	if v.opts.Concurrency == LastWriterWins && !s.isNew {
		w.IfVersion = sessionstore.AnyVersion
	}
	if _, err := v.sessions.Write(ctx, s.id, w); err != nil {
		return nil, fmt.Errorf("save session: %w", err)
	}
	v.opened.Lease.Token = 0
	return v.refreshed(s), nil
}

// refreshed returns the cookie if the browser does not have it, or not for long enough.
func (v *visit) refreshed(s *Session) *http.Cookie {
	if s.id == v.cookie && v.opts.MaxAge == 0 {
		return nil
	}
	return v.opts.cookie(s.id, int(v.opts.MaxAge/time.Second))
}

// touch keeps an unchanged session alive. If that fails the visitor has lost nothing yet.
func (v *visit) touch(ctx context.Context, s *Session) *http.Cookie {
	err := v.sessions.Touch(ctx, s.id, sessionstore.TouchOptions{Idle: v.opts.MaxAge, Release: v.opened.Lease.Token})
	switch {
	case err == nil:
		v.opened.Lease.Token = 0
	case errors.Is(err, sessionstore.ErrNotFound), errors.Is(err, sessionstore.ErrDestroyed):
		return nil // another request ended it
	default:
		v.opts.Logger.Warn("session was not kept alive", "session", v.opened.Session.Key, "error", err)
	}
	return v.refreshed(s)
}

// regenerate stores the session under a new id, and only then destroys the old one.
func (v *visit) regenerate(ctx context.Context, s *Session, payload []byte) (*http.Cookie, error) {
	old := s.id
	if err := v.unchanged(ctx, old); err != nil {
		return nil, err
	}
	id := sessionstore.NewID()
	if _, err := v.sessions.Write(ctx, id, sessionstore.WriteOptions{Payload: payload, Idle: v.opts.MaxAge}); err != nil {
		return nil, fmt.Errorf("save session under a new id: %w", err)
	}
	if err := v.sessions.Destroy(ctx, old); err != nil {
		return nil, fmt.Errorf("destroy session under its old id: %w", err)
	}
	s.id = id
	return v.refreshed(s), nil
}

// unchanged fails if another request stored the session meanwhile, where that is not to be overwritten. The new id is
// written without the version and the lease of the old one, so they have to be checked apart.
func (v *visit) unchanged(ctx context.Context, id string) error {
	if v.opts.Concurrency == LastWriterWins {
		return nil
	}
	stored, err := v.sessions.Read(ctx, id)
	if err != nil {
		return fmt.Errorf("save session under a new id: %w", err)
	}
	if stored.Version != v.opened.Session.Version {
		return fmt.Errorf("save session under a new id: %w", sessionstore.ErrConflict)
	}
	return nil
}

// release gives the lease back.
func (v *visit) release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.committed = true
	token := v.opened.Lease.Token
	if token == 0 {
		return
	}
	v.opened.Lease.Token = 0
	ctx, cancel := v.context()
	defer cancel()
	if err := v.sessions.Close(ctx, v.opened.ID, token); err != nil {
		v.opts.Logger.Warn("session's lease was not released and will run out", "session", v.opened.Session.Key, "error", err)
	}
}

func (v *visit) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(v.request.Context()), v.opts.Timeout)
}
