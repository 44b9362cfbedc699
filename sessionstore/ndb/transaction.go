package ndb

import (
	"context"
	"errors"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// tables are the rows of the store, as an executor reaches them: by SQL statements or by the NDB API. All that is done by one
// tables happens in one transaction, unless nothing is locked or changed. Rows that are not there are not errors of reads.
type tables interface {
	// record reads the row of a key without its payload; lockRecord also locks it until the transaction ends, if there
	// is one.
	record(ctx context.Context, key sessionstore.Key) (record, error)
	lockRecord(ctx context.Context, key sessionstore.Key) (record, error)
	// recordAndHead reads the row of a key with the first part of its payload; lockRecordAndHead also locks it.
	recordAndHead(ctx context.Context, key sessionstore.Key) (record, []byte, error)
	lockRecordAndHead(ctx context.Context, key sessionstore.Key) (record, []byte, error)
	// chunks appends the chunks of a record to the first part of its payload. The error is errTorn if they are gone.
	chunks(ctx context.Context, key sessionstore.Key, r record, payload []byte) ([]byte, error)

	// insert adds the row of a key, with the first part of the payload. See isDuplicate for its error if there is one.
	insert(ctx context.Context, key sessionstore.Key, r record, payload []byte) error
	// update rewrites the whole row of a key, which the transaction has locked.
	update(ctx context.Context, key sessionstore.Key, r record, payload []byte) error
	insertChunks(ctx context.Context, key sessionstore.Key, r record, payload []byte) error
	deleteChunks(ctx context.Context, key sessionstore.Key, r record) error
	// moveSubject makes the rows of subject what two records of a key differ in.
	moveSubject(ctx context.Context, key sessionstore.Key, before, after record) error
	// prolong moves the expiry of a session, but not past its deadline, and reports whether there was one.
	prolong(ctx context.Context, key sessionstore.Key, now, expires int64) (bool, error)

	// lockLease reads the latest lease of a key and locks it.
	lockLease(ctx context.Context, key sessionstore.Key) (lease, error)
	insertLease(ctx context.Context, key sessionstore.Key, l lease) error
	updateLease(ctx context.Context, key sessionstore.Key, l lease) error
	deleteLease(ctx context.Context, key sessionstore.Key) error
	// release ends the key's latest lease if it has this token, which 0 is never.
	release(ctx context.Context, key sessionstore.Key, token uint64) error
}

// transaction does in one transaction what changes of sessions take. It is the same whoever executes it.
type transaction struct{ tables }

// read reads a session and its payload.
func (t transaction) read(ctx context.Context, key sessionstore.Key, now int64) (sessionstore.Session, error) {
	session, dangling, err := t.readBy(ctx, key, now, t.recordAndHead)
	if dangling {
		// NDB commits each data node's rows by themselves. So the alias that a regenerate makes can be seen before the
		// session that it leads to, for as long as nodes take over from one that failed.
		return sessionstore.Session{}, errTorn
	}
	return session, err
}

// readLocked reads a session whose row nobody changes meanwhile. It reads under the lock: what is committed is seen on one
// replica before it is on another, and without a lock NDB reads any of them.
func (t transaction) readLocked(ctx context.Context, key sessionstore.Key, now int64) (sessionstore.Session, error) {
	session, _, err := t.readBy(ctx, key, now, t.lockRecordAndHead)
	return session, err
}

// readBy reads a session, each row by get. An alias is dangling if there is no row that it leads to.
func (t transaction) readBy(ctx context.Context, key sessionstore.Key, now int64,
	get func(context.Context, sessionstore.Key) (record, []byte, error)) (session sessionstore.Session, dangling bool, err error) {
	var payload []byte
	at, r, err := t.resolve(ctx, key, now, func(ctx context.Context, key sessionstore.Key) (r record, err error) {
		r, payload, err = get(ctx, key)
		return r, err
	})
	if err != nil {
		return session, false, err
	}
	if r.at(now) != live {
		return session, at != key && !r.found, sessionstore.ErrNotFound
	}
	if payload, err = t.chunks(ctx, at, r, payload); err != nil {
		return session, false, err
	}
	return r.session(at, payload), false, nil
}

// resolve follows aliases to the key that a session lives under, reading each row by get.
func (t transaction) resolve(ctx context.Context, key sessionstore.Key, now int64,
	get func(context.Context, sessionstore.Key) (record, error)) (sessionstore.Key, record, error) {
	for range sessionstore.MaxAliasHops + 1 {
		r, err := get(ctx, key)
		if err != nil || r.at(now) != alias {
			return key, r, err
		}
		key = r.target()
	}
	return key, record{}, errHops
}

// write writes in a transaction, whatever it takes.
func (t transaction) write(ctx context.Context, key sessionstore.Key, w sessionstore.Write, now int64, a *attempt) (uint64, error) {
	key, before, err := t.resolve(ctx, key, now, t.lockRecord)
	if err != nil {
		return 0, err
	}
	if before.found && before.Stamp == a.stamp {
		return before.Version, nil
	}
	after, err := before.write(w, now, a.stamp)
	if err == nil && w.Token != 0 {
		_, err = t.held(ctx, key, w.Token, now)
	}
	if err != nil {
		if isContract(err) {
			err = a.refusal(before, w, err)
		}
		return 0, err
	}
	if err := raced(t.replace(ctx, key, before, after, w.Payload)); err != nil || !w.Release {
		return after.Version, err
	}
	return after.Version, t.release(ctx, key, w.Token)
}

// touch touches in a transaction, whatever it takes.
func (t transaction) touch(ctx context.Context, given sessionstore.Key, o sessionstore.Touch, now int64, a *attempt) error {
	key, before, err := t.resolve(ctx, given, now, t.lockRecord)
	if err != nil {
		return err
	}
	after, err := before.touch(o, now, a.stamp)
	switch {
	case err != nil:
		return err
	case before.at(now) != live:
		err = raced(t.replace(ctx, key, before, after, nil))
	case before.Expires != after.Expires:
		_, err = t.prolong(ctx, key, now, now+o.Idle.Milliseconds())
	}
	if err != nil {
		return err
	}
	if err := t.release(ctx, key, o.Release); err != nil || key == given {
		return err
	}
	return t.release(ctx, given, o.Release)
}

// replace puts a record with its payload in the place of another, of which the transaction has locked the row.
func (t transaction) replace(ctx context.Context, key sessionstore.Key, before, after record, payload []byte) error {
	if err := t.deleteChunks(ctx, key, before); err != nil {
		return err
	}
	put := t.update
	if !before.found {
		put = t.insert
	}
	if err := put(ctx, key, after, payload); err != nil {
		return err
	}
	if err := t.moveSubject(ctx, key, before, after); err != nil {
		return err
	}
	return t.insertChunks(ctx, key, after, payload)
}

// held returns the key's latest lease and locks it, so that nobody takes it before the transaction ends. The error is
// ErrConflict unless the token is this lease's.
func (t transaction) held(ctx context.Context, key sessionstore.Key, token uint64, now int64) (lease, error) {
	l, err := t.lockLease(ctx, key)
	if err == nil && !l.holds(token, now) {
		err = sessionstore.ErrConflict
	}
	return l, err
}

// moveLease makes the lease with this token that of another key. The error is ErrConflict if it is not old's latest.
func (t transaction) moveLease(ctx context.Context, old, new sessionstore.Key, token uint64, now int64) error {
	l, err := t.held(ctx, old, token, now)
	if err != nil {
		return err
	}
	if err := errors.Join(t.release(ctx, old, token), t.deleteLease(ctx, new)); err != nil {
		return err
	}
	return raced(t.insertLease(ctx, new, l))
}

// destroy ends what lives under a key, and leaves a tombstone.
func (t transaction) destroy(ctx context.Context, key sessionstore.Key, now, until int64) error {
	key, before, err := t.resolve(ctx, key, now, t.lockRecord)
	if err != nil {
		return err
	}
	return raced(t.replace(ctx, key, before, before.bury(until), nil))
}

// destroyOf destroys a session that lives under a key, if it is the subject's, and returns 1 if it did.
func (t transaction) destroyOf(ctx context.Context, key, subject sessionstore.Key, grave time.Duration, now int64, a *attempt) (int, error) {
	r, err := t.lockRecord(ctx, key)
	switch {
	case err != nil:
		return 0, err
	case a.uncertain && r.at(now) == tombstone:
		return 1, nil // by a try before this one
	case r.at(now) != live || r.subject() != subject:
		return 0, nil
	}
	return 1, t.replace(ctx, key, r, r.bury(now+grave.Milliseconds()), nil)
}

// take puts an imported session where its key leads.
func (t transaction) take(ctx context.Context, x sessionstore.Session, replace bool, now int64, a *attempt) error {
	before, err := t.lockRecord(ctx, x.Key)
	if err != nil || before.found && before.Stamp == a.stamp {
		return err // what an earlier try did
	}
	after, err := before.take(x, replace, now, a.stamp)
	if err != nil {
		return err
	}
	return raced(t.replace(ctx, x.Key, before, after, x.Payload))
}
