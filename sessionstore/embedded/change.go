package embedded

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Write implements [sessionstore.Store].
func (s *Store) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	if err := w.Check(); err != nil {
		return 0, err
	}
	var version uint64
	c := write{key: key, payload: newPayload(w.Payload), Write: w}
	c.Write.Payload = nil // the caller's again once it has left
	err := s.submit(ctx, &operation{
		name: "write", key: &key, size: len(w.Payload), grows: true,
		evaluate: func(v *view, now int64) (err error) {
			version, err = c.evaluate(v, now)
			return err
		},
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}

// write is one waiting Write.
type write struct {
	sessionstore.Write
	key     sessionstore.Key
	payload []byte // with room for its stamp
}

func (w *write) evaluate(v *view, now int64) (version uint64, err error) {
	key, c, err := v.resolve(w.key, now)
	if err != nil {
		return 0, err
	}
	state := c.at(now)
	switch {
	case state == tombstone:
		return 0, sessionstore.ErrDestroyed
	case state == nothing && w.IfVersion != 0 && w.IfVersion != sessionstore.AnyVersion:
		return 0, sessionstore.ErrNotFound
	case state == live && w.IfVersion != c.version && w.IfVersion != sessionstore.AnyVersion:
		return 0, sessionstore.ErrConflict
	}
	if err := v.allow(key, w.Token, now); err != nil {
		return 0, err
	}
	if state == nothing {
		c.create(now, w.Absolute, w.Namespace)
	}
	c.version++
	c.encoding = w.Encoding
	if w.Subject != (sessionstore.Key{}) {
		c.subject = w.Subject
	}
	c.size = uint32(len(w.payload) - stampSize)
	c.payload = w.payload
	c.extend(now, w.Idle)
	v.put(c)
	if w.Release {
		err = v.release(key, w.Token, now) // cannot fail: allow has read the lease
	}
	return c.version, err
}

// Touch implements [sessionstore.Store].
func (s *Store) Touch(ctx context.Context, key sessionstore.Key, t sessionstore.Touch) error {
	if err := t.Check(); err != nil {
		return err
	}
	op := &operation{name: "touch", key: &key, grows: true}
	op.evaluate = func(v *view, now int64) error {
		moved, err := v.touch(key, t, now)
		op.lazy = !moved // at most it has released a lease, see Unlock
		return err
	}
	return s.submit(ctx, op)
}

// touch tells whether it has moved the session's expiry.
func (v *view) touch(given sessionstore.Key, t sessionstore.Touch, now int64) (moved bool, err error) {
	key, c, err := v.resolve(given, now)
	if err != nil {
		return false, err
	}
	state := c.at(now)
	switch {
	case state == tombstone:
		return false, sessionstore.ErrDestroyed
	case state == nothing && !t.Create:
		return false, sessionstore.ErrNotFound
	}
	for _, key := range []sessionstore.Key{given, key} {
		if err := v.release(key, t.Release, now); err != nil {
			return false, err
		}
	}
	switch {
	case state == nothing:
		c.create(now, t.Absolute, t.Namespace)
		c.version++
	case t.Within(c.expires, c.wanted(now, t.Idle)):
		return false, nil
	}
	c.extend(now, t.Idle)
	v.put(c)
	return true, nil
}

// Destroy implements [sessionstore.Store].
func (s *Store) Destroy(ctx context.Context, key sessionstore.Key, grave time.Duration) error {
	if err := sessionstore.CheckDuration("tombstone time", grave); err != nil {
		return err
	}
	return s.submit(ctx, &operation{
		name: "destroy", key: &key,
		evaluate: func(v *view, now int64) error {
			_, c, err := v.resolve(key, now)
			if err != nil {
				return err
			}
			c.bury(now + grave.Milliseconds())
			v.put(c)
			return nil
		},
	})
}

// Regenerate implements [sessionstore.Store].
func (s *Store) Regenerate(ctx context.Context, old, new sessionstore.Key, r sessionstore.Regenerate) (sessionstore.Session, error) {
	if err := r.Check(); err != nil {
		return sessionstore.Session{}, err
	}
	if old == new {
		return sessionstore.Session{}, fmt.Errorf("%w: a session cannot be regenerated into itself", sessionstore.ErrInvalid)
	}
	var session sessionstore.Session
	err := s.submit(ctx, &operation{
		name: "regenerate", key: &old, grows: true,
		evaluate: func(v *view, now int64) (err error) {
			session, err = v.regenerate(old, new, r, now)
			return err
		},
	})
	if err != nil {
		return sessionstore.Session{}, err
	}
	return session, nil
}

func (v *view) regenerate(old, new sessionstore.Key, r sessionstore.Regenerate, now int64) (none sessionstore.Session, err error) {
	old, from, err := v.resolve(old, now)
	if err != nil {
		return none, err
	}
	switch from.at(now) {
	case tombstone:
		return none, sessionstore.ErrDestroyed
	case nothing:
		return none, sessionstore.ErrNotFound
	}
	to, err := v.session(new)
	if err != nil {
		return none, err
	}
	if to.at(now) != nothing {
		return none, sessionstore.ErrConflict
	}
	if err := v.allow(old, r.Token, now); err != nil {
		return none, err
	}
	payload, err := v.payload(old, from)
	if err != nil {
		return none, err
	}
	if err := v.moveLease(old, new, r.Token); err != nil {
		return none, err
	}

	indexed := to.indexed
	to.record, to.payload = from.record, payload
	to.indexed = indexed
	v.put(to)
	from.leadTo(new, r, now)
	v.put(from)
	return to.session(new, bytes.Clone(trim(payload))), nil
}

// leadTo turns a regenerated session's old record into an alias of the new one, or into a tombstone if there is no
// grace time.
func (c *sessionCell) leadTo(new sessionstore.Key, r sessionstore.Regenerate, now int64) {
	end := now + r.Grace.Milliseconds()
	c.bury(end + r.Tombstone.Milliseconds())
	if end > now {
		c.kind, c.target, c.expires = alias, new, end
	}
}

// allow refuses a change under a token that is not of the key's latest lease. 0 stands for no lease.
func (v *view) allow(key sessionstore.Key, token uint64, now int64) error {
	if token == 0 {
		return nil
	}
	ok, err := v.holds(key, token, now)
	if err == nil && !ok {
		err = sessionstore.ErrConflict
	}
	return err
}
