package ndb_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
	"github.com/lvsession/lvsession/sessionstore/storetest"
)

// crowded is a store in which no operation comes alone: others on sessions that are not there go before it and with it, so
// that it stands in a batch.
type crowded struct {
	*ndb.Store
	t testing.TB
}

// among runs an operation once others are under way, and waits for all.
func (c crowded) among(ctx context.Context, do func()) {
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			key := sessionstore.NewKey("crowd", sessionstore.NewID())
			var err error
			switch i % 3 {
			case 0:
				_, err = c.Store.Read(ctx, key)
			case 1:
				err = c.Store.Touch(ctx, key, sessionstore.Touch{Idle: time.Hour})
			default:
				_, err = c.Store.Write(ctx, key, sessionstore.Write{Idle: time.Hour, IfVersion: 7})
			}
			if !errors.Is(err, sessionstore.ErrNotFound) && ctx.Err() == nil {
				c.t.Errorf("the crowd got %v", err)
			}
		})
	}
	runtime.Gosched()
	do()
	all.Wait()
}

func (c crowded) Read(ctx context.Context, key sessionstore.Key) (s sessionstore.Session, err error) {
	c.among(ctx, func() { s, err = c.Store.Read(ctx, key) })
	return s, err
}

func (c crowded) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (version uint64, err error) {
	c.among(ctx, func() { version, err = c.Store.Write(ctx, key, w) })
	return version, err
}

func (c crowded) Touch(ctx context.Context, key sessionstore.Key, t sessionstore.Touch) (err error) {
	c.among(ctx, func() { err = c.Store.Touch(ctx, key, t) })
	return err
}

func (c crowded) Destroy(ctx context.Context, key sessionstore.Key, tombstone time.Duration) (err error) {
	c.among(ctx, func() { err = c.Store.Destroy(ctx, key, tombstone) })
	return err
}

func (c crowded) Lock(ctx context.Context, key sessionstore.Key, l sessionstore.Lock) (lease sessionstore.Lease, err error) {
	c.among(ctx, func() { lease, err = c.Store.Lock(ctx, key, l) })
	return lease, err
}

func (c crowded) Unlock(ctx context.Context, key sessionstore.Key, token uint64) (err error) {
	c.among(ctx, func() { err = c.Store.Unlock(ctx, key, token) })
	return err
}

// Every promise must hold for an operation that shares its batch with others.
func TestStoreInACrowd(t *testing.T) {
	for _, e := range []engine{engines[0], engines[2]} {
		t.Run(e.name, func(t *testing.T) {
			dsns := e.database(t)
			storetest.Run(t, func(t testing.TB, clock sessionstore.Clock) sessionstore.Store {
				emptied(t, dsns[0])
				return crowded{open(t, clock, dsns...), t}
			})
		})
	}
}

// member is one change of a batch, and what must come of it.
type member struct {
	name    string
	change  ndb.Change
	version uint64 // of a write
	err     error
	decided bool // by the batch
}

// party makes sessions in every state and changes to them.
type party struct {
	*testing.T
	s       *ndb.Store
	members []member
}

// session writes a session of n bytes so often and returns its key.
func (p *party) session(n, versions int) sessionstore.Key {
	p.Helper()
	key := sessionstore.NewKey("x", sessionstore.NewID())
	for range versions {
		w := sessionstore.Write{Payload: make([]byte, n), Idle: time.Hour, Absolute: 3 * time.Hour, IfVersion: sessionstore.AnyVersion}
		if _, err := p.s.Write(p.Context(), key, w); err != nil {
			p.Fatal(err)
		}
	}
	return key
}

func (p *party) destroyed() sessionstore.Key {
	p.Helper()
	key := p.session(10, 1)
	if err := p.s.Destroy(p.Context(), key, time.Hour); err != nil {
		p.Fatal(err)
	}
	return key
}

func (p *party) alias() sessionstore.Key {
	p.Helper()
	key := p.session(10, 3)
	g := sessionstore.Regenerate{Grace: time.Hour, Tombstone: time.Hour}
	if _, err := p.s.Regenerate(p.Context(), key, sessionstore.NewKey("x", sessionstore.NewID()), g); err != nil {
		p.Fatal(err)
	}
	return key
}

func (p *party) write(name string, key sessionstore.Key, ifVersion, version uint64, err error, decided bool) {
	w := &sessionstore.Write{Payload: []byte(name), Idle: time.Hour + time.Duration(len(p.members))*time.Minute, IfVersion: ifVersion}
	p.members = append(p.members, member{name, ndb.Change{Key: key, Write: w}, version, err, decided})
}

// writeOf is write, of a session whose subject it names.
func (p *party) writeOf(subject sessionstore.Key, name string, key sessionstore.Key, ifVersion, version uint64, err error, decided bool) {
	p.write(name, key, ifVersion, version, err, decided)
	p.members[len(p.members)-1].change.Write.Subject = subject
}

// owned makes a session of a subject and returns its key.
func (p *party) owned(subject sessionstore.Key) sessionstore.Key {
	p.Helper()
	key := sessionstore.NewKey("x", sessionstore.NewID())
	if _, err := p.s.Write(p.Context(), key, sessionstore.Write{Idle: time.Hour, Subject: subject}); err != nil {
		p.Fatal(err)
	}
	return key
}

func (p *party) touch(name string, key sessionstore.Key, create bool, err error, decided bool) {
	t := &sessionstore.Touch{Idle: 2*time.Hour + time.Duration(len(p.members))*time.Minute, Create: create}
	p.members = append(p.members, member{name, ndb.Change{Key: key, Touch: t}, 0, err, decided})
}

func (p *party) destroy(name string, key sessionstore.Key, decided bool) {
	grave := time.Hour + time.Duration(len(p.members))*time.Minute
	p.members = append(p.members, member{name, ndb.Change{Key: key, Tombstone: grave}, 0, nil, decided})
}

// under is write, under a lease, which ends with it if it is the last.
func (p *party) under(name string, token uint64, last bool, key sessionstore.Key, ifVersion, version uint64, err error, decided bool) {
	p.write(name, key, ifVersion, version, err, decided)
	w := p.members[len(p.members)-1].change.Write
	w.Token, w.Release = token, last
}

// ending is touch, with which a lease ends.
func (p *party) ending(name string, token uint64, coarse time.Duration, key sessionstore.Key, err error, decided bool) {
	p.touch(name, key, false, err, decided)
	t := p.members[len(p.members)-1].change.Touch
	t.Release, t.Coarse = token, coarse
	if coarse > 0 {
		t.Idle = time.Hour
	}
}

func (p *party) lock(name string, key sessionstore.Key, err error, decided bool) {
	l := &sessionstore.Lock{TTL: time.Minute + time.Duration(len(p.members))*time.Second, Owner: uint64(len(p.members) % 3)}
	p.members = append(p.members, member{name, ndb.Change{Key: key, Lock: l}, 0, err, decided})
}

func (p *party) unlock(name string, key sessionstore.Key, token uint64) {
	p.members = append(p.members, member{name, ndb.Change{Key: key, Unlock: token}, 0, nil, true})
}

// leased makes a session with a lease and returns its key and the token.
func (p *party) leased() (sessionstore.Key, uint64) {
	p.Helper()
	key := p.session(10, 1)
	l, err := p.s.Lock(p.Context(), key, sessionstore.Lock{TTL: time.Minute})
	if err != nil {
		p.Fatal(err)
	}
	return key, l.Token
}

// left makes a session whose lease was released.
func (p *party) left() sessionstore.Key {
	p.Helper()
	key, token := p.leased()
	if err := p.s.Unlock(p.Context(), key, token); err != nil {
		p.Fatal(err)
	}
	return key
}

// run runs all changes in one batch and compares what comes of them.
func (p *party) run() {
	p.Helper()
	rand.Shuffle(len(p.members), func(i, j int) { p.members[i], p.members[j] = p.members[j], p.members[i] })
	var list []ndb.Change
	for _, m := range p.members {
		list = append(list, m.change)
	}
	for i, o := range ndb.Together(p.s, list) {
		m := p.members[i]
		if !errors.Is(o.Err, m.err) || m.err == nil && o.Err != nil || m.change.Write != nil && m.err == nil && o.Version != m.version {
			p.Errorf("%s: got version %d, %v; want version %d, %v", m.name, o.Version, o.Err, m.version, m.err)
		}
		if o.Decided != m.decided {
			p.Errorf("%s: decided in the batch: %v, want %v", m.name, o.Decided, m.decided)
		}
		p.inspect(m)
		p.inspectLease(m, o.Lease)
	}
	p.members = nil
	if err := p.s.Check(p.Context()); err != nil {
		p.Error(err)
	}
}

// inspect reads what a change left.
func (p *party) inspect(m member) {
	p.Helper()
	session, err := p.s.Read(p.Context(), m.change.Key)
	switch left := time.Until(session.Expires); {
	case m.change.Lock != nil || m.change.Unlock != 0:
	case m.change.Write == nil && m.change.Touch == nil:
		if !errors.Is(err, sessionstore.ErrNotFound) {
			p.Errorf("%s: read after it: %v", m.name, err)
		}
	case m.err != nil:
	case err != nil:
		p.Errorf("%s: read after it: %v", m.name, err)
	case m.change.Write != nil && (string(session.Payload) != m.name || session.Version != m.version || away(left, m.change.Write.Idle)):
		p.Errorf("%s: read after it: %.20q, version %d, expires in %v", m.name, session.Payload, session.Version, left)
	case m.change.Write != nil && m.change.Write.Subject != (sessionstore.Key{}) && session.Subject != m.change.Write.Subject:
		p.Errorf("%s: read after it: subject %v", m.name, session.Subject)
	case m.change.Touch != nil && away(left, m.change.Touch.Idle):
		p.Errorf("%s: read after it: expires in %v, want %v", m.name, left, m.change.Touch.Idle)
	}
}

// inspectLease looks what a change left of a lease.
func (p *party) inspectLease(m member, got sessionstore.Lease) {
	p.Helper()
	c := m.change
	now, err := p.s.Leased(p.Context(), c.Key)
	held := err == nil
	switch {
	case m.err != nil:
	case c.Lock != nil && (!held || now != got || now.Owner != c.Lock.Owner || away(time.Until(now.Until), c.Lock.TTL)):
		p.Errorf("%s: leased %+v, got %+v, %v", m.name, now, got, err)
	case c.Write != nil && c.Write.Token != 0 && held == c.Write.Release, c.Touch != nil && c.Touch.Release != 0 && held, c.Unlock != 0 && held:
		p.Errorf("%s: leased after it: %v, %+v", m.name, held, now)
	}
}

func away(a, b time.Duration) bool { return (a - b).Abs() > 30*time.Second }

// Changes under leases, and of leases, in one batch.
func TestBatchUnderLeases(t *testing.T) {
	const any = sessionstore.AnyVersion
	missing := func() sessionstore.Key { return sessionstore.NewKey("x", sessionstore.NewID()) }
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			p := &party{T: t, s: open(t, nil, e.database(t)...)}
			each := func(do func(key sessionstore.Key, token uint64)) {
				key, token := p.leased()
				do(key, token)
			}
			well := func() {
				each(func(k sessionstore.Key, x uint64) { p.under("write under", x, false, k, 1, 2, nil, true) })
				each(func(k sessionstore.Key, x uint64) { p.under("write under, too", x, false, k, any, 2, nil, true) })
				each(func(k sessionstore.Key, x uint64) { p.under("last write", x, true, k, 1, 2, nil, true) })
				each(func(k sessionstore.Key, x uint64) { p.under("last write, too", x, true, k, any, 2, nil, true) })
				each(func(k sessionstore.Key, x uint64) { p.ending("last touch", x, 0, k, nil, true) })
				each(func(k sessionstore.Key, x uint64) { p.ending("last touch, too", x, 0, k, nil, true) })
				each(func(k sessionstore.Key, x uint64) { p.ending("coarse touch", x, time.Minute, k, nil, true) })
				each(func(k sessionstore.Key, x uint64) { p.unlock("unlock", k, x) })
				each(func(k sessionstore.Key, x uint64) { p.unlock("unlock, too", k, x) })
				p.lock("lock", p.left(), nil, true)
				p.lock("lock again", p.left(), nil, true)
				p.write("write", p.session(10, 1), 1, 2, nil, true)
			}
			well()
			p.run()

			well()
			each(func(k sessionstore.Key, x uint64) { p.lock("lock of what is locked", k, sessionstore.ErrLocked, true) })
			p.lock("first lock", p.session(10, 1), nil, true)
			p.lock("first lock of nothing", missing(), nil, true)
			p.unlock("unlock of nothing", missing(), 12345)
			each(func(k sessionstore.Key, x uint64) {
				p.under("write under a lease that is another's", x-1, false, k, 1, 0, sessionstore.ErrConflict, true)
			})
			each(func(k sessionstore.Key, x uint64) {
				p.under("last write under a lease that is another's", x-1, true, k, 1, 0, sessionstore.ErrConflict, true)
			})
			each(func(k sessionstore.Key, x uint64) {
				p.under("late write", x, true, k, 7, 0, sessionstore.ErrConflict, true)
			})
			p.under("write without a lease", 12345, false, p.session(10, 1), 1, 0, sessionstore.ErrConflict, true)
			p.under("last write after an unlock", 12345, true, p.left(), any, 0, sessionstore.ErrConflict, true)
			p.under("last write of nothing", 12345, true, missing(), 1, 0, sessionstore.ErrNotFound, true)
			p.under("last write of a destroyed one", 12345, true, p.destroyed(), any, 0, sessionstore.ErrDestroyed, true)
			p.under("write of an alias", 12345, true, p.alias(), 3, 0, sessionstore.ErrConflict, false)
			p.under("creation", 12345, true, missing(), any, 0, sessionstore.ErrConflict, false)
			p.ending("touch of nothing", 12345, 0, missing(), sessionstore.ErrNotFound, true)
			p.ending("touch without a lease", 12345, 0, p.session(10, 1), nil, true)
			p.ending("touch of an alias", 12345, 0, p.alias(), nil, false)
			p.run()
		})
	}
}

func TestBatchOfEverything(t *testing.T) {
	const any = sessionstore.AnyVersion
	alice, bob := sessionstore.NewSubject("x", "alice"), sessionstore.NewSubject("x", "bob")
	missing := func() sessionstore.Key { return sessionstore.NewKey("x", sessionstore.NewID()) }
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			p := &party{T: t, s: open(t, nil, e.database(t)...)}
			p.write("write", p.session(10, 1), 1, 2, nil, true)
			p.write("write again", p.session(10, 4), 4, 5, nil, true)
			p.write("write over nothing", p.session(0, 1), 1, 2, nil, true)
			p.touch("touch", p.session(10, 1), false, nil, true)
			p.touch("touch again", p.session(10, 1), true, nil, true)
			p.touch("touch of a large one", p.session(70_000, 1), false, nil, true)
			p.destroy("destroy", p.session(10, 1), true)
			p.destroy("destroy again", p.session(10, 1), true)
			p.write("create", missing(), 0, 1, nil, true)
			p.write("create again", missing(), 0, 1, nil, true)
			p.write("last writer", p.session(10, 2), any, 3, nil, true)
			p.write("last writer creates", missing(), any, 1, nil, true)
			p.run()

			// What none of the statements finds at once must not spoil it for the others.
			p.write("write", p.session(10, 1), 1, 2, nil, true)
			p.write("late write", p.session(10, 2), 1, 0, sessionstore.ErrConflict, true)
			p.write("very late write", p.session(10, 6), 1, 0, sessionstore.ErrConflict, true)
			p.write("early write", p.session(10, 2), 5, 0, sessionstore.ErrConflict, true)
			p.write("write of nothing", missing(), 1, 0, sessionstore.ErrNotFound, true)
			p.write("write of a destroyed one", p.destroyed(), 1, 0, sessionstore.ErrDestroyed, true)
			p.write("last writer of a destroyed one", p.destroyed(), any, 0, sessionstore.ErrDestroyed, true)
			p.write("write of an alias", p.alias(), 3, 4, nil, false)
			p.write("last writer of an alias", p.alias(), any, 4, nil, false)
			p.write("write of a large one", p.session(70_000, 2), 2, 3, nil, false)
			p.touch("touch", p.session(10, 1), false, nil, true)
			p.touch("touch of nothing", missing(), false, sessionstore.ErrNotFound, true)
			p.touch("creating touch", missing(), true, nil, false)
			p.touch("touch of a destroyed one", p.destroyed(), true, sessionstore.ErrDestroyed, true)
			p.touch("touch of an alias", p.alias(), false, nil, false)
			p.writeOf(alice, "write of alice's", p.owned(alice), 1, 2, nil, true)
			p.writeOf(alice, "write of alice's again", p.owned(alice), 1, 2, nil, true)
			p.write("write that does not say whose", p.owned(bob), 1, 2, nil, true)
			p.writeOf(alice, "write of bob's that becomes alice's", p.owned(bob), 1, 2, nil, false)
			p.writeOf(alice, "write of nobody's that becomes alice's", p.session(10, 1), 1, 2, nil, false)
			p.writeOf(alice, "late write of bob's", p.owned(bob), 7, 0, sessionstore.ErrConflict, true)
			p.destroy("destroy bob's", p.owned(bob), false)
			p.destroy("destroy", p.session(10, 1), true)
			p.destroy("destroy nothing", missing(), false)
			p.destroy("destroy a large one", p.session(70_000, 1), false)
			p.destroy("destroy a destroyed one", p.destroyed(), false)
			p.writeOf(alice, "create alice's", missing(), 0, 1, nil, false)
			p.write("create", missing(), 0, 1, nil, false) // the next one fails the statement
			p.write("create what is there", p.session(10, 1), 0, 0, sessionstore.ErrConflict, false)
			p.write("create what is destroyed", p.destroyed(), 0, 0, sessionstore.ErrDestroyed, false)
			p.run()
		})
	}
}
