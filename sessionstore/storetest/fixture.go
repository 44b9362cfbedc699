package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Times that most tests use. The idle time-out is short of the tombstone time, so that a test of one passes the other's
// end knowingly.
const (
	idle  = 30 * time.Second
	grave = 2 * time.Minute
	grace = 10 * time.Second
	ttl   = 5 * time.Second
)

// fixture is one test's store and clock, with operations that fail the test on an unexpected outcome.
type fixture struct {
	*testing.T
	ctx   context.Context
	clock *clock
	store sessionstore.Store   // the first handle
	all   []sessionstore.Store // every handle
	bare  sessionstore.Store   // the first handle, without a witness
}

func newFixture(t *testing.T, open func(testing.TB, sessionstore.Clock) []sessionstore.Store) *fixture {
	t.Helper()
	f := &fixture{T: t, clock: newClock()}
	var stop context.CancelFunc
	f.ctx, stop = context.WithTimeout(context.Background(), 2*time.Minute)
	log := newTestimony()
	bare := open(t, f.clock.now)
	for _, s := range bare {
		f.all = append(f.all, &witness{Store: s, log: log})
	}
	f.store, f.bare = f.all[0], bare[0]
	t.Cleanup(func() {
		defer stop()
		f.verify(bare[0], log)
	})
	return f
}

// verify checks the invariants that hold at the end of every test.
func (f *fixture) verify(bare sessionstore.Store, log *testimony) {
	for _, line := range log.broken {
		f.Error("invariant: ", line)
	}
	check := func(when string) {
		if c, ok := bare.(sessionstore.Checker); ok {
			if err := c.Check(f.ctx); err != nil {
				f.Errorf("invariant: %s: %v", when, err)
			}
		}
	}
	check("at the end")
	f.clock.advance(2*sessionstore.MaxDuration + sessionstore.LeaseRetention + time.Hour)
	for {
		n, err := bare.GC(f.ctx, 1000)
		if err != nil {
			f.Errorf("invariant: GC: %v", err)
			return
		}
		if n < 1000 {
			break
		}
	}
	if n, err := bare.GC(f.ctx, 1); n != 0 || err != nil {
		f.Errorf("invariant: GC after the last GC: %d, %v", n, err)
	}
	check("after GC of everything")
	for key := range log.keys {
		if _, err := bare.Read(f.ctx, key); !errors.Is(err, sessionstore.ErrNotFound) {
			f.Errorf("invariant: %v is there after the end of all times: %v", key, err)
		}
		if v, err := bare.Write(f.ctx, key, sessionstore.Write{Idle: idle}); err != nil || v != 1 {
			f.Errorf("invariant: GC left something of %v: a new session begins with version %d, %v", key, v, err)
		}
	}
}

func newKey() (k sessionstore.Key) {
	rand.Read(k[:])
	return k
}

// want fails the test unless err is the expected error, or nil where none is expected.
func (f *fixture) want(what string, err, expected error) {
	f.Helper()
	if !errors.Is(err, expected) || (expected == nil && err != nil) {
		f.Fatalf("%s: got error %v, want %v", what, err, expected)
	}
}

// write writes payload and returns the version.
func (f *fixture) write(key sessionstore.Key, payload string, ifVersion uint64) uint64 {
	f.Helper()
	v, err := f.store.Write(f.ctx, key, sessionstore.Write{Payload: []byte(payload), Idle: idle, IfVersion: ifVersion})
	f.want("write", err, nil)
	return v
}

// create makes a session and returns its key.
func (f *fixture) create(payload string) sessionstore.Key {
	f.Helper()
	key := newKey()
	if v := f.write(key, payload, 0); v != 1 {
		f.Fatalf("first version is %d, want 1", v)
	}
	return key
}

func (f *fixture) refuseWrite(key sessionstore.Key, ifVersion uint64, expected error) {
	f.Helper()
	_, err := f.store.Write(f.ctx, key, sessionstore.Write{Payload: []byte("refused"), Idle: idle, IfVersion: ifVersion})
	f.want("write", err, expected)
}

// read reads a session that must have the given payload.
func (f *fixture) read(key sessionstore.Key, payload string) sessionstore.Session {
	f.Helper()
	s, err := f.store.Read(f.ctx, key)
	f.want("read", err, nil)
	if !bytes.Equal(s.Payload, []byte(payload)) {
		f.Fatalf("read %d bytes %.40q, want %d bytes %.40q", len(s.Payload), s.Payload, len(payload), payload)
	}
	return s
}

func (f *fixture) missing(key sessionstore.Key) {
	f.Helper()
	_, err := f.store.Read(f.ctx, key)
	f.want("read", err, sessionstore.ErrNotFound)
}

func (f *fixture) destroy(key sessionstore.Key) {
	f.Helper()
	f.want("destroy", f.store.Destroy(f.ctx, key, grave), nil)
}

// regenerate moves a session to a new key and returns it.
func (f *fixture) regenerate(old sessionstore.Key) sessionstore.Key {
	f.Helper()
	key := newKey()
	_, err := f.store.Regenerate(f.ctx, old, key, sessionstore.Regenerate{Grace: grace, Tombstone: grave})
	f.want("regenerate", err, nil)
	return key
}

func (f *fixture) lock(key sessionstore.Key) sessionstore.Lease {
	f.Helper()
	l, err := f.store.Lock(f.ctx, key, sessionstore.Lock{TTL: ttl})
	f.want("lock", err, nil)
	if l.Token == 0 {
		f.Fatal("a lease without a token")
	}
	return l
}
