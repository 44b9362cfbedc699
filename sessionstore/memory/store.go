package memory

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Store is a [sessionstore.Store] and [sessionstore.Checker] in memory.
type Store struct {
	now sessionstore.Clock

	mu       sync.Mutex
	records  map[sessionstore.Key]*record
	sessions index // of records
	locks    map[sessionstore.Key]*lease
	leases   index // of locks
	token    uint64
}

// New returns an empty store. A nil clock means [time.Now].
func New(clock sessionstore.Clock) *Store {
	if clock == nil {
		clock = time.Now
	}
	return &Store{now: clock, records: map[sessionstore.Key]*record{}, locks: map[sessionstore.Key]*lease{}}
}

// Read implements [sessionstore.Store].
func (s *Store) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return sessionstore.Session{}, err
	}
	defer s.mu.Unlock()
	key, r, err := s.resolve(key, now)
	if err != nil {
		return sessionstore.Session{}, err
	}
	if r.at(now) != live {
		return sessionstore.Session{}, sessionstore.ErrNotFound
	}
	return r.session(key), nil
}

// Write implements [sessionstore.Store].
func (s *Store) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	if err := w.Check(); err != nil {
		return 0, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	return s.write(key, w, now)
}

func (s *Store) write(key sessionstore.Key, w sessionstore.Write, now int64) (uint64, error) {
	key, r, err := s.resolve(key, now)
	if err != nil {
		return 0, err
	}
	state := r.at(now)
	switch {
	case state == tombstone:
		return 0, sessionstore.ErrDestroyed
	case state == nothing && w.IfVersion != 0 && w.IfVersion != sessionstore.AnyVersion:
		return 0, sessionstore.ErrNotFound
	case state == live && w.IfVersion != r.version && w.IfVersion != sessionstore.AnyVersion:
		return 0, sessionstore.ErrConflict
	case w.Token != 0 && !s.holds(key, w.Token, now):
		return 0, sessionstore.ErrConflict
	}
	if state == nothing {
		r = s.create(key, now, w.Absolute, w.Namespace)
	}
	r.version++
	r.payload = append([]byte(nil), w.Payload...)
	r.encoding = w.Encoding
	if w.Subject != (sessionstore.Key{}) {
		r.subject = w.Subject
	}
	r.extend(now, w.Idle)
	s.enter(key, r)
	if w.Release {
		s.release(key, w.Token)
	}
	return r.version, nil
}

// Touch implements [sessionstore.Store].
func (s *Store) Touch(ctx context.Context, key sessionstore.Key, t sessionstore.Touch) error {
	if err := t.Check(); err != nil {
		return err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.touch(key, t, now)
}

func (s *Store) touch(given sessionstore.Key, t sessionstore.Touch, now int64) error {
	key, r, err := s.resolve(given, now)
	if err != nil {
		return err
	}
	state := r.at(now)
	switch {
	case state == tombstone:
		return sessionstore.ErrDestroyed
	case state == nothing && !t.Create:
		return sessionstore.ErrNotFound
	}
	s.release(key, t.Release)
	s.release(given, t.Release)
	switch {
	case state == nothing:
		r = s.create(key, now, t.Absolute, t.Namespace)
		r.version++
	case t.Within(r.expires, r.wanted(now, t.Idle)):
		return nil
	}
	r.extend(now, t.Idle)
	s.enter(key, r)
	return nil
}

// Destroy implements [sessionstore.Store].
func (s *Store) Destroy(ctx context.Context, key sessionstore.Key, grave time.Duration) error {
	if err := sessionstore.CheckDuration("tombstone time", grave); err != nil {
		return err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	key, r, err := s.resolve(key, now)
	if err != nil {
		return err
	}
	if r == nil {
		r = s.create(key, now, 0, "")
	}
	r.bury(now + grave.Milliseconds())
	s.enter(key, r)
	return nil
}

// Regenerate implements [sessionstore.Store].
func (s *Store) Regenerate(ctx context.Context, old, new sessionstore.Key, g sessionstore.Regenerate) (sessionstore.Session, error) {
	if err := g.Check(); err != nil {
		return sessionstore.Session{}, err
	}
	if old == new {
		return sessionstore.Session{}, fmt.Errorf("%w: a session cannot be regenerated into itself", sessionstore.ErrInvalid)
	}
	now, err := s.begin(ctx)
	if err != nil {
		return sessionstore.Session{}, err
	}
	defer s.mu.Unlock()
	old, from, err := s.resolve(old, now)
	if err != nil {
		return sessionstore.Session{}, err
	}
	switch state := from.at(now); {
	case state == tombstone:
		return sessionstore.Session{}, sessionstore.ErrDestroyed
	case state == nothing:
		return sessionstore.Session{}, sessionstore.ErrNotFound
	case s.records[new].at(now) != nothing:
		return sessionstore.Session{}, sessionstore.ErrConflict
	case g.Token != 0 && !s.holds(old, g.Token, now):
		return sessionstore.Session{}, sessionstore.ErrConflict
	}
	to := s.create(new, now, 0, "")
	indexed := to.indexed
	*to = *from
	to.indexed = indexed
	s.enter(new, to)

	if g.Grace > 0 {
		*from = record{kind: alias, target: new, expires: now + g.Grace.Milliseconds(), indexed: from.indexed}
		from.purge = from.expires + g.Tombstone.Milliseconds()
	} else {
		from.bury(now + g.Tombstone.Milliseconds())
	}
	s.enter(old, from)
	if g.Token != 0 {
		s.grant(new, *s.locks[old])
		s.locks[old].until = 0
	}
	return to.session(new), nil
}

// Lock implements [sessionstore.Store].
func (s *Store) Lock(ctx context.Context, key sessionstore.Key, l sessionstore.Lock) (sessionstore.Lease, error) {
	if err := l.Check(); err != nil {
		return sessionstore.Lease{}, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return sessionstore.Lease{}, err
	}
	defer s.mu.Unlock()
	if held := s.locks[key]; held != nil && now < held.until {
		return sessionstore.Lease{}, &sessionstore.LockedError{Until: time.UnixMilli(held.until)}
	}
	return s.take(key, l, now), nil
}

// take gives the key a new lease.
func (s *Store) take(key sessionstore.Key, l sessionstore.Lock, now int64) sessionstore.Lease {
	s.token++
	taken := lease{token: s.token, owner: l.Owner, until: now + l.TTL.Milliseconds()}
	s.grant(key, taken)
	return taken.granted()
}

// Leased implements [sessionstore.Store].
func (s *Store) Leased(ctx context.Context, key sessionstore.Key) (sessionstore.Lease, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return sessionstore.Lease{}, err
	}
	defer s.mu.Unlock()
	held := s.locks[key]
	if held == nil || now >= held.until {
		return sessionstore.Lease{}, sessionstore.ErrNotFound
	}
	return held.granted(), nil
}

// Unlock implements [sessionstore.Store].
func (s *Store) Unlock(ctx context.Context, key sessionstore.Key, token uint64) error {
	if _, err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.release(key, token)
	return nil
}

// release ends the key's latest lease if it has this token.
func (s *Store) release(key sessionstore.Key, token uint64) {
	if held := s.locks[key]; held != nil && held.token == token {
		held.until = 0
	}
}

// Pass implements [sessionstore.Passer].
func (s *Store) Pass(ctx context.Context, key sessionstore.Key, p sessionstore.Pass) (done sessionstore.Passed, err error) {
	if err := p.Check(); err != nil {
		return done, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return done, err
	}
	defer s.mu.Unlock()
	held := s.holds(key, p.Token, now)
	switch w, t := p.Change(); {
	case w != nil:
		done.Version, err = s.write(key, *w, now)
		done.Expires = time.UnixMilli(now).Add(w.Idle)
	case t != nil:
		err = s.touch(key, *t, now)
		done.Expires = time.UnixMilli(now).Add(t.Idle)
	}
	if err == nil && held {
		done.Next = s.take(key, p.Next, now)
	}
	return done, err
}

// GC implements [sessionstore.Store].
func (s *Store) GC(ctx context.Context, limit int) (removed int, err error) {
	now, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	for ; removed < limit && s.collectSession(now); removed++ {
	}
	for ; removed < limit && s.collectLease(now); removed++ {
	}
	return removed, nil
}

// collectSession removes one record that nobody can see any more and reports whether there was one.
func (s *Store) collectSession(now int64) bool {
	for len(s.sessions) > 0 && s.sessions[0].at <= now {
		next := heap.Pop(&s.sessions).(due)
		r := s.records[next.key]
		if r == nil || r.indexed != next.at {
			continue // an earlier entry took its place
		}
		if now >= r.purge {
			delete(s.records, next.key)
			return true
		}
		r.indexed = 0
		s.enter(next.key, r)
	}
	return false
}

// collectLease removes one lease that is long over and reports whether there was one.
func (s *Store) collectLease(now int64) bool {
	for len(s.leases) > 0 && s.leases[0].at <= now {
		next := heap.Pop(&s.leases).(due)
		end := s.locks[next.key].until + sessionstore.LeaseRetention.Milliseconds()
		if now >= end {
			delete(s.locks, next.key)
			return true
		}
		heap.Push(&s.leases, due{at: end, key: next.key})
	}
	return false
}

// Ping implements [sessionstore.Store].
func (s *Store) Ping(ctx context.Context) error { return ctx.Err() }

// Close implements [sessionstore.Store].
func (s *Store) Close() error { return nil }

// begin takes the lock and the time, in this order, so that times never go back from one operation to the next.
func (s *Store) begin(ctx context.Context) (now int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	return s.now().UnixMilli(), nil
}

// resolve follows aliases to the key that a session lives under, and returns the record there, nil if there is none.
func (s *Store) resolve(key sessionstore.Key, now int64) (sessionstore.Key, *record, error) {
	for range sessionstore.MaxAliasHops + 1 {
		r := s.records[key]
		if r.at(now) != alias {
			return key, r, nil
		}
		key = r.target
	}
	return key, nil, fmt.Errorf("%w: regenerated more than %d times within its grace time", sessionstore.ErrNotFound, sessionstore.MaxAliasHops)
}

// create begins a session without a version under a key that has none. Remains there bequeath their version.
func (s *Store) create(key sessionstore.Key, now int64, absolute time.Duration, namespace string) *record {
	r := s.records[key]
	if r == nil {
		r = &record{}
		s.records[key] = r
	}
	*r = record{kind: live, version: r.version, created: now, indexed: r.indexed, namespace: namespace}
	if absolute != 0 {
		r.deadline = now + absolute.Milliseconds()
	}
	return r
}

// bury turns the record into a tombstone that stands until the given time.
func (r *record) bury(until int64) {
	*r = record{kind: tombstone, version: r.version, purge: until, indexed: r.indexed}
}

// enter sees to it that the index leads to the record by the time that it can be collected.
func (s *Store) enter(key sessionstore.Key, r *record) {
	if r.indexed == 0 || r.purge < r.indexed {
		heap.Push(&s.sessions, due{at: r.purge, key: key})
		r.indexed = r.purge
	}
}

// holds tells whether the token is of the key's latest lease, and that was not released or forgotten.
func (s *Store) holds(key sessionstore.Key, token uint64, now int64) bool {
	l := s.locks[key]
	return l != nil && l.token == token && l.until != 0 && now < l.until+sessionstore.LeaseRetention.Milliseconds()
}

func (s *Store) grant(key sessionstore.Key, l lease) {
	if s.locks[key] == nil {
		heap.Push(&s.leases, due{at: l.until + sessionstore.LeaseRetention.Milliseconds(), key: key})
	}
	s.locks[key] = &l
}
