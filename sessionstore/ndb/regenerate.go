package ndb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

var errSelf = fmt.Errorf("%w: a session cannot be regenerated into itself", sessionstore.ErrInvalid)

// regenerate moves a session in a transaction.
func (t transaction) regenerate(ctx context.Context, old, new sessionstore.Key, g sessionstore.Regenerate, now int64, a *attempt) (sessionstore.Session, error) {
	if a.again { // even if no error left its effect open: to look costs little, and nobody else knows new
		if session, err := t.regenerated(ctx, old, new, now); err != nil || session.Key == new {
			return session, err
		}
	}
	old, from, err := t.resolve(ctx, old, now, t.lockRecord)
	if err != nil {
		return sessionstore.Session{}, err
	}
	switch from.at(now) {
	case tombstone:
		return sessionstore.Session{}, sessionstore.ErrDestroyed
	case nothing:
		return sessionstore.Session{}, sessionstore.ErrNotFound
	}
	remains, err := t.lockRecord(ctx, new)
	if err != nil {
		return sessionstore.Session{}, err
	}
	if remains.at(now) != nothing {
		return sessionstore.Session{}, sessionstore.ErrConflict
	}
	if g.Token != 0 {
		if err := t.moveLease(ctx, old, new, g.Token, now); err != nil {
			return sessionstore.Session{}, err
		}
	}
	session, err := t.readLocked(ctx, old, now)
	if err != nil {
		return sessionstore.Session{}, err
	}
	to := from
	to.Target = nil
	if err := raced(t.replace(ctx, new, remains, to, session.Payload)); err != nil {
		return sessionstore.Session{}, err
	}
	if err := t.replace(ctx, old, from, from.lead(new, g, now), nil); err != nil {
		return sessionstore.Session{}, err
	}
	session.Key = new
	return session, nil
}

// regenerated looks whether a try before this one has moved the session: then a row that old leads to points to new, as
// only that try can have done, for nobody else knows new.
func (t transaction) regenerated(ctx context.Context, old, new sessionstore.Key, now int64) (sessionstore.Session, error) {
	key := old
	for range sessionstore.MaxAliasHops + 1 {
		r, err := t.lockRecord(ctx, key)
		if err != nil || len(r.Target) == 0 {
			return sessionstore.Session{}, err
		}
		if key = r.target(); key != new {
			continue
		}
		session, err := t.readLocked(ctx, new, now)
		if errors.Is(err, sessionstore.ErrNotFound) {
			// Moved, and destroyed or expired under its new key since.
			return session, unavailable("regenerate", time.Second, errors.New("the session was regenerated and has ended since"))
		}
		if err == nil && session.Key != new {
			return session, unavailable("regenerate", time.Second, errors.New("the session was regenerated more than once meanwhile"))
		}
		return session, err
	}
	return sessionstore.Session{}, nil
}
