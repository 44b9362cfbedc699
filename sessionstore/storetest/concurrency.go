package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/lvsession/lvsession/sessionstore"
)

// parallel runs n workers at once, worker i on handle i modulo the number of handles, and waits for them.
func (f *fixture) parallel(n int, work func(i int, s sessionstore.Store)) {
	f.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			work(i, f.all[i%len(f.all)])
		})
	}
	close(start)
	wg.Wait()
}

// increment adds one to the decimal counter in a session by compare and set, trying until it succeeds.
func increment(ctx context.Context, s sessionstore.Store, key sessionstore.Key) error {
	for {
		old, err := s.Read(ctx, key)
		if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
			return err
		}
		n, _ := strconv.Atoi(string(old.Payload))
		_, err = s.Write(ctx, key, sessionstore.Write{Payload: []byte(strconv.Itoa(n + 1)), Idle: idle, IfVersion: old.Version})
		if !errors.Is(err, sessionstore.ErrConflict) {
			return err
		}
	}
}

var concurrency = []test{
	{"ConcurrentIncrements", func(f *fixture) {
		key := newKey()
		const workers, each = 8, 10
		f.parallel(workers, func(_ int, s sessionstore.Store) {
			for range each {
				if err := increment(f.ctx, s, key); err != nil {
					f.Errorf("increment: %v", err)
					return
				}
			}
		})
		if s := f.read(key, strconv.Itoa(workers*each)); s.Version != workers*each {
			f.Fatalf("version %d, want %d", s.Version, workers*each)
		}
	}},

	{"ConcurrentCreates", func(f *fixture) {
		for range 5 {
			key := newKey()
			var won atomic.Int32
			f.parallel(8, func(i int, s sessionstore.Store) {
				_, err := s.Write(f.ctx, key, sessionstore.Write{Payload: []byte(strconv.Itoa(i)), Idle: idle})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, sessionstore.ErrConflict):
					f.Errorf("create: %v", err)
				}
			})
			if won.Load() != 1 {
				f.Fatalf("%d of 8 creations won", won.Load())
			}
		}
	}},

	{"ConcurrentLastWriterWins", func(f *fixture) {
		key := newKey()
		var mu sync.Mutex
		seen := map[uint64]string{}
		const workers, each = 8, 10
		f.parallel(workers, func(i int, s sessionstore.Store) {
			for n := range each {
				payload := strconv.Itoa(i*each + n)
				v, err := s.Write(f.ctx, key, sessionstore.Write{Payload: []byte(payload), Idle: idle, IfVersion: sessionstore.AnyVersion})
				if err != nil {
					f.Errorf("write: %v", err)
					return
				}
				mu.Lock()
				if _, twice := seen[v]; twice {
					f.Errorf("version %d was given twice", v)
				}
				seen[v] = payload
				mu.Unlock()
			}
		})
		f.read(key, seen[workers*each])
	}},

	{"ConcurrentWritesThroughAliases", func(f *fixture) {
		old := f.create("1")
		keys := []sessionstore.Key{old, f.regenerate(old)}
		keys = append(keys, f.regenerate(old))
		var mu sync.Mutex
		seen := map[uint64]bool{1: true}
		const workers, each = 9, 8
		f.parallel(workers, func(i int, s sessionstore.Store) {
			for n := range each {
				w := sessionstore.Write{Payload: []byte(strconv.Itoa(i*each + n)), Idle: idle, IfVersion: sessionstore.AnyVersion}
				if i%3 == 0 {
					w.IfVersion = 0
				}
				v, err := s.Write(f.ctx, keys[(i+n)%3], w)
				switch {
				case i%3 == 0:
					if !errors.Is(err, sessionstore.ErrConflict) {
						f.Errorf("creation of a session that is there: version %d, %v", v, err)
					}
					continue
				case err != nil:
					f.Errorf("write: %v", err)
					return
				}
				mu.Lock()
				if seen[v] {
					f.Errorf("version %d was given twice", v)
				}
				seen[v] = true
				mu.Unlock()
			}
		})
		s, err := f.store.Read(f.ctx, old)
		f.want("read", err, nil)
		if want := uint64(1 + workers/3*2*each); s.Version != want {
			f.Fatalf("version %d, want %d", s.Version, want)
		}
	}},

	{"ConcurrentReadsAreNeverTorn", func(f *fixture) {
		key := f.create(signed(0, 1))
		const writes = 12
		var done atomic.Bool
		f.parallel(5, func(i int, s sessionstore.Store) {
			if i == 0 {
				defer done.Store(true)
				for n := range writes {
					if _, err := s.Write(f.ctx, key, sessionstore.Write{Payload: []byte(signed(70_000*(n%4), n)), Idle: idle, IfVersion: sessionstore.AnyVersion}); err != nil {
						f.Errorf("write: %v", err)
						return
					}
				}
				return
			}
			var last uint64
			for !done.Load() {
				got, err := s.Read(f.ctx, key)
				if err != nil {
					f.Errorf("read: %v", err)
					return
				}
				if !intact(got.Payload) {
					f.Errorf("version %d is torn: %d bytes", got.Version, len(got.Payload))
					return
				}
				if got.Version < last {
					f.Errorf("read version %d after %d", got.Version, last)
					return
				}
				last = got.Version
			}
		})
	}},

	{"ConcurrentReadsNeverGoBack", func(f *fixture) {
		// Where copies of a row answer reads, one may have a change that another has not yet.
		const pairs, writes = 3, 150
		keys := [pairs]sessionstore.Key{}
		for i := range keys {
			keys[i] = f.create("x")
		}
		var writing atomic.Int32
		writing.Store(pairs)
		f.parallel(4*pairs, func(i int, s sessionstore.Store) {
			key := keys[i%pairs]
			if i < pairs {
				defer writing.Add(-1)
				for v := uint64(1); v <= writes; v++ {
					if _, err := s.Write(f.ctx, key, sessionstore.Write{Payload: []byte("x"), Idle: idle, IfVersion: v}); err != nil {
						f.Errorf("write: %v", err)
						return
					}
				}
				return
			}
			for last := uint64(0); writing.Load() > 0; {
				got, err := s.Read(f.ctx, key)
				if err != nil || got.Version < last {
					f.Errorf("read version %d after %d: %v", got.Version, last, err)
					return
				}
				last = got.Version
			}
		})
	}},

	{"ConcurrentLocksExclude", func(f *fixture) {
		key := newKey()
		var inside, passed atomic.Int32
		f.parallel(6, func(_ int, s sessionstore.Store) {
			for passed.Load() < 30 && f.ctx.Err() == nil {
				l, err := s.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
				if errors.Is(err, sessionstore.ErrLocked) {
					continue
				}
				if err != nil {
					f.Errorf("lock: %v", err)
					return
				}
				if inside.Add(1) != 1 {
					f.Error("two hold the lease at once")
				}
				passed.Add(1)
				inside.Add(-1)
				if err := s.Unlock(f.ctx, key, l.Token); err != nil {
					f.Errorf("unlock: %v", err)
				}
			}
		})
	}},

	{"ConcurrentDestroy", func(f *fixture) {
		for range 5 {
			key := f.create("logged in")
			var destroyed atomic.Bool
			f.parallel(6, func(i int, s sessionstore.Store) {
				if i == 0 {
					if err := s.Destroy(f.ctx, key, grave); err != nil {
						f.Errorf("destroy: %v", err)
					}
					destroyed.Store(true)
					return
				}
				for range 8 {
					late := destroyed.Load()
					_, err := s.Write(f.ctx, key, sessionstore.Write{Payload: []byte("in flight"), Idle: idle, IfVersion: sessionstore.AnyVersion})
					switch {
					case err == nil && late:
						f.Error("a write resurrected a destroyed session")
					case err != nil && !errors.Is(err, sessionstore.ErrDestroyed):
						f.Errorf("write: %v", err)
					}
				}
			})
			dead(f, key)
		}
	}},

	{"ConcurrentRegenerate", func(f *fixture) {
		key := f.create("0")
		const workers, each = 4, 2
		f.parallel(workers, func(i int, s sessionstore.Store) {
			for range each {
				if _, err := s.Regenerate(f.ctx, key, newKey(), sessionstore.Regenerate{Grace: grace, Tombstone: grave}); err != nil {
					f.Errorf("regenerate: %v", err)
				}
				if err := increment(f.ctx, s, key); err != nil {
					f.Errorf("increment: %v", err)
				}
			}
		})
		f.read(key, strconv.Itoa(workers*each))
	}},

	{"ConcurrentGC", func(f *fixture) {
		for range 40 {
			f.create("old")
		}
		f.clock.advance(idle + coarse)
		kept := f.create("kept")
		var removed atomic.Int32
		f.parallel(4, func(_ int, s sessionstore.Store) {
			for {
				n, err := s.GC(f.ctx, 7)
				if err != nil {
					f.Errorf("gc: %v", err)
				}
				removed.Add(int32(n))
				if n < 7 {
					return
				}
			}
		})
		removed.Add(int32(collect(f, 100)))
		if removed.Load() != 40 {
			f.Fatalf("four collectors removed %d in all, want 40", removed.Load())
		}
		f.read(kept, "kept")
	}},
}

var sharing = []test{
	{"WhatOneWritesTheOtherReads", func(f *fixture) {
		key := newKey()
		for v := range uint64(10) {
			payload := noise(int(v) * 9000)
			writer, reader := f.all[v%2], f.all[(v+1)%2]
			if _, err := writer.Write(f.ctx, key, sessionstore.Write{Payload: []byte(payload), Idle: idle, IfVersion: v}); err != nil {
				f.Fatalf("write: %v", err)
			}
			s, err := reader.Read(f.ctx, key)
			if err != nil || s.Version != v+1 || string(s.Payload) != payload {
				f.Fatalf("read version %d, %d bytes, %v; want version %d", s.Version, len(s.Payload), err, v+1)
			}
		}
	}},

	{"LeasesHoldEverywhere", func(f *fixture) {
		key := newKey()
		l, err := f.all[0].Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock", err, nil)
		_, err = f.all[1].Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock by the other", err, sessionstore.ErrLocked)
		f.want("unlock by the other", f.all[1].Unlock(f.ctx, key, l.Token), nil)
		_, err = f.all[1].Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
		f.want("lock by the other", err, nil)
		f.want("write by the first", writeUnder(f, key, l.Token), sessionstore.ErrConflict)
	}},
}

// signed returns a payload of n bytes and a digest of them, so that a torn read shows.
func signed(n, salt int) string {
	body := noise(n) + strconv.Itoa(salt)
	sum := sha256.Sum256([]byte(body))
	return string(sum[:]) + body
}

func intact(payload []byte) bool {
	if len(payload) < sha256.Size {
		return false
	}
	sum := sha256.Sum256(payload[sha256.Size:])
	return string(sum[:]) == string(payload[:sha256.Size])
}
