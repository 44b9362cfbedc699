package storetest

import (
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// dead asserts that a destroyed session cannot be brought back by any operation.
func dead(f *fixture, key sessionstore.Key) {
	f.Helper()
	f.missing(key)
	for _, v := range []uint64{0, 1, 2, sessionstore.AnyVersion} {
		f.refuseWrite(key, v, sessionstore.ErrDestroyed)
	}
	for _, create := range []bool{false, true} {
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle, Create: create}), sessionstore.ErrDestroyed)
	}
	_, err := f.store.Regenerate(f.ctx, key, newKey(), sessionstore.Regenerate{Grace: grace, Tombstone: grave})
	f.want("regenerate", err, sessionstore.ErrDestroyed)
	f.missing(key)
}

var endings = []test{
	{"DestroyedStaysDestroyed", func(f *fixture) {
		key := f.create("secret")
		f.destroy(key)
		dead(f, key)
		f.clock.advance(grave - time.Millisecond)
		dead(f, key)
		f.clock.advance(time.Millisecond)
		f.missing(key)
		f.refuseWrite(key, 1, sessionstore.ErrNotFound)
		f.write(key, "a new one", 0)
		f.read(key, "a new one")
	}},

	{"DestroyIsIdempotent", func(f *fixture) {
		key := f.create("secret")
		f.destroy(key)
		f.clock.advance(grave / 2)
		f.destroy(key)
		f.clock.advance(grave - time.Millisecond)
		dead(f, key)
	}},

	{"DestroyOfNothingLeavesATombstone", func(f *fixture) {
		key := newKey()
		f.destroy(key)
		dead(f, key)
	}},

	{"DestroyOfALargePayload", func(f *fixture) {
		key := f.create(noise(100_000))
		f.destroy(key)
		dead(f, key)
		f.clock.advance(grave)
		f.write(key, "small", 0)
		f.read(key, "small")
	}},

	{"DestroyOfAnExpiredSession", func(f *fixture) {
		key := f.create("old")
		f.clock.advance(idle)
		f.destroy(key)
		dead(f, key)
	}},
}
