package sessionstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/storetest"
)

func TestServiceIsSessions(t *testing.T) { runSessions(t, func(*sessionstore.Policy) {}) }

// TestCompressedService: nobody can tell whether payloads are stored compressed.
func TestCompressedService(t *testing.T) {
	runSessions(t, func(p *sessionstore.Policy) { p.Compress = 1 })
}

func runSessions(t *testing.T, change func(*sessionstore.Policy)) {
	storetest.RunSessions(t, func(t testing.TB, clock sessionstore.Clock, policy sessionstore.Policy) sessionstore.Sessions {
		change(&policy)
		store := memory.New(clock)
		t.Cleanup(func() {
			if err := store.Check(context.Background()); err != nil {
				t.Errorf("invariant: %v", err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		svc, err := sessionstore.NewService(store, policy, nil)
		if err != nil {
			t.Fatal(err)
		}
		shop, err := svc.Namespace("shop")
		if err != nil {
			t.Fatal(err)
		}
		return shop
	})
}

// TestWhatTheStoreGets: a compressed payload, a namespace, and the hash of a subject.
func TestWhatTheStoreGets(t *testing.T) {
	store, policy := memory.New(nil), sessionstore.DefaultPolicy()
	policy.Compress = 100
	svc, err := sessionstore.NewService(store, policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := svc.Namespace("shop")
	if err != nil {
		t.Fatal(err)
	}
	id, payload := sessionstore.NewID(), strings.Repeat("basket;", 500)
	stored := func() sessionstore.Session {
		t.Helper()
		s, err := store.Read(t.Context(), sessionstore.NewKey("shop", id))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	write := func(w sessionstore.WriteOptions) {
		t.Helper()
		w.IfVersion = sessionstore.AnyVersion
		if _, err := ns.Write(t.Context(), id, w); err != nil {
			t.Fatal(err)
		}
	}
	write(sessionstore.WriteOptions{Payload: []byte(payload), Subject: "alice"})
	if s := stored(); s.Encoding != sessionstore.Zstd || len(s.Payload) > 100 || s.Namespace != "shop" || s.Subject != sessionstore.NewSubject("shop", "alice") {
		t.Fatalf("stored %d bytes, %+v", len(s.Payload), s)
	}
	newID, s, err := ns.Regenerate(t.Context(), id, sessionstore.RegenerateOptions{})
	if err != nil || string(s.Payload) != payload {
		t.Fatalf("regenerated %d bytes, %v", len(s.Payload), err)
	}
	id = newID
	keys, err := svc.Keyspace("shop")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := keys.Read(t.Context(), sessionstore.NewKey("shop", id)); err != nil || string(s.Payload) != payload {
		t.Fatalf("read %d bytes by key, %v", len(s.Payload), err)
	}
	write(sessionstore.WriteOptions{Payload: []byte("short")})
	if s := stored(); s.Encoding != sessionstore.Plain || string(s.Payload) != "short" || s.Subject != sessionstore.NewSubject("shop", "alice") {
		t.Fatalf("stored %+v", s)
	}
}

// TestDamagedPayload: a session whose payload cannot be expanded is not "not found", and its lease is given back.
func TestDamagedPayload(t *testing.T) {
	store := memory.New(nil)
	ns := shop(t, store, nil)
	id := sessionstore.NewID()
	w := sessionstore.Write{Payload: []byte("damaged"), Encoding: sessionstore.Zstd, Idle: time.Hour}
	if _, err := store.Write(t.Context(), sessionstore.NewKey("shop", id), w); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.Read(t.Context(), id); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Fatalf("read: %v", err)
	}
	for range 2 {
		if _, err := ns.Open(t.Context(), id, sessionstore.OpenOptions{Lock: true, LockWait: -1}); !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Fatalf("open: %v", err)
		}
	}
	if _, _, err := ns.Regenerate(t.Context(), id, sessionstore.RegenerateOptions{}); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Fatalf("regenerate: %v", err)
	}
}

// TestTouchCoarse: a namespace's coarseness reaches the store, and never more than half of the idle time-out asked for.
func TestTouchCoarse(t *testing.T) {
	now := time.UnixMilli(1 << 40)
	policy := sessionstore.DefaultPolicy()
	policy.TouchCoarse = time.Minute
	svc, err := sessionstore.NewService(memory.New(func() time.Time { return now }), policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := svc.Namespace("shop")
	if err != nil {
		t.Fatal(err)
	}
	id := login(t, ns)
	for _, step := range []struct{ wait, idle, rest time.Duration }{
		{50 * time.Second, 0, policy.Idle - 50*time.Second},
		{20 * time.Second, 0, policy.Idle},
		{0, time.Minute, time.Minute},
		{20 * time.Second, time.Minute, 40 * time.Second},
		{20 * time.Second, time.Minute, time.Minute},
	} {
		now = now.Add(step.wait)
		if err := ns.Touch(t.Context(), id, sessionstore.TouchOptions{Idle: step.idle}); err != nil {
			t.Fatal(err)
		}
		if s, err := ns.Read(t.Context(), id); err != nil || s.Expires.Sub(now) != step.rest {
			t.Fatalf("after %+v: expires in %v, %v", step, s.Expires.Sub(now), err)
		}
	}
}
