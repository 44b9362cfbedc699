package ndb

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/api"
)

// Read implements [sessionstore.Store].
func (s *APIStore) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	return apiBatched(ctx, s, s.reads, "read", key, inlineSize, key, s.readAlone(key))
}

// readAlone reads a session, whatever it takes.
func (s *APIStore) readAlone(key sessionstore.Key) apiWork[sessionstore.Session] {
	return func(w api.Worker, _ *attempt) (sessionstore.Session, error) {
		ctx, now := context.Background(), s.clock()
		return apiTransaction(w, key, func(t transaction) (sessionstore.Session, error) {
			for range rereads {
				if session, err := t.read(ctx, key, now); !errors.Is(err, errTorn) {
					return session, err
				}
			}
			return t.readLocked(ctx, key, now)
		})
	}
}

// Write implements [sessionstore.Store].
func (s *APIStore) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	if err := w.Check(); err != nil {
		return 0, err
	}
	if ctx.Done() != nil {
		w.Payload = bytes.Clone(w.Payload) // the caller may leave before the write does
	}
	alone := s.writeAlone(key, w)
	creates := w.IfVersion == 0 && (w.Token != 0 || w.Subject != (sessionstore.Key{}))
	if len(w.Payload) > inlineSize || creates {
		e, err := apiRun(ctx, s, "write", alone)
		return e.version, err
	}
	e, err := apiBatched(ctx, s, s.changes, "write", key, len(w.Payload), change{key: key, write: &w}, alone)
	return e.version, err
}

func (s *APIStore) writeAlone(key sessionstore.Key, w sessionstore.Write) apiWork[effect] {
	return func(worker api.Worker, a *attempt) (effect, error) {
		return apiTransaction(worker, key, func(t transaction) (effect, error) {
			version, err := t.write(context.Background(), key, w, s.clock(), a)
			return effect{version: version}, err
		})
	}
}

// Touch implements [sessionstore.Store].
func (s *APIStore) Touch(ctx context.Context, key sessionstore.Key, o sessionstore.Touch) error {
	if err := o.Check(); err != nil {
		return err
	}
	_, err := apiBatched(ctx, s, s.changes, "touch", key, 0, change{key: key, touch: &o}, func(w api.Worker, a *attempt) (effect, error) {
		return apiTransaction(w, key, func(t transaction) (none effect, err error) {
			return none, t.touch(context.Background(), key, o, s.clock(), a)
		})
	})
	return err
}

// Destroy implements [sessionstore.Store].
func (s *APIStore) Destroy(ctx context.Context, key sessionstore.Key, tombstone time.Duration) error {
	if err := sessionstore.CheckDuration("tombstone time", tombstone); err != nil {
		return err
	}
	_, err := apiBatched(ctx, s, s.changes, "destroy", key, 0, change{key: key, tombstone: tombstone}, func(w api.Worker, _ *attempt) (effect, error) {
		now := s.clock()
		return apiTransaction(w, key, func(t transaction) (none effect, err error) {
			return none, t.destroy(context.Background(), key, now, now+tombstone.Milliseconds())
		})
	})
	return err
}

// Regenerate implements [sessionstore.Store].
func (s *APIStore) Regenerate(ctx context.Context, old, new sessionstore.Key, g sessionstore.Regenerate) (sessionstore.Session, error) {
	if err := g.Check(); err != nil {
		return sessionstore.Session{}, err
	}
	if old == new {
		return sessionstore.Session{}, errSelf
	}
	return apiRun(ctx, s, "regenerate", func(w api.Worker, a *attempt) (sessionstore.Session, error) {
		return apiTransaction(w, old, func(t transaction) (sessionstore.Session, error) {
			return t.regenerate(context.Background(), old, new, g, s.clock(), a)
		})
	})
}

// Lock implements [sessionstore.Store].
func (s *APIStore) Lock(ctx context.Context, key sessionstore.Key, o sessionstore.Lock) (sessionstore.Lease, error) {
	if err := o.Check(); err != nil {
		return sessionstore.Lease{}, err
	}
	e, err := apiBatched(ctx, s, s.changes, "lock", key, 0, change{key: key, lock: &o}, func(w api.Worker, a *attempt) (effect, error) {
		return apiTransaction(w, key, func(t transaction) (effect, error) {
			at := s.now()
			l, err := t.lock(context.Background(), key, newLease(key, o, at, a.stamp), at.UnixMilli())
			return effect{lease: l.granted()}, err
		})
	})
	return e.lease, err
}

// lock takes the lease of a key, if it is to be had.
func (t transaction) lock(ctx context.Context, key sessionstore.Key, l lease, now int64) (lease, error) {
	held, err := t.lockLease(ctx, key)
	if err != nil {
		return lease{}, err
	}
	next, err := held.yield(l, now)
	if err != nil || next == held {
		return next, err
	}
	return next, t.putLeaseOver(ctx, key, held, next)
}

// putLeaseOver puts a lease in the place of another, of which the transaction has locked the row.
func (t transaction) putLeaseOver(ctx context.Context, key sessionstore.Key, before, after lease) error {
	if !before.found {
		return raced(t.insertLease(ctx, key, after))
	}
	return t.updateLease(ctx, key, after)
}

// Leased implements [sessionstore.Store].
func (s *APIStore) Leased(ctx context.Context, key sessionstore.Key) (sessionstore.Lease, error) {
	return apiRun(ctx, s, "leased", func(w api.Worker, _ *attempt) (sessionstore.Lease, error) {
		if err := w.Begin((*[32]byte)(&key)); err != nil {
			return sessionstore.Lease{}, err
		}
		defer w.Rollback()
		l, err := (&apiRows{w: w}).getLease(key, api.Committed)
		if err == nil && (!l.found || l.Ends <= s.clock()) {
			err = sessionstore.ErrNotFound
		}
		if err != nil {
			return sessionstore.Lease{}, err
		}
		return l.granted(), nil
	})
}

// Unlock implements [sessionstore.Store].
func (s *APIStore) Unlock(ctx context.Context, key sessionstore.Key, token uint64) error {
	if token == 0 {
		return ctx.Err() // no lease has that
	}
	_, err := apiBatched(ctx, s, s.changes, "unlock", key, 0, change{key: key, unlock: token}, func(w api.Worker, _ *attempt) (effect, error) {
		return apiTransaction(w, key, func(t transaction) (none effect, err error) {
			return none, t.release(context.Background(), key, token)
		})
	})
	return err
}

// Pass implements [sessionstore.Passer].
func (s *APIStore) Pass(ctx context.Context, key sessionstore.Key, p sessionstore.Pass) (sessionstore.Passed, error) {
	if err := p.Check(); err != nil {
		return sessionstore.Passed{}, err
	}
	write, touch := p.Change()
	if write != nil {
		write.Payload = bytes.Clone(write.Payload) // the caller may leave before the write does
	}
	return apiRun(ctx, s, "pass", func(w api.Worker, a *attempt) (sessionstore.Passed, error) {
		return apiTransaction(w, key, func(t transaction) (sessionstore.Passed, error) {
			at := s.now()
			next := newLease(key, p.Next, at, a.stamp)
			next.Token = max(next.Token, p.Token+1)
			return t.pass(context.Background(), key, p.Token, write, touch, next, at.UnixMilli(), a)
		})
	})
}

// pass makes the last change under a lease, and gives the lease to the next holder if it was the key's own.
func (t transaction) pass(ctx context.Context, key sessionstore.Key, token uint64, w *sessionstore.Write, o *sessionstore.Touch, next lease, now int64, a *attempt) (done sessionstore.Passed, err error) {
	r, err := t.lockRecord(ctx, key) // first: whoever locks both locks them in this order
	if err != nil {
		return done, err
	}
	l, err := t.lockLease(ctx, key)
	if err != nil {
		return done, err
	}
	if l.found && l.Stamp == next.Stamp {
		// A try before this one did it all.
		done.Next, done.Version, done.Expires = l.granted(), r.Version, time.UnixMilli(r.Expires)
		return done, nil
	}
	switch {
	case w != nil:
		done.Expires = time.UnixMilli(now + w.Idle.Milliseconds())
		done.Version, err = t.write(ctx, key, *w, now, a)
	case o != nil:
		done.Expires = time.UnixMilli(now + o.Idle.Milliseconds())
		err = t.touch(ctx, key, *o, now, a)
	}
	if err != nil || !l.holds(token, now) {
		return done, err
	}
	done.Next = next.granted()
	return done, t.updateLease(ctx, key, next)
}
