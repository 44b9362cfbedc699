package storetest

import (
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// coarse is more than any store may be late to collect: indexes of expiry may be that inexact.
const coarse = 2 * time.Minute

func collect(f *fixture, limit int) int {
	f.Helper()
	n, err := f.store.GC(f.ctx, limit)
	f.want("gc", err, nil)
	if n > limit {
		f.Fatalf("gc removed %d, the limit was %d", n, limit)
	}
	return n
}

var collection = []test{
	{"GCInBoundedBatches", func(f *fixture) {
		for range 25 {
			f.create(noise(100))
		}
		f.clock.advance(idle + coarse)
		kept := f.create("kept")
		got := []int{collect(f, 10), collect(f, 10), collect(f, 10), collect(f, 10)}
		if got[0] != 10 || got[1] != 10 || got[2] != 5 || got[3] != 0 {
			f.Fatalf("gc of 25 in tens removed %v", got)
		}
		f.read(kept, "kept")
	}},

	{"GCLeavesWhatCanBeSeen", func(f *fixture) {
		touched, rewritten, deadline := f.create("touched"), f.create("rewritten"), newKey()
		_, err := f.store.Write(f.ctx, deadline, sessionstore.Write{Idle: time.Hour, Absolute: 2 * time.Hour})
		f.want("write", err, nil)
		buried, old := f.create("buried"), f.create("old")
		f.want("touch", f.store.Touch(f.ctx, old, sessionstore.Touch{Idle: time.Hour}), nil)
		f.want("touch", f.store.Touch(f.ctx, touched, sessionstore.Touch{Idle: time.Hour}), nil)
		_, err = f.store.Write(f.ctx, rewritten, sessionstore.Write{Payload: []byte("again"), Idle: time.Hour, IfVersion: 1})
		f.want("write", err, nil)
		l, err := f.store.Lock(f.ctx, newKey(), sessionstore.Lock{TTL: time.Hour})
		f.want("lock", err, nil)
		f.clock.advance(idle + coarse)
		f.want("destroy", f.store.Destroy(f.ctx, buried, time.Hour), nil)
		key := newKey()
		_, err = f.store.Regenerate(f.ctx, old, key, sessionstore.Regenerate{Grace: time.Hour, Tombstone: grave})
		f.want("regenerate", err, nil)
		if n := collect(f, 100); n != 0 {
			f.Fatalf("gc removed %d of what can still be seen", n)
		}
		f.read(touched, "touched")
		f.read(rewritten, "again")
		f.read(deadline, "")
		f.read(old, "old")
		f.read(key, "old")
		dead(f, buried)
		_ = l
	}},

	{"Backlog", func(f *fixture) {
		backlog := func(due int) sessionstore.Backlog {
			f.Helper()
			b, err := ability[sessionstore.Backlogger](f).Backlog(f.ctx)
			f.want("backlog", err, nil)
			if b.Due != due || b.Oldest.IsZero() != (due == 0) || b.Oldest.After(f.clock.now()) {
				f.Fatalf("backlog %+v at %v, want %d due", b, f.clock.now(), due)
			}
			return b
		}
		backlog(0)
		for range 30 {
			f.create("old")
		}
		f.lock(newKey())
		backlog(0)
		f.clock.advance(idle + coarse)
		for range 10 {
			f.create("kept")
		}
		if b := backlog(30); f.clock.now().Sub(b.Oldest) > 2*coarse {
			f.Fatalf("the oldest is due since %v at %v", b.Oldest, f.clock.now())
		}
		collect(f, 12)
		backlog(18)
		collect(f, 100)
		backlog(0)
		f.clock.advance(sessionstore.LeaseRetention + coarse)
		backlog(11)
	}},

	{"GCOfEverything", func(f *fixture) {
		f.create(noise(300_000))
		f.destroy(f.create(noise(300_000)))
		f.regenerate(f.create(noise(300_000)))
		l := f.lock(newKey())
		f.lock(newKey())
		f.want("unlock", f.store.Unlock(f.ctx, newKey(), l.Token), nil)
		f.clock.advance(grace + grave + sessionstore.LeaseRetention + ttl + coarse)
		if n := collect(f, 100); n != 6 {
			f.Fatalf("gc removed %d records, want 6: a session, a tombstone, a session and its alias, two leases", n)
		}
	}},

	{"GCNeverTakesALeaseInUse", func(f *fixture) {
		key := f.create("x")
		f.clock.advance(idle + coarse)
		l := f.lock(key)
		collect(f, 100)
		_, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, sessionstore.ErrLocked)
		f.want("write", writeUnder(f, key, l.Token), nil)
	}},
}
