package sessionstore_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// withRule returns the sessions of a namespace with a policy of its own.
func withRule(t *testing.T, change func(*sessionstore.Policy)) sessionstore.Sessions {
	t.Helper()
	own := sessionstore.DefaultPolicy()
	change(&own)
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil, sessionstore.NamespacePolicy{Namespace: "own", Policy: own})
	if err != nil {
		t.Fatal(err)
	}
	ns, err := svc.Namespace("own")
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func writeAs(t *testing.T, ns sessionstore.Sessions, id string, ifVersion, token uint64) error {
	t.Helper()
	_, err := ns.Write(t.Context(), id, sessionstore.WriteOptions{Payload: []byte("x"), IfVersion: ifVersion, Token: token})
	return err
}

func TestNamespaceLease(t *testing.T) {
	ns := withRule(t, func(p *sessionstore.Policy) { p.Locking = sessionstore.LockingLease })
	id := login(t, ns)
	o, err := ns.Open(t.Context(), id, sessionstore.OpenOptions{}) // asks for no lock, and gets one
	if err != nil || o.Lease.Token == 0 {
		t.Fatalf("open: %+v, %v", o, err)
	}
	for _, ifVersion := range []uint64{1, sessionstore.AnyVersion} {
		if err := writeAs(t, ns, id, ifVersion, 0); !errors.Is(err, sessionstore.ErrConflict) {
			t.Fatalf("write without the lease: %v", err)
		}
	}
	if _, _, err := ns.Regenerate(t.Context(), id, sessionstore.RegenerateOptions{}); !errors.Is(err, sessionstore.ErrConflict) {
		t.Fatalf("regenerate without the lease: %v", err)
	}
	if err := writeAs(t, ns, id, sessionstore.AnyVersion, o.Lease.Token); err != nil {
		t.Fatal(err)
	}
	if err := ns.Touch(t.Context(), id, sessionstore.TouchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestNamespaceOptimistic(t *testing.T) {
	ns := withRule(t, func(p *sessionstore.Policy) { p.Locking = sessionstore.LockingOptimistic })
	id := login(t, ns)
	if o := locked(t, ns, id, 0); o.Lease.Token != 0 {
		t.Fatalf("open gave a lease: %+v", o)
	}
	if err := writeAs(t, ns, id, sessionstore.AnyVersion, 0); !errors.Is(err, sessionstore.ErrInvalid) {
		t.Fatalf("write without a version: %v", err)
	}
	if err := writeAs(t, ns, id, 1, 0); err != nil {
		t.Fatal(err)
	}
}

func TestNamespaceNone(t *testing.T) {
	ns := withRule(t, func(p *sessionstore.Policy) { p.Locking = sessionstore.LockingNone })
	id := login(t, ns)
	for range 2 {
		if o := locked(t, ns, id, -1); o.Lease.Token != 0 {
			t.Fatalf("open gave a lease: %+v", o)
		}
	}
	if err := writeAs(t, ns, id, sessionstore.AnyVersion, 0); err != nil {
		t.Fatal(err)
	}
}

func TestOnLocked(t *testing.T) {
	for _, c := range []struct {
		policy, request sessionstore.OnLocked
		fails, readOnly bool
	}{
		{sessionstore.OnLockedFail, "", true, false},
		{sessionstore.OnLockedReadOnly, "", false, true},
		{sessionstore.OnLockedGoOn, "", false, false},
		{sessionstore.OnLockedFail, sessionstore.OnLockedReadOnly, false, true},
		{sessionstore.OnLockedGoOn, sessionstore.OnLockedFail, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			ns := withRule(t, func(p *sessionstore.Policy) { p.Locking, p.OnLocked = sessionstore.LockingLease, c.policy })
			id := login(t, ns)
			held := locked(t, ns, id, 0)
			began := time.Now()
			o, err := ns.Open(t.Context(), id, sessionstore.OpenOptions{LockWait: 2 * time.Second, OnLocked: c.request})
			if took := time.Since(began); took != 2*time.Second {
				t.Errorf("%+v: waited %v", c, took)
			}
			if c.fails != errors.Is(err, sessionstore.ErrLocked) || !c.fails && (err != nil || o.New || o.ID != id || string(o.Session.Payload) != "1") {
				t.Errorf("%+v: %+v, %v", c, o, err)
			}
			if o.ReadOnly != c.readOnly || o.Lease.Token != 0 {
				t.Errorf("%+v: %+v", c, o)
			}
			if err := writeAs(t, ns, id, 1, 0); (err == nil) != (c.policy == sessionstore.OnLockedGoOn) {
				t.Errorf("%+v: write without the lease: %v", c, err)
			}
			if err := ns.Close(t.Context(), id, held.Lease.Token); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestNamespacesHaveTheirOwnTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := sessionstore.DefaultPolicy()
		own.Idle, own.MaxPayload = time.Minute, 10
		svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil, sessionstore.NamespacePolicy{Namespace: "short", Policy: own})
		if err != nil {
			t.Fatal(err)
		}
		short, _ := svc.Namespace("short")
		long, _ := svc.Namespace("long")
		a, b := login(t, short), login(t, long)
		if _, err := short.Write(t.Context(), a, sessionstore.WriteOptions{Payload: make([]byte, 11), IfVersion: 1}); !errors.Is(err, sessionstore.ErrTooLarge) {
			t.Errorf("11 bytes of 10: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := short.Read(t.Context(), a); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("after the short idle time-out: %v", err)
		}
		if _, err := long.Read(t.Context(), b); err != nil {
			t.Errorf("long before the other one: %v", err)
		}
		if got := svc.MaxPayload(); got != sessionstore.MaxPayload {
			t.Errorf("largest payload of all namespaces: %d", got)
		}
	})
}

func TestNamespacePolicyCheck(t *testing.T) {
	good := sessionstore.DefaultPolicy()
	for want, own := range map[string]sessionstore.NamespacePolicy{
		"namespace": {Namespace: "No/Name", Policy: good},
		"idle":      {Namespace: "shop"},
		"locking":   {Namespace: "shop", Policy: func() sessionstore.Policy { p := good; p.Locking = "spin"; return p }()},
		"on-locked": {Namespace: "shop", Policy: func() sessionstore.Policy { p := good; p.OnLocked = "cry"; return p }()},
	} {
		if _, err := sessionstore.NewService(memory.New(nil), good, nil, own); !errors.Is(err, sessionstore.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
