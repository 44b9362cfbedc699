package ndb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
)

// rereads is how often a read begins again because what it reads was being replaced, before it locks the row.
const rereads = 4

// Read implements [sessionstore.Store].
func (s *Store) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	return batched(ctx, s, s.reads, "read", key, inlineSize, key, s.readAlone(key))
}

// readAlone reads a session, whatever it takes.
func (s *Store) readAlone(key sessionstore.Key) work[sessionstore.Session] {
	return func(ctx context.Context, conn *sqlx.Conn, _ *attempt) (sessionstore.Session, error) {
		now := s.clock()
		for range rereads {
			session, err := transaction{statements{conn}}.read(ctx, key, now)
			if !errors.Is(err, errTorn) {
				return session, err
			}
		}
		return inTransaction(ctx, conn, func(tx statements) (sessionstore.Session, error) {
			return transaction{tx}.readLocked(ctx, key, now)
		})
	}
}

// Write implements [sessionstore.Store].
func (s *Store) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	if err := w.Check(); err != nil {
		return 0, err
	}
	if ctx.Done() != nil {
		w.Payload = bytes.Clone(w.Payload) // the caller may leave before the statement does
	}
	alone := s.writeAlone(key, w)
	if len(w.Payload) > inlineSize || w.Token != 0 && w.IfVersion == 0 {
		e, err := run(ctx, s, "write", alone)
		return e.version, err
	}
	e, err := batched(ctx, s, s.changes, "write", key, len(w.Payload), change{key: key, write: &w, alone: alone}, alone)
	return e.version, err
}

// effect is what a change gives back: the version that a write made, or a lease.
type effect struct {
	version uint64
	lease   sessionstore.Lease
}

// writeAlone writes a session, whatever it takes.
func (s *Store) writeAlone(key sessionstore.Key, w sessionstore.Write) work[effect] {
	return func(ctx context.Context, conn *sqlx.Conn, a *attempt) (effect, error) {
		version, err := statements{conn}.writeAny(ctx, key, w, nil, s.clock(), a)
		return effect{version: version}, err
	}
}

// writeAny writes fast where that can be, and else in a transaction. An heir gets the lease that the write ends, if it is
// fast.
func (s statements) writeAny(ctx context.Context, key sessionstore.Key, w sessionstore.Write, heir *heir, now int64, a *attempt) (uint64, error) {
	version, done, err := s.writeFast(ctx, key, w, heir, now, a)
	if done || err != nil {
		return version, err
	}
	return atomically(ctx, s, func(tx statements) (uint64, error) { return transaction{tx}.write(ctx, key, w, now, a) })
}

// writeFast writes by one guarded statement, or two under a lease, where that can be; done tells whether it came to a
// result.
func (s statements) writeFast(ctx context.Context, key sessionstore.Key, w sessionstore.Write, heir *heir, now int64, a *attempt) (version uint64, done bool, err error) {
	if len(w.Payload) > inlineSize {
		return 0, false, nil
	}
	var r record
	if w.IfVersion == sessionstore.AnyVersion {
		// An unguarded UPDATE would save this read. But if it hung in an SQL node and was repeated elsewhere, it could
		// come alive later and overwrite what was written since.
		if r, err = s.record(ctx, key); err != nil || r.at(now) == alias {
			return 0, false, err
		}
		if r.found && r.Stamp == a.stamp {
			return r.Version, true, nil // by a try before this one
		}
	}
	switch {
	case w.IfVersion == 0, w.IfVersion == sessionstore.AnyVersion && !r.found:
		if w.Subject != (sessionstore.Key{}) || w.Token != 0 {
			return 0, false, nil // that is two rows
		}
		r = record{}
		if r, err = r.write(w, now, a.stamp); err != nil {
			return 0, false, err
		}
		if err = s.insert(ctx, key, r, w.Payload); err == nil {
			return r.Version, true, nil
		}
		if !isDuplicate(err) {
			return 0, false, err
		}
	case w.IfVersion != sessionstore.AnyVersion, r.at(now) == live && r.Chunks == 0:
		base := w.IfVersion
		if r.found {
			base = r.Version
		}
		ok, err := s.advanceUnder(ctx, key, base, a.stamp, now, w, heir)
		if ok || err != nil {
			return base + 1, ok, err
		}
	}
	return s.refuse(ctx, key, w, now, a)
}

// refuse looks why a fast write found nothing to do. If that makes an answer, it is done; if not, the write takes the
// slow path.
func (s statements) refuse(ctx context.Context, key sessionstore.Key, w sessionstore.Write, now int64, a *attempt) (version uint64, done bool, err error) {
	r, err := s.record(ctx, key)
	if err != nil || r.at(now) == alias {
		return 0, false, err
	}
	if r.found && r.Stamp == a.stamp {
		return r.Version, true, nil
	}
	_, err = r.write(w, now, a.stamp)
	return 0, false, a.refusal(r, w, err)
}

// refusal returns the error with which a write is refused: if a try before this one may have taken effect, and what lies
// there now does not rule it out, then "refused" would be a lie.
func (a *attempt) refusal(r record, w sessionstore.Write, err error) error {
	if err == nil || !a.uncertain {
		return err
	}
	// A conditional write could only have made the version after IfVersion. That is still to come, or another made it.
	if w.IfVersion != sessionstore.AnyVersion && r.found && r.Version <= w.IfVersion+1 && r.Stamp != a.stamp {
		return err
	}
	// The text of the refusal only: who asks whether this is a conflict must not hear yes.
	return unavailable("write", time.Second, fmt.Errorf("the connection was lost and the session changed since, whether the write took effect is unknown; now: %v", err))
}

// raced makes a duplicate key a reason to begin again: where there was no row, none could be locked.
func raced(err error) error {
	if isDuplicate(err) {
		return errRace
	}
	return err
}

// Touch implements [sessionstore.Store].
func (s *Store) Touch(ctx context.Context, key sessionstore.Key, t sessionstore.Touch) error {
	if err := t.Check(); err != nil {
		return err
	}
	alone := s.touchAlone(key, t)
	_, err := batched(ctx, s, s.changes, "touch", key, 0, change{key: key, touch: &t, alone: alone}, alone)
	return err
}

// touchAlone touches a session, whatever it takes.
func (s *Store) touchAlone(key sessionstore.Key, t sessionstore.Touch) work[effect] {
	return func(ctx context.Context, conn *sqlx.Conn, a *attempt) (effect, error) {
		return effect{}, statements{conn}.touchAny(ctx, key, t, nil, s.clock(), a)
	}
}

// touchAny touches fast where that can be, and else in a transaction. An heir gets the lease that the touch ends, if it is
// fast.
func (s statements) touchAny(ctx context.Context, key sessionstore.Key, t sessionstore.Touch, heir *heir, now int64, a *attempt) error {
	done, err := s.touchFast(ctx, key, t, heir, now, a)
	if done || err != nil {
		return err
	}
	_, err = atomically(ctx, s, func(tx statements) (none struct{}, err error) {
		return none, transaction{tx}.touch(ctx, key, t, now, a)
	})
	return err
}

// touchFast touches by one guarded statement, or two if it ends a lease, where that can be; done tells whether it came to
// a result. It looks before a coarse touch, which is mostly not needed.
func (s statements) touchFast(ctx context.Context, key sessionstore.Key, t sessionstore.Touch, heir *heir, now int64, a *attempt) (done bool, err error) {
	for look := t.Coarse > 0; ; look = true {
		if look {
			r, err := s.record(ctx, key)
			if err != nil || r.at(now) == alias {
				return false, err
			}
			after, err := r.touch(t, now, a.stamp)
			if err != nil || r.at(now) != live {
				return false, err
			}
			if r.Expires == after.Expires {
				return true, s.endLease(ctx, key, t.Release, heir, now)
			}
		}
		ok, err := s.prolongAndEnd(ctx, key, now, t, heir)
		if ok || err != nil || look {
			return ok, err
		}
	}
}

// Destroy implements [sessionstore.Store].
func (s *Store) Destroy(ctx context.Context, key sessionstore.Key, tombstone time.Duration) error {
	if err := sessionstore.CheckDuration("tombstone time", tombstone); err != nil {
		return err
	}
	alone := s.destroyAlone(key, tombstone)
	_, err := batched(ctx, s, s.changes, "destroy", key, 0, change{key: key, tombstone: tombstone, alone: alone}, alone)
	return err
}

// destroyAlone ends a session, whatever it takes.
func (s *Store) destroyAlone(key sessionstore.Key, tombstone time.Duration) work[effect] {
	return func(ctx context.Context, conn *sqlx.Conn, _ *attempt) (effect, error) {
		now := s.clock()
		until := now + tombstone.Milliseconds()
		ok, err := statements{conn}.buryLive(ctx, key, until)
		if ok || err != nil {
			return effect{}, err
		}
		return inTransaction(ctx, conn, func(tx statements) (effect, error) {
			return effect{}, transaction{tx}.destroy(ctx, key, now, until)
		})
	}
}

// Regenerate implements [sessionstore.Store].
func (s *Store) Regenerate(ctx context.Context, old, new sessionstore.Key, g sessionstore.Regenerate) (sessionstore.Session, error) {
	if err := g.Check(); err != nil {
		return sessionstore.Session{}, err
	}
	if old == new {
		return sessionstore.Session{}, errSelf
	}
	return run(ctx, s, "regenerate", func(ctx context.Context, conn *sqlx.Conn, a *attempt) (sessionstore.Session, error) {
		return inTransaction(ctx, conn, func(tx statements) (sessionstore.Session, error) {
			return transaction{tx}.regenerate(ctx, old, new, g, s.clock(), a)
		})
	})
}
