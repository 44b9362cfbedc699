package memory_test

import (
	"testing"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB, clock sessionstore.Clock) sessionstore.Store { return memory.New(clock) })
}

func TestShared(t *testing.T) {
	storetest.RunShared(t, func(t testing.TB, clock sessionstore.Clock) []sessionstore.Store {
		s := memory.New(clock)
		return []sessionstore.Store{s, s}
	})
}
