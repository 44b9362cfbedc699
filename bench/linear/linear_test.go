package linear_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/linear"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/embedded"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// slow makes the operations of a store overlap.
type slow struct{ sessionstore.Store }

func pause() { time.Sleep(rand.N(100 * time.Microsecond)) }

func (s slow) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	pause()
	defer pause()
	return s.Store.Read(ctx, key)
}

func (s slow) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	pause()
	defer pause()
	return s.Store.Write(ctx, key, w)
}

func (s slow) Destroy(ctx context.Context, key sessionstore.Key, tombstone time.Duration) error {
	pause()
	defer pause()
	return s.Store.Destroy(ctx, key, tombstone)
}

func (s slow) Lock(ctx context.Context, key sessionstore.Key, l sessionstore.Lock) (sessionstore.Lease, error) {
	pause()
	defer pause()
	return s.Store.Lock(ctx, key, l)
}

// history runs a seed against two services over the store.
func history(t *testing.T, store sessionstore.Store, seed uint64, operations int) *linear.History {
	t.Helper()
	policy := sessionstore.DefaultPolicy()
	policy.Idle, policy.Tombstone, policy.Grace, policy.LockTTL = time.Hour, time.Hour, time.Hour, time.Hour
	c := linear.Config{Seed: seed, Operations: operations}
	for range 2 {
		svc, err := sessionstore.NewService(slow{store}, policy, nil)
		if err != nil {
			t.Fatal(err)
		}
		ns, err := svc.Namespace("x")
		if err != nil {
			t.Fatal(err)
		}
		c.Sessions = append(c.Sessions, ns)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h, err := linear.Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const each = 10 * time.Second // for the checker, a session

// outcomes are what must happen in histories: what never happens in them, they prove nothing about.
var outcomes = map[linear.Kind][]linear.Class{
	linear.Read:       {linear.OK, linear.NotFound},
	linear.Write:      {linear.OK, linear.NotFound, linear.Conflict, linear.Destroyed, linear.Unknown},
	linear.Touch:      {linear.OK, linear.Destroyed},
	linear.Destroy:    {linear.OK},
	linear.Lock:       {linear.OK, linear.Locked, linear.Unknown},
	linear.Unlock:     {linear.OK, linear.Unknown},
	linear.Regenerate: {linear.OK},
}

// TestMemoryIsLinearizable, see isLinearizable.
func TestMemoryIsLinearizable(t *testing.T) {
	isLinearizable(t, func() sessionstore.Store { return memory.New(nil) })
}

// TestEmbeddedIsLinearizable: also with a cache so small that sessions come and go in it.
func TestEmbeddedIsLinearizable(t *testing.T) {
	for name, cache := range map[string]int64{"default": 0, "small cache": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			isLinearizable(t, func() sessionstore.Store {
				s, err := embedded.Open(t.TempDir(), embedded.Options{CacheBytes: cache})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := errors.Join(s.Check(context.Background()), s.Close()); err != nil {
						t.Error(err)
					}
				})
				return s
			})
		})
	}
}

// isLinearizable checks three histories, and more until everything has happened in them: how operations
// interleave is chance, and some outcomes are rare.
func isLinearizable(t *testing.T, open func() sessionstore.Store) {
	t.Helper()
	const least, most = 3, 30
	seen := map[linear.Kind]map[linear.Class]int{}
	for seed := range uint64(most) {
		h := history(t, open(), seed, 4000)
		found, err := linear.Check(h, each, 5)
		if err != nil {
			t.Error(err)
		}
		for _, v := range found {
			t.Errorf("%v", v)
		}
		total, by := h.Counts()
		t.Logf("seed %d: %d operations on %d sessions: %v", seed, total, len(h.Sessions()), by)
		for kind, classes := range by {
			if seen[kind] == nil {
				seen[kind] = map[linear.Class]int{}
			}
			for class, n := range classes {
				seen[kind][class] += n
			}
		}
		if t.Failed() || seed+1 >= least && len(missing(seen)) == 0 {
			break
		}
	}
	for _, m := range missing(seen) {
		t.Error(m)
	}
}

// missing tells which of the outcomes were not seen.
func missing(seen map[linear.Kind]map[linear.Class]int) (list []string) {
	for kind, classes := range outcomes {
		for _, class := range classes {
			if seen[kind][class] == 0 {
				list = append(list, fmt.Sprintf("no %v came to %q", kind, class))
			}
		}
	}
	return list
}

// sometimes is true once in n calls.
type sometimes struct{ calls atomic.Int64 }

func (s *sometimes) in(n int64) bool { return s.calls.Add(1)%n == 0 }

// losing acknowledges writes that it does not keep.
type losing struct {
	sessionstore.Store
	sometimes
}

func (s *losing) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	if session, err := s.Store.Read(ctx, key); err == nil && w.IfVersion == session.Version && s.in(10) {
		return session.Version + 1, nil
	}
	return s.Store.Write(ctx, key, w)
}

// stale reads what was there at an earlier read.
type stale struct {
	sessionstore.Store
	sometimes
	mu   sync.Mutex
	seen map[sessionstore.Key]sessionstore.Session
}

func (s *stale) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	now, err := s.Store.Read(ctx, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.seen[key]
	if err == nil {
		s.seen[key] = now
	}
	if ok && s.in(20) {
		return old, nil
	}
	return now, err
}

// resurrecting writes what was destroyed.
type resurrecting struct{ sessionstore.Store }

func (s resurrecting) at(ctx context.Context, key sessionstore.Key) sessionstore.Key {
	if next := sessionstore.Key(sha256.Sum256(key[:])); s.has(ctx, next) {
		return next
	}
	return key
}

func (s resurrecting) has(ctx context.Context, key sessionstore.Key) bool {
	_, err := s.Store.Read(ctx, key)
	return err == nil
}

func (s resurrecting) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	return s.Store.Read(ctx, s.at(ctx, key))
}

func (s resurrecting) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	v, err := s.Store.Write(ctx, key, w)
	if errors.Is(err, sessionstore.ErrDestroyed) && w.IfVersion == sessionstore.AnyVersion {
		return s.Store.Write(ctx, sha256.Sum256(key[:]), w)
	}
	return v, err
}

// careless ignores the version that a write expects.
type careless struct{ sessionstore.Store }

func (s careless) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	w.IfVersion = sessionstore.AnyVersion
	return s.Store.Write(ctx, key, w)
}

// unfenced ignores the lease that a write is made under.
type unfenced struct{ sessionstore.Store }

func (s unfenced) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	w.Token, w.Release = 0, false
	return s.Store.Write(ctx, key, w)
}

// open has locks that exclude nobody.
type open struct {
	sessionstore.Store
	token atomic.Uint64
}

func (s *open) Lock(context.Context, sessionstore.Key, sessionstore.Lock) (sessionstore.Lease, error) {
	return sessionstore.Lease{Token: s.token.Add(1), Until: time.Now().Add(time.Hour)}, nil
}

// jammed never ends a lease.
type jammed struct{ sessionstore.Store }

func (s jammed) Unlock(context.Context, sessionstore.Key, uint64) error { return nil }

// forgetful acknowledges touches that created nothing.
type forgetful struct {
	sessionstore.Store
	sometimes
}

func (s *forgetful) Touch(ctx context.Context, key sessionstore.Key, t sessionstore.Touch) error {
	if t.Create && s.in(3) {
		return nil
	}
	return s.Store.Touch(ctx, key, t)
}

// mixing leaves the second half of one payload behind the first of another.
type mixing struct {
	sessionstore.Store
	sometimes
}

func (s *mixing) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	if session, err := s.Store.Read(ctx, key); err == nil && len(session.Payload) > len(w.Payload) && s.in(10) {
		w.Payload = append(w.Payload, session.Payload[len(w.Payload):]...)
	}
	return s.Store.Write(ctx, key, w)
}

func TestBrokenStoresAreFound(t *testing.T) {
	m := func() sessionstore.Store { return memory.New(nil) }
	for name, store := range map[string]sessionstore.Store{
		"loses writes":                 &losing{Store: m()},
		"reads what is over":           &stale{Store: m(), seen: map[sessionstore.Key]sessionstore.Session{}},
		"resurrects destroyed":         resurrecting{m()},
		"ignores versions":             careless{m()},
		"ignores leases":               unfenced{m()},
		"locks that exclude nobody":    &open{Store: m()},
		"leases that never end":        jammed{m()},
		"forgets what a touch created": &forgetful{Store: m()},
		"tears payloads":               &mixing{Store: m()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the stores sleep most of the time
			found, err := linear.Check(history(t, store, 1, 2000), each, 1)
			if len(found) == 0 {
				t.Fatalf("not found, %v", err)
			}
			text := found[0].Error()
			t.Log(text)
			if !strings.Contains(text, found[0].Session) || !strings.Contains(text, "→") {
				t.Error("the report does not show the session and its history")
			}
			page := filepath.Join(t.TempDir(), "violation.html")
			if err := found[0].Visualize(page); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), "<html") {
				t.Errorf("the page: %v", err)
			}
		})
	}
}

// unreliable is correct, but does not always tell what came of a change: it was made, it was not, or it will be.
type unreliable struct {
	sessionstore.Store
	later sync.WaitGroup
}

var errUnreliable = &sessionstore.UnavailableError{Op: "test", Cause: errors.New("test")}

// change makes a change, and says what came of it or, three times out of so many, not.
func (s *unreliable) change(of int, do func() (uint64, error)) (uint64, error) {
	switch rand.IntN(of) {
	case 0:
		return 0, errUnreliable
	case 1:
		do()
		return 0, errUnreliable
	case 2:
		s.later.Go(func() {
			time.Sleep(rand.N(20 * time.Millisecond))
			do()
		})
		return 0, errUnreliable
	}
	return do()
}

func (s *unreliable) Write(ctx context.Context, key sessionstore.Key, w sessionstore.Write) (uint64, error) {
	return s.change(60, func() (uint64, error) { return s.Store.Write(context.WithoutCancel(ctx), key, w) })
}

func (s *unreliable) Destroy(ctx context.Context, key sessionstore.Key, tombstone time.Duration) error {
	_, err := s.change(12, func() (uint64, error) { return 0, s.Store.Destroy(context.WithoutCancel(ctx), key, tombstone) })
	return err
}

func (s *unreliable) Unlock(ctx context.Context, key sessionstore.Key, token uint64) error {
	_, err := s.change(60, func() (uint64, error) { return 0, s.Store.Unlock(context.WithoutCancel(ctx), key, token) })
	return err
}

func TestUnknownOutcomesMayBeAnything(t *testing.T) {
	store := &unreliable{Store: memory.New(nil)}
	t.Cleanup(store.later.Wait)
	h := history(t, store, 1, 6000)
	found, err := linear.Check(h, each, 5)
	if err != nil {
		t.Error(err)
	}
	for _, v := range found {
		t.Errorf("%v", v)
	}
	total, by := h.Counts()
	t.Logf("%d operations on %d sessions: %v", total, len(h.Sessions()), by)
	for _, kind := range []linear.Kind{linear.Write, linear.Destroy, linear.Unlock} {
		if by[kind][linear.Unknown] == 0 {
			t.Errorf("no %v has an unknown outcome", kind)
		}
	}
}
