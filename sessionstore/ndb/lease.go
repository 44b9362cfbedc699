package ndb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
)

// lease is the latest lock of a key. It ends at Ends, Unix milliseconds; 0 means that it was released.
type lease struct {
	Token uint64 `db:"token"`
	Stamp uint64 `db:"stamp"`
	Owner uint64 `db:"owner"`
	Ends  int64  `db:"ends"`
	Due   int64  `db:"due"`

	found bool
}

// What the statements on leases name, in one order.
const (
	leaseColumns = "token, stamp, owner, ends, due"
	leaseSet     = "token = ?, stamp = ?, owner = ?, ends = ?, due = ?"
)

// values are those of leaseColumns.
func (l lease) values() []any { return []any{l.Token, l.Stamp, l.Owner, l.Ends, l.Due} }

// dueOfLease is the purge time of a lease.
func dueOfLease(ends int64) int64 { return due(ends + retention) }

// retention is sessionstore.LeaseRetention in milliseconds.
const retention = int64(sessionstore.LeaseRetention / time.Millisecond)

// newLease returns the lease that a lock takes at an instant, unless its token has to be greater.
func newLease(key sessionstore.Key, o sessionstore.Lock, at time.Time, stamp uint64) lease {
	l := lease{Token: tokenAt(at, key), Stamp: stamp, Owner: o.Owner, Ends: at.UnixMilli() + o.TTL.Milliseconds()}
	l.Due = dueOfLease(l.Ends)
	return l
}

// tokenAt is the token of a lease that is taken at an instant, if that is greater than the last one of its key. The key
// shifts it a little, so that two keys of one session, locked at once, have different tokens.
func tokenAt(now time.Time, key sessionstore.Key) uint64 {
	return uint64(now.UnixMicro()) + uint64(binary.BigEndian.Uint16(key[:]))
}

// tokenOfRow, with the time in microseconds before a +, is the same in SQL.
const tokenOfRow = "CAST(CONV(HEX(LEFT(id, 2)), 16, 10) AS UNSIGNED)"

// holds tells whether the token is of the lease, and that was neither released nor is to be forgotten, collected or not.
func (l lease) holds(token uint64, now int64) bool {
	return l.found && l.Token == token && l.Ends != 0 && now < l.Ends+retention
}

func (l lease) granted() sessionstore.Lease {
	return sessionstore.Lease{Token: l.Token, Owner: l.Owner, Until: time.UnixMilli(l.Ends)}
}

// Lock implements [sessionstore.Store].
func (s *Store) Lock(ctx context.Context, key sessionstore.Key, o sessionstore.Lock) (sessionstore.Lease, error) {
	if err := o.Check(); err != nil {
		return sessionstore.Lease{}, err
	}
	alone := s.lockAlone(key, o)
	e, err := batched(ctx, s, s.changes, "lock", key, 0, change{key: key, lock: &o, alone: alone}, alone)
	return e.lease, err
}

// lockAlone takes a lease, whatever it takes.
func (s *Store) lockAlone(key sessionstore.Key, o sessionstore.Lock) work[effect] {
	return func(ctx context.Context, conn *sqlx.Conn, a *attempt) (effect, error) {
		at := s.now()
		l, err := statements{conn}.lock(ctx, key, newLease(key, o, at, a.stamp), at.UnixMilli())
		return effect{lease: l}, err
	}
}

// relocks is how often a lock looks again because the lease changed between two statements.
const relocks = 20

// lock takes the lease, or finds out who has it. l.Token is what the token should be, if it is not taken.
func (s statements) lock(ctx context.Context, key sessionstore.Key, l lease, now int64) (sessionstore.Lease, error) {
	for range relocks {
		ok, err := s.takeLease(ctx, key, l, now)
		if err != nil || ok {
			return l.granted(), err
		}
		held, err := s.lease(ctx, key, "")
		if err != nil {
			return sessionstore.Lease{}, err
		}
		if !held.found {
			if err := s.insertLease(ctx, key, l); !isDuplicate(err) {
				return l.granted(), err
			}
			continue
		}
		if l, err = held.yield(l, now); err != nil {
			return sessionstore.Lease{}, err
		}
		if l == held {
			return l.granted(), nil
		}
	}
	return sessionstore.Lease{}, errRace
}

// yield decides what becomes of a lease that another wants to take the place of: it stays if an earlier try of the same lock
// took it, and the error is a LockedError if it has not ended. Else the other's token is made greater, if it has to be: the
// clock that gave the last one was ahead of ours.
func (l lease) yield(to lease, now int64) (lease, error) {
	switch {
	case l.found && l.Stamp == to.Stamp:
		return l, nil
	case l.found && l.Ends > now:
		return lease{}, &sessionstore.LockedError{Until: time.UnixMilli(l.Ends)}
	case l.found:
		to.Token = max(to.Token, l.Token+1)
	}
	return to, nil
}

// Leased implements [sessionstore.Store].
func (s *Store) Leased(ctx context.Context, key sessionstore.Key) (sessionstore.Lease, error) {
	return run(ctx, s, "leased", func(ctx context.Context, conn *sqlx.Conn, _ *attempt) (sessionstore.Lease, error) {
		now := s.clock()
		l, err := statements{conn}.lease(ctx, key, "")
		switch {
		case err != nil:
			return sessionstore.Lease{}, err
		case !l.found || l.Ends <= now:
			return sessionstore.Lease{}, sessionstore.ErrNotFound
		}
		return l.granted(), nil
	})
}

// takeLease replaces a lease that has ended, if its token is smaller, and reports whether there was one.
func (s statements) takeLease(ctx context.Context, key sessionstore.Key, l lease, now int64) (bool, error) {
	n, err := s.exec(ctx, prepared+"UPDATE lease SET "+leaseSet+" WHERE id = ? AND ends <= ? AND token < ?",
		append(l.values(), key[:], now, l.Token)...)
	return n > 0, err
}

func (s statements) insertLease(ctx context.Context, key sessionstore.Key, l lease) error {
	_, err := s.exec(ctx, prepared+"INSERT INTO lease ("+leaseColumns+", id) VALUES (?, ?, ?, ?, ?, ?)", append(l.values(), key[:])...)
	return err
}

// lease reads the latest lease of a key; with "FOR UPDATE" it locks the row.
func (s statements) lease(ctx context.Context, key sessionstore.Key, lock string) (l lease, err error) {
	err = s.q.GetContext(ctx, &l, prepared+"SELECT "+leaseColumns+" FROM lease WHERE id = ? "+lock, key[:])
	if errors.Is(err, sql.ErrNoRows) {
		return lease{}, nil
	}
	l.found = err == nil
	return l, err
}

// lockLease implements [tables].
func (s statements) lockLease(ctx context.Context, key sessionstore.Key) (lease, error) {
	return s.lease(ctx, key, "FOR UPDATE")
}

// updateLease puts a lease in the place of another, of which the transaction has locked the row.
func (s statements) updateLease(ctx context.Context, key sessionstore.Key, l lease) error {
	_, err := s.exec(ctx, "UPDATE lease SET "+leaseSet+" WHERE id = ?", append(l.values(), key[:])...)
	return err
}

func (s statements) deleteLease(ctx context.Context, key sessionstore.Key) error {
	_, err := s.exec(ctx, "DELETE FROM lease WHERE id = ?", key[:])
	return err
}

// Unlock implements [sessionstore.Store].
func (s *Store) Unlock(ctx context.Context, key sessionstore.Key, token uint64) error {
	if token == 0 {
		return ctx.Err() // no lease has that
	}
	alone := s.unlockAlone(key, token)
	_, err := batched(ctx, s, s.changes, "unlock", key, 0, change{key: key, unlock: token, alone: alone}, alone)
	return err
}

// unlockAlone ends a lease.
func (s *Store) unlockAlone(key sessionstore.Key, token uint64) work[effect] {
	return func(ctx context.Context, conn *sqlx.Conn, _ *attempt) (effect, error) {
		return effect{}, statements{conn}.release(ctx, key, token)
	}
}

// release ends the key's latest lease if it has this token, which 0 is never.
func (s statements) release(ctx context.Context, key sessionstore.Key, token uint64) error {
	if token == 0 {
		return nil
	}
	_, err := s.exec(ctx, prepared+"UPDATE lease SET ends = 0 WHERE id = ? AND token = ?", key[:], token)
	return err
}
