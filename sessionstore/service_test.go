package sessionstore_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

func TestCheckID(t *testing.T) {
	for id, good := range map[string]bool{
		strings.Repeat("a", 22): true, strings.Repeat("Z", 256): true, "0123456789,-abcdefABCDEF": true,
		"": false, strings.Repeat("a", 21): false, strings.Repeat("a", 257): false, strings.Repeat("a", 10_000): false,
		"../../../../etc/passwd/aaaa": false, "aaaaaaaaaaaaaaaaaaaaaaa\x00": false, "aaaaaaaaaaaaaaaaaaaaaaaé": false, "aaaaaaaaaaaaaaaaaaaaaa a": false,
	} {
		err := sessionstore.CheckID(id)
		if (err == nil) != good {
			t.Errorf("%.30q: %v", id, err)
		}
		if err != nil && (!errors.Is(err, sessionstore.ErrInvalid) || (len(id) > 4 && strings.Contains(err.Error(), id))) {
			t.Errorf("%.30q: the error %q is not ErrInvalid, or tells the id", id, err)
		}
	}
	if id := sessionstore.NewID(); sessionstore.CheckID(id) != nil || len(id) != 52 || id == sessionstore.NewID() {
		t.Errorf("NewID gives %q", id)
	}
}

func TestCheckNamespace(t *testing.T) {
	for name, good := range map[string]bool{
		"shop": true, "shop-1.de_x": true, "0": true, strings.Repeat("n", 64): true,
		"": false, strings.Repeat("n", 65): false, "Shop": false, ".": false, "..": false, "-x": false, "a/b": false, "a\x00": false,
	} {
		if err := sessionstore.CheckNamespace(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestKeysAreApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.StringMatching(`[a-z0-9][a-z0-9_.-]{0,5}`)
		id := rapid.StringMatching(`[A-Za-z0-9,-]{22,30}`)
		n1, n2, i1, i2 := ns.Draw(t, "n1"), ns.Draw(t, "n2"), id.Draw(t, "i1"), id.Draw(t, "i2")
		if same := n1 == n2 && i1 == i2; same != (sessionstore.NewKey(n1, i1) == sessionstore.NewKey(n2, i2)) {
			t.Fatal("two sessions share a key")
		}
	})
}

func TestStrictOpen(t *testing.T) {
	ns := shop(t, memory.New(nil), nil)
	id := login(t, ns)
	o, err := ns.Open(t.Context(), id, sessionstore.OpenOptions{})
	if err != nil || o.New || o.ID != id || string(o.Session.Payload) != "1" {
		t.Fatalf("open of a known id: %+v, %v", o, err)
	}
	made := strings.Repeat("attacker", 4)
	for _, lock := range []bool{false, true} {
		o, err = ns.Open(t.Context(), made, sessionstore.OpenOptions{Lock: lock})
		if err != nil || !o.New || o.ID == made || sessionstore.CheckID(o.ID) != nil || o.Lease.Token != 0 {
			t.Fatalf("open of an id that someone made up: %+v, %v", o, err)
		}
	}
	if _, err := ns.Open(t.Context(), "short", sessionstore.OpenOptions{}); !errors.Is(err, sessionstore.ErrInvalid) {
		t.Fatalf("open of a malformed id: %v", err)
	}
}

func TestNamespacesAreApart(t *testing.T) {
	store := memory.New(nil)
	svc, err := sessionstore.NewService(store, sessionstore.DefaultPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := svc.Namespace("one")
	two, _ := svc.Namespace("two")
	id := login(t, one)
	if _, err := two.Read(t.Context(), id); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Fatalf("read in another namespace: %v", err)
	}
}

func TestPolicyApplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := shop(t, memory.New(nil), func(p *sessionstore.Policy) {
			p.Idle, p.Absolute, p.MaxPayload = time.Minute, 90*time.Second, 10
		})
		id := login(t, ns)
		_, err := ns.Write(t.Context(), id, sessionstore.WriteOptions{Payload: make([]byte, 11), IfVersion: 1})
		if !errors.Is(err, sessionstore.ErrTooLarge) {
			t.Fatalf("11 bytes of 10: %v", err)
		}
		time.Sleep(59 * time.Second)
		if err := ns.Touch(t.Context(), id, sessionstore.TouchOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if _, err := ns.Read(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := ns.Read(t.Context(), id); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Fatalf("read after the absolute time-out: %v", err)
		}
	})
}

func TestPolicyCheck(t *testing.T) {
	for name, change := range map[string]func(*sessionstore.Policy){
		"idle":     func(p *sessionstore.Policy) { p.Idle = 0 },
		"absolute": func(p *sessionstore.Policy) { p.Absolute = p.Idle - time.Second },
		"grace":    func(p *sessionstore.Policy) { p.Grace = -time.Second },
		"lock ttl": func(p *sessionstore.Policy) { p.LockTTL = 0 },
		"payload":  func(p *sessionstore.Policy) { p.MaxPayload = sessionstore.MaxPayload + 1 },
		"waiters":  func(p *sessionstore.Policy) { p.MaxWaiters = -1 },
		"coarse":   func(p *sessionstore.Policy) { p.TouchCoarse = p.Idle/2 + time.Second },
		"compress": func(p *sessionstore.Policy) { p.Compress = -1 },
	} {
		p := sessionstore.DefaultPolicy()
		change(&p)
		if _, err := sessionstore.NewService(memory.New(nil), p, nil); !errors.Is(err, sessionstore.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCollectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		a, b := shop(t, store, nil), shop(t, store, nil)
		for range 1300 {
			login(t, a)
		}
		time.Sleep(25 * time.Minute)
		n, err := a.GC(t.Context())
		m, err2 := b.GC(t.Context())
		if n != 1300 || m > 1 || err != nil || err2 != nil { // the second may find the first's released lease
			t.Fatalf("collected %d and %d, %v, %v", n, m, err, err2)
		}
	})
}

// A lease that another sessiond moved along with its session ends by Close all the same.
func TestCloseFindsALeaseThatWasMovedElsewhere(t *testing.T) {
	ctx := t.Context()
	store := memory.New(nil)
	var at []sessionstore.Sessions
	for range 2 {
		svc, err := sessionstore.NewService(store, sessionstore.DefaultPolicy(), nil)
		if err != nil {
			t.Fatal(err)
		}
		shop, err := svc.Namespace("shop")
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, shop)
	}
	id := sessionstore.NewID()
	if _, err := at[0].Write(ctx, id, sessionstore.WriteOptions{IfVersion: sessionstore.AnyVersion}); err != nil {
		t.Fatal(err)
	}
	opened, err := at[0].Open(ctx, id, sessionstore.OpenOptions{Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := at[1].Regenerate(ctx, id, sessionstore.RegenerateOptions{Token: opened.Lease.Token}); err != nil {
		t.Fatal(err)
	}
	if err := at[0].Close(ctx, id, opened.Lease.Token); err != nil {
		t.Fatal(err)
	}
	again, err := at[0].Open(ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: -1})
	if err != nil {
		t.Fatalf("open after close: %v", err)
	}
	if err := at[0].Close(ctx, id, again.Lease.Token); err != nil {
		t.Fatal(err)
	}
}
