package storetest

import (
	"errors"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// writeUnder writes under a lease.
func writeUnder(f *fixture, key sessionstore.Key, token uint64) error {
	_, err := f.store.Write(f.ctx, key, sessionstore.Write{Payload: []byte("held"), Idle: time.Hour, IfVersion: sessionstore.AnyVersion, Token: token})
	return err
}

var locking = []test{
	{"LockExcludes", func(f *fixture) {
		key := newKey()
		l := f.lock(key)
		if !l.Until.Equal(f.clock.now().Add(ttl)) {
			f.Fatalf("lease until %v, want %v", l.Until, f.clock.now().Add(ttl))
		}
		_, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, sessionstore.ErrLocked)
		var locked *sessionstore.LockedError
		if !errors.As(err, &locked) || !locked.Until.Equal(l.Until) {
			f.Fatalf("got %v, want the lease's end %v", err, l.Until)
		}
		f.lock(newKey())
		f.want("unlock", f.store.Unlock(f.ctx, key, l.Token), nil)
		f.lock(key)
	}},

	{"LeaseEndsByItself", func(f *fixture) {
		key := newKey()
		f.lock(key)
		f.clock.advance(ttl - time.Millisecond)
		_, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, sessionstore.ErrLocked)
		f.clock.advance(time.Millisecond)
		f.lock(key)
	}},

	{"TokensNeverRepeat", func(f *fixture) {
		key := newKey()
		seen := map[uint64]bool{}
		for range 50 {
			l := f.lock(key)
			if seen[l.Token] {
				f.Fatalf("token %d came twice", l.Token)
			}
			seen[l.Token] = true
			f.want("unlock", f.store.Unlock(f.ctx, key, l.Token), nil)
		}
	}},

	{"StaleHolderIsRefused", func(f *fixture) {
		key := newKey()
		stale := f.lock(key)
		f.want("write", writeUnder(f, key, stale.Token), nil)
		f.clock.advance(ttl)
		f.want("write under a lease that ran out and nobody took", writeUnder(f, key, stale.Token), nil)
		fresh := f.lock(key)
		f.want("write of the stale holder", writeUnder(f, key, stale.Token), sessionstore.ErrConflict)
		f.want("write", writeUnder(f, key, fresh.Token), nil)
		if s := f.read(key, "held"); s.Version != 3 {
			f.Fatalf("version %d after three writes", s.Version)
		}
	}},

	{"LateHolderIsForgotten", func(f *fixture) {
		key := newKey()
		l := f.lock(key)
		f.clock.advance(ttl + sessionstore.LeaseRetention - time.Millisecond)
		f.want("write just within the retention time", writeUnder(f, key, l.Token), nil)
		f.clock.advance(time.Millisecond)
		f.want("write after it", writeUnder(f, key, l.Token), sessionstore.ErrConflict)
	}},

	{"UnlockByAStaleHolder", func(f *fixture) {
		key := newKey()
		stale := f.lock(key)
		f.clock.advance(ttl)
		f.lock(key)
		f.want("unlock", f.store.Unlock(f.ctx, key, stale.Token), nil)
		_, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, sessionstore.ErrLocked)
	}},

	{"NoWriteAfterUnlock", func(f *fixture) {
		key := f.create("one")
		l := f.lock(key)
		f.want("unlock", f.store.Unlock(f.ctx, key, l.Token), nil)
		f.want("write after unlock", writeUnder(f, key, l.Token), sessionstore.ErrConflict)
		f.want("write under a lease that never was", writeUnder(f, newKey(), 12345), sessionstore.ErrConflict)
		f.want("unlock again", f.store.Unlock(f.ctx, key, l.Token), nil)
		f.want("unlock of nothing", f.store.Unlock(f.ctx, newKey(), 1), nil)
	}},

	{"LockOutlivesTheSession", func(f *fixture) {
		key := f.create("one")
		l := f.lock(key)
		f.destroy(key)
		f.want("write after destroy", writeUnder(f, key, l.Token), sessionstore.ErrDestroyed)
		_, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, sessionstore.ErrLocked)
	}},

	{"WriteReleases", func(f *fixture) {
		key := f.create("one")
		w := sessionstore.Write{Payload: []byte("two"), Idle: idle, IfVersion: 1}
		w.Release = true
		_, err := f.store.Write(f.ctx, key, w)
		f.want("release of no lease", err, sessionstore.ErrInvalid)

		l := f.lock(key)
		w.Token, w.IfVersion = l.Token, 7
		_, err = f.store.Write(f.ctx, key, w)
		f.want("write on a version that never was", err, sessionstore.ErrConflict)
		_, err = f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock after a write that was refused", err, sessionstore.ErrLocked)

		for i, v := range []uint64{1, 2, sessionstore.AnyVersion} {
			w.Payload, w.IfVersion = []byte(noise(20_000*i)), v
			got, err := f.store.Write(f.ctx, key, w)
			f.want("write", err, nil)
			if got != uint64(i)+2 {
				f.Fatalf("version %d after write %d", got, i)
			}
			f.read(key, string(w.Payload))
			_, err = f.store.Write(f.ctx, key, w)
			f.want("write after the release", err, sessionstore.ErrConflict)
			l = f.lock(key)
			_, err = f.store.Write(f.ctx, key, w)
			f.want("write after another took the lease", err, sessionstore.ErrConflict)
			_, err = f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
			f.want("lock", err, sessionstore.ErrLocked)
			w.Token = l.Token
		}
	}},

	{"CreationReleases", func(f *fixture) {
		for _, subject := range []sessionstore.Key{{}, newKey()} {
			key := newKey()
			w := sessionstore.Write{Payload: []byte("one"), Idle: idle, Subject: subject, Token: f.lock(key).Token, Release: true}
			_, err := f.store.Write(f.ctx, key, w)
			f.want("create", err, nil)
			w.Token = f.lock(key).Token
			_, err = f.store.Write(f.ctx, key, w)
			f.want("create again", err, sessionstore.ErrConflict)
			f.want("write", writeUnder(f, key, w.Token), nil)
		}
	}},

	{"ReleaseThroughAnAlias", func(f *fixture) {
		old := f.create("one")
		key := f.regenerate(old)
		w := sessionstore.Write{Payload: []byte("two"), Idle: idle, IfVersion: 1, Token: f.lock(key).Token, Release: true}
		_, err := f.store.Write(f.ctx, old, w)
		f.want("write", err, nil)
		l := f.lock(key)
		f.want("touch", f.store.Touch(f.ctx, old, sessionstore.Touch{Idle: idle, Release: l.Token}), nil)
		f.lock(key)
		l = f.lock(old)
		f.want("touch", f.store.Touch(f.ctx, old, sessionstore.Touch{Idle: time.Hour, Release: l.Token}), nil)
		f.lock(old)
	}},

	{"TouchReleases", func(f *fixture) {
		key := f.create("one")
		l := f.lock(key)
		t := sessionstore.Touch{Idle: time.Hour, Release: l.Token}
		f.want("touch of another", f.store.Touch(f.ctx, newKey(), t), sessionstore.ErrNotFound)
		_, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, sessionstore.ErrLocked)
		for _, t.Coarse = range []time.Duration{0, 0, time.Minute, 0} { // two of them move nothing
			f.want("touch", f.store.Touch(f.ctx, key, t), nil)
			f.want("write after the release", writeUnder(f, key, t.Release), sessionstore.ErrConflict)
			l = f.lock(key)
			f.want("touch with a lease that is over", f.store.Touch(f.ctx, key, t), nil)
			_, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
			f.want("lock", err, sessionstore.ErrLocked)
			t.Release = l.Token
		}
		if s := f.read(key, "one"); s.Version != 1 || !s.Expires.Equal(f.clock.now().Add(time.Hour)) {
			f.Fatalf("version %d, expires %v", s.Version, s.Expires)
		}
		key = newKey()
		t = sessionstore.Touch{Idle: time.Hour, Create: true, Release: f.lock(key).Token}
		f.want("creating touch", f.store.Touch(f.ctx, key, t), nil)
		f.lock(key)
		f.destroy(key)
		t.Release = 0
		f.want("touch of what is destroyed", f.store.Touch(f.ctx, key, t), sessionstore.ErrDestroyed)
	}},

	{"PassHandsOn", func(f *fixture) {
		p := f.passer()
		key := f.create("one")
		l := f.lock(key)
		payload := "one"
		for i, x := range []sessionstore.Pass{
			{},
			{Write: &sessionstore.Write{Payload: []byte("two"), Idle: idle, IfVersion: 1}},
			{Touch: &sessionstore.Touch{Idle: time.Hour}},
			{Write: &sessionstore.Write{Payload: []byte("three"), Idle: idle, IfVersion: sessionstore.AnyVersion}},
			{Touch: &sessionstore.Touch{Idle: idle, Coarse: time.Second}},
			{},
		} {
			before := l
			x.Token, x.Next = before.Token, sessionstore.Lock{TTL: ttl + time.Second, Owner: uint64(i)}
			done, err := p.Pass(f.ctx, key, x)
			f.want("pass", err, nil)
			next := done.Next
			if next.Token <= before.Token || next.Owner != uint64(i) || !next.Until.Equal(f.clock.now().Add(ttl+time.Second)) {
				f.Fatalf("pass %d: %+v after %+v", i, next, before)
			}
			if x.Write != nil {
				payload = string(x.Write.Payload)
				if s := f.read(key, payload); s.Version != done.Version || !s.Expires.Equal(done.Expires) {
					f.Fatalf("pass %d: %+v, read version %d, which expires at %v", i, done, s.Version, s.Expires)
				}
			}
			f.want("write of the holder before", writeUnder(f, key, before.Token), sessionstore.ErrConflict)
			f.want("unlock by the holder before", f.store.Unlock(f.ctx, key, before.Token), nil)
			now, err := f.store.Leased(f.ctx, key)
			f.want("leased", err, nil)
			if now != next {
				f.Fatalf("pass %d: leased %+v, want %+v", i, now, next)
			}
			l = next
		}
		f.want("write", writeUnder(f, key, l.Token), nil)
	}},

	{"PassRefused", func(f *fixture) {
		p := f.passer()
		key := f.create("one")
		l := f.lock(key)
		next := sessionstore.Lock{TTL: ttl}
		for _, x := range []sessionstore.Pass{
			{Next: next}, {Token: l.Token}, {Token: l.Token, Next: next, Write: &sessionstore.Write{}}, {Token: l.Token, Next: next, Touch: &sessionstore.Touch{}},
			{Token: l.Token, Next: next, Write: &sessionstore.Write{Idle: idle}, Touch: &sessionstore.Touch{Idle: idle}},
		} {
			_, err := p.Pass(f.ctx, key, x)
			f.want("pass", err, sessionstore.ErrInvalid)
		}
		late := sessionstore.Pass{Token: l.Token, Next: next, Write: &sessionstore.Write{Idle: idle, IfVersion: 7}}
		_, err := p.Pass(f.ctx, key, late)
		f.want("pass with a write on a version that never was", err, sessionstore.ErrConflict)
		f.want("write under the lease that stayed", writeUnder(f, key, l.Token), nil)
		f.want("unlock", f.store.Unlock(f.ctx, key, l.Token), nil)

		for _, took := range []bool{false, true} { // the lease is over, or another's
			holder := l
			if took {
				holder = f.lock(key)
			}
			late.Write.IfVersion = sessionstore.AnyVersion
			_, err = p.Pass(f.ctx, key, late)
			f.want("pass with a write", err, sessionstore.ErrConflict)
			for _, x := range []sessionstore.Pass{{}, {Touch: &sessionstore.Touch{Idle: idle}}} {
				x.Token, x.Next = l.Token, next
				done, err := p.Pass(f.ctx, key, x)
				f.want("pass", err, nil)
				if done.Next != (sessionstore.Lease{}) {
					f.Fatalf("a lease that was over was passed on: %+v", done.Next)
				}
			}
			if took {
				f.want("write", writeUnder(f, key, holder.Token), nil)
			}
		}
	}},

	{"PassOfWhatTakesMore", func(f *fixture) {
		p := f.passer()
		key := f.create("one")
		subject := newKey()
		for i, w := range []sessionstore.Write{
			{Payload: []byte(noise(70_000))}, {Payload: []byte("short")}, {Payload: []byte("short"), Subject: subject}, {Payload: []byte("own"), Subject: subject},
		} {
			l := f.lock(key)
			w.Idle, w.IfVersion = idle, uint64(i)+1
			done, err := p.Pass(f.ctx, key, sessionstore.Pass{Token: l.Token, Write: &w, Next: sessionstore.Lock{TTL: ttl}})
			f.want("pass", err, nil)
			next := done.Next
			if done.Version != uint64(i)+2 {
				f.Fatalf("version %d", done.Version)
			}
			f.read(key, string(w.Payload))
			if next.Token == 0 { // the store could do no more than release
				next = f.lock(key)
			}
			f.want("unlock", f.store.Unlock(f.ctx, key, next.Token), nil)
		}
	}},
}

// passer returns the store as one that passes leases on, or skips the test.
func (f *fixture) passer() sessionstore.Passer {
	p, ok := f.bare.(sessionstore.Passer)
	if !ok {
		f.Skip("the store passes no leases on")
	}
	return p
}
