package sessionstore_test

import (
	"context"
	"testing"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/storetest"
)

func TestServiceIsSessions(t *testing.T) {
	storetest.RunSessions(t, func(t testing.TB, clock sessionstore.Clock, policy sessionstore.Policy) sessionstore.Sessions {
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
