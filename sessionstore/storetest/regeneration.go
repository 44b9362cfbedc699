package storetest

import (
	"bytes"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

var regeneration = []test{
	{"RegenerateKeepsTheSession", func(f *fixture) {
		old := f.create("one")
		f.write(old, "two", 1)
		before := f.read(old, "two")
		f.clock.advance(time.Second)
		key := newKey()
		s, err := f.store.Regenerate(f.ctx, old, key, sessionstore.Regenerate{Grace: grace, Tombstone: grave})
		f.want("regenerate", err, nil)
		after := f.read(key, "two")
		for _, got := range []sessionstore.Session{s, after} {
			if got.Key != key || got.Version != 2 || !bytes.Equal(got.Payload, before.Payload) || !got.Created.Equal(before.Created) || !got.Expires.Equal(before.Expires) {
				f.Fatalf("regenerated %+v from %+v", got, before)
			}
		}
	}},

	{"OldKeyIsAnAlias", func(f *fixture) {
		old := f.create("one")
		key := f.regenerate(old)
		if s := f.read(old, "one"); s.Key != key {
			f.Fatalf("read by the alias gave key %v, want %v", s.Key, key)
		}
		f.write(old, "by the alias", 1)
		f.read(key, "by the alias")
		f.want("touch", f.store.Touch(f.ctx, old, sessionstore.Touch{Idle: time.Hour}), nil)
		if s := f.read(key, "by the alias"); !s.Expires.Equal(f.clock.now().Add(time.Hour)) {
			f.Fatalf("touch by the alias: expires %v", s.Expires)
		}
		f.refuseWrite(old, 0, sessionstore.ErrConflict)
		if v := f.write(old, "last wins", sessionstore.AnyVersion); v != 3 {
			f.Fatalf("version %d, want 3", v)
		}
	}},

	{"AliasEndsAsATombstone", func(f *fixture) {
		old := f.create("one")
		f.want("touch", f.store.Touch(f.ctx, old, sessionstore.Touch{Idle: time.Hour}), nil)
		key := f.regenerate(old)
		f.clock.advance(grace - time.Millisecond)
		f.read(old, "one")
		f.clock.advance(time.Millisecond)
		dead(f, old)
		f.clock.advance(grave - time.Millisecond)
		dead(f, old)
		f.clock.advance(time.Millisecond)
		f.write(old, "another", 0)
		f.read(key, "one")
	}},

	{"NoGrace", func(f *fixture) {
		old, key := f.create("one"), newKey()
		_, err := f.store.Regenerate(f.ctx, old, key, sessionstore.Regenerate{Tombstone: grave})
		f.want("regenerate", err, nil)
		dead(f, old)
		f.read(key, "one")
	}},

	{"DestroyByTheAlias", func(f *fixture) {
		old := f.create("one")
		key := f.regenerate(old)
		f.destroy(old)
		dead(f, key)
		dead(f, old)
	}},

	{"RegenerateInAChain", func(f *fixture) {
		keys := []sessionstore.Key{f.create(noise(50_000))}
		for range sessionstore.MaxAliasHops {
			keys = append(keys, f.regenerate(keys[0]))
		}
		last := keys[len(keys)-1]
		for i, key := range keys {
			if s := f.read(key, noise(50_000)); s.Key != last {
				f.Fatalf("key %d leads to %v, want %v", i, s.Key, last)
			}
		}
		f.regenerate(last)
		f.missing(keys[0])
		f.read(keys[1], noise(50_000))
	}},

	{"RegenerateOntoSomething", func(f *fixture) {
		old := f.create("one")
		grown := newKey()
		f.destroy(grown)
		for _, taken := range []sessionstore.Key{f.create("other"), grown} {
			_, err := f.store.Regenerate(f.ctx, old, taken, sessionstore.Regenerate{Grace: grace, Tombstone: grave})
			f.want("regenerate", err, sessionstore.ErrConflict)
			f.read(old, "one")
		}
	}},

	{"RegenerateOfNothing", func(f *fixture) {
		key := newKey()
		_, err := f.store.Regenerate(f.ctx, newKey(), key, sessionstore.Regenerate{Grace: grace, Tombstone: grave})
		f.want("regenerate", err, sessionstore.ErrNotFound)
		f.missing(key)
	}},

	{"RegenerateMovesTheLease", func(f *fixture) {
		old, key := f.create("one"), newKey()
		l := f.lock(old)
		r := sessionstore.Regenerate{Grace: grace, Tombstone: grave, Token: l.Token + 1}
		_, err := f.store.Regenerate(f.ctx, old, key, r)
		f.want("regenerate", err, sessionstore.ErrConflict)
		r.Token = l.Token
		_, err = f.store.Regenerate(f.ctx, old, key, r)
		f.want("regenerate", err, nil)
		_, err = f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, sessionstore.ErrLocked)
		_, err = f.store.Write(f.ctx, key, sessionstore.Write{Payload: []byte("two"), Idle: idle, IfVersion: 1, Token: l.Token})
		f.want("write", err, nil)
		f.want("unlock", f.store.Unlock(f.ctx, key, l.Token), nil)
		f.lock(key)
		f.lock(old)
	}},
}
