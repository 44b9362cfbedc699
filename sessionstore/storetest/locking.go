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
}
