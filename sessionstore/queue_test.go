package sessionstore_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// shop returns the sessions of a namespace over the store, with a policy changed by the test.
func shop(t *testing.T, store sessionstore.Store, change func(*sessionstore.Policy)) sessionstore.Sessions {
	t.Helper()
	policy := sessionstore.DefaultPolicy()
	if change != nil {
		change(&policy)
	}
	svc, err := sessionstore.NewService(store, policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := svc.Namespace("shop")
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// login makes a session and returns its id.
func login(t *testing.T, ns sessionstore.Sessions) string {
	t.Helper()
	o, err := ns.Open(t.Context(), "", sessionstore.OpenOptions{})
	if err != nil || !o.New {
		t.Fatalf("open: %+v, %v", o, err)
	}
	if _, err := ns.Write(t.Context(), o.ID, sessionstore.WriteOptions{Payload: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	return o.ID
}

func locked(t *testing.T, ns sessionstore.Sessions, id string, wait time.Duration) sessionstore.Opened {
	t.Helper()
	o, err := ns.Open(t.Context(), id, sessionstore.OpenOptions{Lock: true, LockWait: wait})
	if err != nil {
		t.Fatalf("open with lock: %v", err)
	}
	return o
}

func TestLockIsServedInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := shop(t, memory.New(nil), nil)
		id := login(t, ns)
		first := locked(t, ns, id, 0)
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				o := locked(t, ns, id, 0)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				if err := ns.Close(t.Context(), id, o.Lease.Token); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // it stands in line now
		}
		released := time.Now()
		if err := ns.Close(t.Context(), id, first.Lease.Token); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("served in the order %v", order)
			}
		}
		if took := time.Since(released); took != 200*time.Millisecond {
			t.Fatalf("20 holders of 10 ms took %v: waiters are not woken at once", took)
		}
	})
}

func TestLockEndsOfACrashedHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := shop(t, memory.New(nil), func(p *sessionstore.Policy) { p.LockTTL = 3 * time.Second })
		id := login(t, ns)
		crashed := locked(t, ns, id, 0)
		began := time.Now()
		next := locked(t, ns, id, 0)
		if took := time.Since(began); took != 3*time.Second {
			t.Fatalf("the next one got the lease after %v, want 3s", took)
		}
		_, err := ns.Write(t.Context(), id, sessionstore.WriteOptions{IfVersion: sessionstore.AnyVersion, Token: crashed.Lease.Token})
		if !errors.Is(err, sessionstore.ErrConflict) {
			t.Fatalf("write of the stale holder: %v", err)
		}
		if err := ns.Close(t.Context(), id, next.Lease.Token); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLockAcrossServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		one, other := shop(t, store, nil), shop(t, store, nil)
		id := login(t, one)
		held := locked(t, one, id, 0)
		go func() {
			time.Sleep(time.Second)
			if err := one.Close(t.Context(), id, held.Lease.Token); err != nil {
				t.Error(err)
			}
		}()
		began := time.Now()
		o := locked(t, other, id, 0)
		if took := time.Since(began); took < time.Second || took > 1200*time.Millisecond {
			t.Fatalf("the other service got the lease after %v", took)
		}
		if err := one.Close(t.Context(), id, o.Lease.Token); err != nil { // closed through the wrong one
			t.Fatal(err)
		}
		began = time.Now()
		locked(t, other, id, 0)
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Fatalf("a lease that was closed elsewhere was seen free after %v", took)
		}
	})
}

func TestLockWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := shop(t, memory.New(nil), func(p *sessionstore.Policy) { p.MaxWaiters = 2 })
		id := login(t, ns)
		held := locked(t, ns, id, 0)
		for _, wait := range []time.Duration{-1, 2 * time.Second} {
			began := time.Now()
			_, err := ns.Open(t.Context(), id, sessionstore.OpenOptions{Lock: true, LockWait: wait})
			if !errors.Is(err, sessionstore.ErrLocked) || time.Since(began) != max(wait, 0) {
				t.Fatalf("wait %v: %v after %v", wait, err, time.Since(began))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := ns.Open(ctx, id, sessionstore.OpenOptions{Lock: true}); !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled waiter: %v", err)
				}
			})
		}
		synctest.Wait()
		if _, err := ns.Open(t.Context(), id, sessionstore.OpenOptions{Lock: true}); !errors.Is(err, sessionstore.ErrLocked) {
			t.Fatalf("third waiter of two: %v", err)
		}
		cancel()
		wg.Wait()
		if err := ns.Close(t.Context(), id, held.Lease.Token); err != nil {
			t.Fatal(err)
		}
		locked(t, ns, id, -1)
	})
}

func TestLockFollowsRegenerate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := shop(t, memory.New(nil), nil)
		id := login(t, ns)
		held := locked(t, ns, id, 0)
		waited := make(chan time.Duration)
		began := time.Now()
		go func() {
			o := locked(t, ns, id, 0) // by what becomes an alias
			took := time.Since(began)
			if err := ns.Close(t.Context(), id, o.Lease.Token); err != nil {
				t.Error(err)
			}
			waited <- took
		}()
		synctest.Wait()
		newID, _, err := ns.Regenerate(t.Context(), id, sessionstore.RegenerateOptions{Token: held.Lease.Token})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := ns.Write(t.Context(), newID, sessionstore.WriteOptions{Payload: []byte("2"), IfVersion: 1, Token: held.Lease.Token}); err != nil {
			t.Fatal(err)
		}
		if err := ns.Close(t.Context(), newID, held.Lease.Token); err != nil {
			t.Fatal(err)
		}
		if took := <-waited; took != time.Second {
			t.Fatalf("the waiter by the old id got the lease after %v, want 1s", took)
		}
	})
}

// counting is a store that counts locks, and whose passes wait for the test if it wants.
type counting struct {
	*memory.Store
	locks, passes, reads atomic.Int64
	hold                 chan struct{}
}

func (c *counting) Lock(ctx context.Context, key sessionstore.Key, l sessionstore.Lock) (sessionstore.Lease, error) {
	c.locks.Add(1)
	return c.Store.Lock(ctx, key, l)
}

func (c *counting) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	c.reads.Add(1)
	return c.Store.Read(ctx, key)
}

func (c *counting) Pass(ctx context.Context, key sessionstore.Key, p sessionstore.Pass) (sessionstore.Passed, error) {
	c.passes.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	return c.Store.Pass(ctx, key, p)
}

// TestLeaseIsPassedOn: waiters of one service get the lease from their predecessors, in order, and ask the store for
// nothing: but for the first, whose predecessor does not leave the session on a version that it had read.
func TestLeaseIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: memory.New(nil)}
		ns := shop(t, store, nil)
		id := login(t, ns)
		first := locked(t, ns, id, 0)
		var wg sync.WaitGroup
		tokens := []uint64{first.Lease.Token}
		for range 10 {
			wg.Go(func() {
				o := locked(t, ns, id, 0)
				tokens = append(tokens, o.Lease.Token) // under the lease
				if stored, err := store.Store.Read(t.Context(), o.Session.Key); err != nil || !reflect.DeepEqual(stored, o.Session) {
					t.Errorf("opened %+v, stored is %+v, %v", o.Session, stored, err)
				}
				payload := strings.Repeat("x", len(tokens))
				w := sessionstore.WriteOptions{Payload: []byte(payload), Subject: payload, IfVersion: o.Session.Version, Token: o.Lease.Token, Release: true}
				if _, err := ns.Write(t.Context(), id, w); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		before, read := store.locks.Load(), store.reads.Load()
		if err := ns.Touch(t.Context(), id, sessionstore.TouchOptions{Release: first.Lease.Token}); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if store.passes.Load() != 10 || store.locks.Load() != before || store.reads.Load() != read+1 {
			t.Errorf("%d passes, and %d locks and %d reads besides", store.passes.Load(), store.locks.Load()-before, store.reads.Load()-read)
		}
		for i := 1; i < len(tokens); i++ {
			if tokens[i] <= tokens[i-1] {
				t.Errorf("tokens %v", tokens)
			}
		}
		locked(t, ns, id, -1)
	})
}

// TestLeaseIsPassedToOneWhoLeft: a waiter that goes while the store gives it the lease keeps it from nobody; nor does a
// holder that does not wait for its last write.
func TestLeaseIsPassedToOneWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: memory.New(nil), hold: make(chan struct{})}
		ns := shop(t, store, nil)
		id := login(t, ns)
		first := locked(t, ns, id, 0)
		leaving, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := ns.Open(leaving, id, sessionstore.OpenOptions{Lock: true}); !errors.Is(err, context.Canceled) {
				t.Errorf("the waiter that left: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			began := time.Now()
			if o := locked(t, ns, id, 0); string(o.Session.Payload) != "2" || time.Since(began) != time.Second {
				t.Errorf("after %v the next one got %+v", time.Since(began), o)
			}
		})
		synctest.Wait()
		impatient, goAway := context.WithCancel(t.Context())
		wg.Go(func() {
			w := sessionstore.WriteOptions{Payload: []byte("2"), IfVersion: 1, Token: first.Lease.Token, Release: true}
			if _, err := ns.Write(impatient, id, w); !errors.Is(err, context.Canceled) {
				t.Errorf("the holder that left: %v", err)
			}
		})
		synctest.Wait()
		leave()
		goAway()
		time.Sleep(time.Second)
		close(store.hold)
		wg.Wait()
	})
}
