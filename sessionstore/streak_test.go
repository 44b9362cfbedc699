package sessionstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// TestLockIsSharedAmongServices: a service whose own waiters never run out gives way to another's.
func TestLockIsSharedAmongServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		one, other := shop(t, store, nil), shop(t, store, nil)
		id := login(t, one)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for ctx.Err() == nil {
					hold(ctx, t, one, id)
				}
			})
		}
		time.Sleep(time.Second)
		for range 10 {
			began := time.Now()
			hold(t.Context(), t, other, id)
			if took := time.Since(began); took > 5*time.Second { // without giving way it is the whole wait for a lock, 40 s
				t.Errorf("a waiter of the other service got its turn after %v", took)
			}
		}
		stop()
		wg.Wait()
	})
}

// TestLockTurnsAmongServices: 50 requests through two services are done nearly as fast as through one, and the last one
// has not waited for much longer than the others.
func TestLockTurnsAmongServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		services := []sessionstore.Sessions{shop(t, store, nil), shop(t, store, nil)}
		id := login(t, services[0])
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { hold(t.Context(), t, services[i%2], id) })
		}
		wg.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("50 holders of 10 ms took %v", took)
		}
	})
}

// hold takes the lease for 10 ms.
func hold(ctx context.Context, t *testing.T, ns sessionstore.Sessions, id string) {
	o, err := ns.Open(ctx, id, sessionstore.OpenOptions{Lock: true})
	if errors.Is(err, context.Canceled) {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	time.Sleep(10 * time.Millisecond)
	if err := ns.Close(t.Context(), id, o.Lease.Token); err != nil {
		t.Error(err)
	}
}

// TestLockGivesWayToNobody: as long as no other service waits, a service hands the lease on without a pause.
func TestLockGivesWayToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		one, other := shop(t, store, nil), shop(t, store, nil)
		id := login(t, one)
		first := locked(t, other, id, 0)
		var wg sync.WaitGroup
		for range 50 { // they find it held elsewhere and say so
			wg.Go(func() { hold(t.Context(), t, one, id) })
		}
		time.Sleep(200 * time.Millisecond)
		if err := other.Close(t.Context(), id, first.Lease.Token); err != nil {
			t.Fatal(err)
		}
		released := time.Now()
		wg.Wait()
		if took := time.Since(released); took > time.Second {
			t.Errorf("50 holders of 10 ms took %v", took)
		}
	})
}
