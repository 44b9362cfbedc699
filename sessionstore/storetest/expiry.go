package storetest

import (
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

var expiry = []test{
	{"ExpiresToTheMillisecond", func(f *fixture) {
		key := f.create("short")
		f.clock.advance(idle - time.Millisecond)
		f.read(key, "short")
		f.clock.advance(time.Millisecond)
		f.missing(key)
		f.refuseWrite(key, 1, sessionstore.ErrNotFound)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle}), sessionstore.ErrNotFound)
		_, err := f.store.Regenerate(f.ctx, key, newKey(), sessionstore.Regenerate{Grace: grace, Tombstone: grave})
		f.want("regenerate", err, sessionstore.ErrNotFound)
		f.missing(key)
	}},

	{"RemainsBequeathTheirVersion", func(f *fixture) {
		key := f.create("first")
		f.write(key, "first", 1)
		f.clock.advance(idle)
		if v := f.write(key, "second", 0); v != 3 {
			f.Fatalf("version %d over the remains of version 2, want 3", v)
		}
		if s := f.read(key, "second"); !s.Created.Equal(f.clock.now()) {
			f.Fatalf("created %v, want %v", s.Created, f.clock.now())
		}
		f.clock.advance(idle)
		if v := f.write(key, "third", sessionstore.AnyVersion); v != 4 {
			f.Fatalf("version %d over the remains of version 3, want 4", v)
		}
		f.read(key, "third")
	}},

	{"RemainsOfALargePayload", func(f *fixture) {
		key := f.create(noise(200_000))
		f.clock.advance(idle)
		f.write(key, "small", 0)
		f.read(key, "small")
	}},

	{"TouchMovesTheExpiryOnly", func(f *fixture) {
		key := f.create("kept")
		f.clock.advance(idle - time.Millisecond)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle}), nil)
		f.clock.advance(idle - time.Millisecond)
		s := f.read(key, "kept")
		if s.Version != 1 || !s.Expires.Equal(f.clock.now().Add(time.Millisecond)) {
			f.Fatalf("after touch: %+v", s)
		}
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: time.Millisecond}), nil)
		f.clock.advance(time.Millisecond)
		f.missing(key)
	}},

	{"TouchTwiceInOneMillisecond", func(f *fixture) {
		key := f.create("kept")
		for range 3 {
			f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle}), nil)
		}
	}},

	{"TouchOfNothing", func(f *fixture) {
		key := newKey()
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle}), sessionstore.ErrNotFound)
		f.missing(key)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Create: true}), nil)
		if s := f.read(key, ""); s.Version != 1 {
			f.Fatalf("version %d", s.Version)
		}
		f.write(key, "filled", 1)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Create: true}), nil)
		f.read(key, "filled")
	}},

	{"DeadlineCapsEverything", func(f *fixture) {
		key := newKey()
		_, err := f.store.Write(f.ctx, key, sessionstore.Write{Payload: []byte("x"), Idle: idle, Absolute: 2 * idle})
		f.want("write", err, nil)
		end := f.clock.now().Add(2 * idle)
		f.clock.advance(idle - time.Second)
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle}), nil)
		f.clock.advance(idle - time.Second)
		_, err = f.store.Write(f.ctx, key, sessionstore.Write{Payload: []byte("y"), Idle: idle, Absolute: 10 * idle, IfVersion: 1})
		f.want("write", err, nil)
		if s := f.read(key, "y"); !s.Expires.Equal(end) || !s.Deadline.Equal(end) {
			f.Fatalf("expires %v, deadline %v, want both %v", s.Expires, s.Deadline, end)
		}
		next := f.regenerate(key)
		f.want("touch", f.store.Touch(f.ctx, next, sessionstore.Touch{Idle: idle}), nil)
		if s := f.read(next, "y"); !s.Expires.Equal(end) {
			f.Fatalf("regenerated: expires %v, want %v", s.Expires, end)
		}
		f.clock.advance(2 * time.Second)
		f.missing(next)
	}},
}
