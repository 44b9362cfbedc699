package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

var basics = []test{
	{"ReadOfNothing", func(f *fixture) { f.missing(newKey()) }},

	{"WriteThenRead", func(f *fixture) {
		key := f.create("one")
		s := f.read(key, "one")
		if s.Key != key || s.Version != 1 || !s.Created.Equal(f.clock.now()) || !s.Expires.Equal(f.clock.now().Add(idle)) || !s.Deadline.IsZero() {
			f.Fatalf("read %+v", s)
		}
		f.clock.advance(time.Second)
		if v := f.write(key, "two", 1); v != 2 {
			f.Fatalf("second version is %d", v)
		}
		again := f.read(key, "two")
		if again.Version != 2 || !again.Created.Equal(s.Created) || !again.Expires.Equal(f.clock.now().Add(idle)) {
			f.Fatalf("read %+v", again)
		}
	}},

	{"PayloadsOfAllSizes", func(f *fixture) {
		key := newKey()
		version := uint64(0)
		for _, size := range []int{0, 1, 255, 256, 2 << 10, 13_999, 14_000, 27_999, 28_000, 30_000, 30_001, 65_535, 65_536, 200_000,
			sessionstore.MaxPayload - 1, sessionstore.MaxPayload, 100, 0} {
			payload := noise(size)
			version = f.write(key, payload, version)
			if s := f.read(key, payload); s.Version != version {
				f.Fatalf("%d bytes: version %d, want %d", size, s.Version, version)
			}
		}
	}},

	{"PayloadIsBytes", func(f *fixture) {
		for _, payload := range []string{"\x00", "it's \"quoted\" \\ and %d ? :name", "\xff\xfe\x80", "\r\n\x1a", "日本語", strings.Repeat("\x00", 5000)} {
			f.read(f.create(payload), payload)
		}
	}},

	{"TooLarge", func(f *fixture) {
		key := f.create("kept")
		_, err := f.store.Write(f.ctx, key, sessionstore.Write{Payload: make([]byte, sessionstore.MaxPayload+1), Idle: idle, IfVersion: 1})
		f.want("write", err, sessionstore.ErrTooLarge)
		f.read(key, "kept")
	}},

	{"PayloadsBelongToTheCaller", func(f *fixture) {
		key := newKey()
		mine := []byte("mine")
		_, err := f.store.Write(f.ctx, key, sessionstore.Write{Payload: mine, Idle: idle})
		f.want("write", err, nil)
		copy(mine, "XXXX")
		s := f.read(key, "mine")
		copy(s.Payload, "YYYY")
		f.read(key, "mine")
	}},

	{"CompareAndSet", func(f *fixture) {
		key := f.create("one")
		f.refuseWrite(key, 0, sessionstore.ErrConflict)
		f.refuseWrite(key, 2, sessionstore.ErrConflict)
		f.write(key, "two", 1)
		f.refuseWrite(key, 1, sessionstore.ErrConflict)
		f.read(key, "two")
		f.refuseWrite(newKey(), 1, sessionstore.ErrNotFound)
	}},

	{"LastWriterWins", func(f *fixture) {
		key := newKey()
		for want := uint64(1); want < 4; want++ {
			if v := f.write(key, "again", sessionstore.AnyVersion); v != want {
				f.Fatalf("version %d, want %d", v, want)
			}
		}
		if v := f.write(key, "then by version", 3); v != 4 {
			f.Fatalf("version %d, want 4", v)
		}
	}},

	{"SameBytesAreANewVersion", func(f *fixture) {
		key := f.create("same")
		if v := f.write(key, "same", 1); v != 2 {
			f.Fatalf("version %d, want 2", v)
		}
		if v := f.write(key, "same", sessionstore.AnyVersion); v != 3 {
			f.Fatalf("version %d, want 3", v)
		}
	}},

	{"InvalidTimes", func(f *fixture) {
		key := f.create("kept")
		for _, w := range []sessionstore.Write{
			{IfVersion: 1}, {IfVersion: 1, Idle: -1}, {IfVersion: 1, Idle: time.Microsecond},
			{IfVersion: 1, Idle: sessionstore.MaxDuration + 1}, {IfVersion: 1, Idle: idle, Absolute: -1},
		} {
			_, err := f.store.Write(f.ctx, key, w)
			f.want("write", err, sessionstore.ErrInvalid)
		}
		f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{}), sessionstore.ErrInvalid)
		f.want("destroy", f.store.Destroy(f.ctx, key, 0), sessionstore.ErrInvalid)
		_, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: 0})
		f.want("lock", err, sessionstore.ErrInvalid)
		_, err = f.store.Regenerate(f.ctx, key, key, sessionstore.Regenerate{Grace: grace, Tombstone: grave})
		f.want("regenerate into itself", err, sessionstore.ErrInvalid)
		_, err = f.store.Regenerate(f.ctx, key, newKey(), sessionstore.Regenerate{Grace: -1, Tombstone: grave})
		f.want("regenerate", err, sessionstore.ErrInvalid)
		f.read(key, "kept")
	}},

	{"CancelledContext", func(f *fixture) {
		key := f.create("kept")
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		if _, err := f.store.Read(ctx, key); !errors.Is(err, context.Canceled) {
			f.Fatalf("read: %v", err)
		}
		if _, err := f.store.Write(ctx, key, sessionstore.Write{Idle: idle, IfVersion: 1}); !errors.Is(err, context.Canceled) {
			f.Fatalf("write: %v", err)
		}
		f.read(key, "kept")
	}},

	{"Ping", func(f *fixture) { f.want("ping", f.store.Ping(f.ctx), nil) }},
}

// noise returns n bytes that repeat nowhere soon and differ from size to size.
func noise(n int) string {
	var b bytes.Buffer
	b.Grow(n + 8)
	for x := uint64(n)*2654435761 + 1; b.Len() < n; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for i := range 8 {
			b.WriteByte(byte(x >> (8 * i)))
		}
	}
	return b.String()[:n]
}
