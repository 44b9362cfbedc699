// Package scsstore keeps the sessions of github.com/alexedwards/scs in lvsession: a [Store] takes the place of its
// memstore, redisstore or postgresstore, and nothing else changes.
//
//	manager := scs.New()
//	manager.Store = scsstore.New(shop)
//
// # What to know
//
//   - Tokens become session ids: base64's underscore, which ids do not have, becomes the comma, which tokens do not have.
//     A token that no scs made, or one of fewer than 22 characters, is not found.
//   - A session lives until the expiry that scs asks for, and no longer than the service's policy lets it.
//   - The last writer wins, as in every scs store, so the namespace's locking must be client or none.
//   - A destroyed session stays destroyed: what a request still under way commits under its token is dropped, as if it
//     had been committed just before. Other stores bring the session back to life.
//   - Commits and deletes do not end with the request's context: what a handler did is stored even when its visitor is
//     gone.
//   - Iterate and the like are not supported: a session's id cannot be got back from the store.
package scsstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/lvsession/lvsession/sessionstore"
)

// Store is an [scs.CtxStore]. Timeout may be changed before it is first used; the methods may then be called
// concurrently.
type Store struct {
	// Timeout is how long a commit or a delete may take, and a find without a context. Default 10 s.
	Timeout time.Duration

	sessions sessionstore.Sessions
}

var _ scs.CtxStore = (*Store)(nil)

// New returns a store over the sessions of a namespace: those of a [sessionstore.Service] in this process or of a
// client. Errors of its methods wrap those of [sessionstore.Sessions].
func New(s sessionstore.Sessions) *Store {
	return &Store{Timeout: 10 * time.Second, sessions: s}
}

// FindCtx implements [scs.CtxStore].
func (s *Store) FindCtx(ctx context.Context, token string) (b []byte, found bool, err error) {
	id, ok := idOf(token)
	if !ok {
		return nil, false, nil
	}
	stored, err := s.sessions.Read(ctx, id)
	switch {
	case errors.Is(err, sessionstore.ErrNotFound), errors.Is(err, sessionstore.ErrDestroyed):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("find session: %w", err)
	}
	return stored.Payload, true, nil
}

// CommitCtx implements [scs.CtxStore].
func (s *Store) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	id, ok := idOf(token)
	if !ok {
		return fmt.Errorf("commit session: %w: not a token of scs", sessionstore.ErrInvalid)
	}
	ctx, cancel := s.context(ctx)
	defer cancel()
	idle := min(max(time.Until(expiry), time.Millisecond), sessionstore.MaxDuration)
	_, err := s.sessions.Write(ctx, id, sessionstore.WriteOptions{Payload: b, IfVersion: sessionstore.AnyVersion, Idle: idle})
	if err != nil && !errors.Is(err, sessionstore.ErrDestroyed) {
		return fmt.Errorf("commit session: %w", err)
	}
	return nil
}

// DeleteCtx implements [scs.CtxStore].
func (s *Store) DeleteCtx(ctx context.Context, token string) error {
	id, ok := idOf(token)
	if !ok {
		return nil
	}
	ctx, cancel := s.context(ctx)
	defer cancel()
	if err := s.sessions.Destroy(ctx, id); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}

// Find implements [scs.Store].
func (s *Store) Find(token string) (b []byte, found bool, err error) {
	ctx, cancel := s.context(context.Background())
	defer cancel()
	return s.FindCtx(ctx, token)
}

// Commit implements [scs.Store].
func (s *Store) Commit(token string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, b, expiry)
}

// Delete implements [scs.Store].
func (s *Store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

func (s *Store) context(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.Timeout)
}

// idOf returns the session id for a token, a different one for each.
func idOf(token string) (id string, ok bool) {
	if strings.Contains(token, ",") {
		return "", false
	}
	id = strings.ReplaceAll(token, "_", ",")
	return id, sessionstore.CheckID(id) == nil
}
