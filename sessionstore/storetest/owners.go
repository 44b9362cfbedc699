package storetest

import (
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

func (f *fixture) unleased(key sessionstore.Key) {
	f.Helper()
	_, err := f.store.Leased(f.ctx, key)
	f.want("leased", err, sessionstore.ErrNotFound)
}

// owners are the tests of who holds a lease, and of what a session is kept with.
var owners = []test{
	{"LeaseTellsItsOwner", func(f *fixture) {
		key := newKey()
		f.unleased(key)
		l, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl, Owner: 1<<64 - 1})
		f.want("lock", err, nil)
		if l.Owner != 1<<64-1 {
			f.Fatalf("took the lease as %d", l.Owner)
		}
		_, err = f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl, Owner: l.Owner})
		f.want("lock of the same owner", err, sessionstore.ErrLocked)
		got, err := f.store.Leased(f.ctx, key)
		f.want("leased", err, nil)
		if got.Token != l.Token || got.Owner != l.Owner || !got.Until.Equal(l.Until) {
			f.Fatalf("leased is %+v, taken was %+v", got, l)
		}
		f.clock.advance(ttl - time.Millisecond)
		_, err = f.store.Leased(f.ctx, key)
		f.want("leased", err, nil)
		f.clock.advance(time.Millisecond)
		f.unleased(key)
		l, err = f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, nil)
		if got, err = f.store.Leased(f.ctx, key); err != nil || got.Owner != 0 || got.Token != l.Token {
			f.Fatalf("leased is %+v, %v; want token %d and no owner", got, err, l.Token)
		}
		f.want("unlock", f.store.Unlock(f.ctx, key, l.Token), nil)
		f.unleased(key)
	}},

	{"RegenerateMovesTheOwner", func(f *fixture) {
		old, key := f.create("one"), newKey()
		l, err := f.store.Lock(f.ctx, old, sessionstore.Lock{TTL: ttl, Owner: 7})
		f.want("lock", err, nil)
		_, err = f.store.Regenerate(f.ctx, old, key, sessionstore.Regenerate{Grace: grace, Tombstone: grave, Token: l.Token})
		f.want("regenerate", err, nil)
		f.unleased(old)
		if got, err := f.store.Leased(f.ctx, key); err != nil || got.Owner != 7 || got.Token != l.Token {
			f.Fatalf("leased is %+v, %v", got, err)
		}
	}},

	{"SessionKeepsWhatItIsKeptWith", func(f *fixture) {
		key, alice, bob := newKey(), sessionstore.NewSubject("shop", "alice"), sessionstore.NewSubject("shop", "bob")
		expect := func(key sessionstore.Key, payload string, subject sessionstore.Key, encoding sessionstore.Encoding) {
			f.Helper()
			if s := f.read(key, payload); s.Namespace != "shop" || s.Subject != subject || s.Encoding != encoding {
				f.Fatalf("read namespace %q, subject %v, encoding %d; want shop, %v, %d", s.Namespace, s.Subject, s.Encoding, subject, encoding)
			}
		}
		write := func(w sessionstore.Write) {
			f.Helper()
			w.Idle = idle
			_, err := f.store.Write(f.ctx, key, w)
			f.want("write", err, nil)
		}
		write(sessionstore.Write{Payload: []byte("1"), Namespace: "shop"})
		expect(key, "1", sessionstore.Key{}, sessionstore.Plain)
		write(sessionstore.Write{Payload: []byte("2"), Namespace: "other", Subject: alice, Encoding: sessionstore.Zstd, IfVersion: 1})
		expect(key, "2", alice, sessionstore.Zstd)
		write(sessionstore.Write{Payload: []byte("3"), IfVersion: 2})
		expect(key, "3", alice, sessionstore.Plain)
		write(sessionstore.Write{Payload: []byte(noise(70_000)), Subject: bob, Encoding: sessionstore.Zstd, IfVersion: sessionstore.AnyVersion})
		expect(key, noise(70_000), bob, sessionstore.Zstd)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: time.Hour, Create: true, Namespace: "other"}), nil)
		expect(key, noise(70_000), bob, sessionstore.Zstd)
		next := f.regenerate(key)
		expect(next, noise(70_000), bob, sessionstore.Zstd)

		// Another session in the same place begins without them.
		f.clock.advance(time.Hour)
		f.write(next, "new", 0)
		if s := f.read(next, "new"); s.Namespace != "" || s.Subject != (sessionstore.Key{}) || s.Encoding != sessionstore.Plain {
			f.Fatalf("a new session began with %+v", s)
		}
	}},

	{"TouchCreatesInANamespace", func(f *fixture) {
		key := newKey()
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Create: true, Namespace: "shop"}), nil)
		if s := f.read(key, ""); s.Namespace != "shop" {
			f.Fatalf("namespace %q", s.Namespace)
		}
		f.want("touch", f.store.Touch(f.ctx, newKey(), sessionstore.Touch{Idle: idle, Create: true, Namespace: "../etc"}), sessionstore.ErrInvalid)
		_, err := f.store.Write(f.ctx, newKey(), sessionstore.Write{Idle: idle, Namespace: "../etc"})
		f.want("write", err, sessionstore.ErrInvalid)
	}},
}

// coarseness are the tests of touches that need not be exact.
var coarseness = []test{
	{"CoarseTouch", func(f *fixture) {
		const coarse = 10 * time.Second
		key := f.create("kept")
		touch := func(idle, coarse time.Duration) {
			f.Helper()
			f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Coarse: coarse}), nil)
		}
		between := func(earliest, latest time.Duration) {
			f.Helper()
			rest := f.read(key, "kept").Expires.Sub(f.clock.now())
			if rest < earliest || rest > latest {
				f.Fatalf("expires in %v, want %v to %v", rest, earliest, latest)
			}
		}
		for range 4 {
			f.clock.advance(coarse / 2)
			touch(idle, coarse)
			between(idle-coarse, idle)
		}
		f.clock.advance(coarse + time.Millisecond)
		touch(idle, coarse)
		between(idle-coarse, idle)
		touch(idle, 0)
		between(idle, idle)
		f.clock.advance(time.Second)
		touch(idle/2, idle/4) // nearer than it is: never left at more than was asked
		between(idle/4, idle/2)
		f.clock.advance(idle/4 - time.Millisecond)
		f.read(key, "kept")
		f.clock.advance(idle/4 + time.Millisecond)
		f.missing(key)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Coarse: coarse}), sessionstore.ErrNotFound)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Coarse: coarse, Create: true}), nil)
		f.destroy(key)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Coarse: coarse}), sessionstore.ErrDestroyed)
	}},

	{"CoarseTouchAtTheDeadline", func(f *fixture) {
		key := newKey()
		_, err := f.store.Write(f.ctx, key, sessionstore.Write{Payload: []byte("x"), Idle: idle, Absolute: idle + time.Second})
		f.want("write", err, nil)
		end := f.clock.now().Add(idle + time.Second)
		for range 3 {
			f.clock.advance(5 * time.Second)
			f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Coarse: 2 * time.Second}), nil)
			if s := f.read(key, "x"); s.Expires.After(end) || s.Expires.Before(end.Add(-2*time.Second)) {
				f.Fatalf("expires %v, the deadline is %v", s.Expires, end)
			}
		}
	}},

	{"CoarseTouchByTheAlias", func(f *fixture) {
		old := f.create("one")
		key := f.regenerate(old)
		f.clock.advance(time.Second)
		f.want("touch", f.store.Touch(f.ctx, old, sessionstore.Touch{Idle: idle, Coarse: 2 * time.Second}), nil)
		f.clock.advance(5 * time.Second)
		f.want("touch", f.store.Touch(f.ctx, old, sessionstore.Touch{Idle: idle, Coarse: 2 * time.Second}), nil)
		if s := f.read(key, "one"); s.Expires.Before(f.clock.now().Add(idle - 2*time.Second)) {
			f.Fatalf("expires %v at %v", s.Expires, f.clock.now())
		}
	}},

	{"CoarseTouchOutOfRange", func(f *fixture) {
		key := f.create("x")
		for _, coarse := range []time.Duration{-time.Millisecond, idle/2 + time.Millisecond} {
			f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Coarse: coarse}), sessionstore.ErrInvalid)
		}
	}},

	{"CoarseTouchesAtOnce", func(f *fixture) {
		keys := make([]sessionstore.Key, 24)
		for i := range keys {
			keys[i] = f.create("x")
		}
		f.clock.advance(idle / 3)
		f.parallel(len(keys), func(i int, s sessionstore.Store) {
			t := sessionstore.Touch{Idle: idle, Coarse: time.Duration(i%3) * idle / 4}
			if err := s.Touch(f.ctx, keys[i], t); err != nil {
				f.Errorf("touch: %v", err)
			}
		})
		for i, key := range keys {
			asked, rest := idle-time.Duration(i%3)*idle/4, f.read(key, "x").Expires.Sub(f.clock.now())
			if rest < asked || rest > idle {
				f.Errorf("touch %d: expires in %v, want %v to %v", i, rest, asked, idle)
			}
		}
	}},
}
