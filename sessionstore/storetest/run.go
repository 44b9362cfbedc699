package storetest

import (
	"testing"

	"github.com/lvsession/lvsession/sessionstore"
)

// Run runs the suite. open makes an empty store for one test that takes the time from the given clock, and has it closed
// by the test's Cleanup.
func Run(t *testing.T, open func(t testing.TB, clock sessionstore.Clock) sessionstore.Store) {
	one := func(t testing.TB, clock sessionstore.Clock) []sessionstore.Store {
		return []sessionstore.Store{open(t, clock)}
	}
	for _, group := range [][]test{basics, expiry, endings, regeneration, locking, owners, coarseness, collection, walking, subjects, imports, concurrency} {
		run(t, group, one)
	}
	t.Run("Model", func(t *testing.T) { testModel(t, open) })
}

// RunShared runs the tests of concurrent use with several handles on the same, empty data, as several sessionds have
// them. open is as for [Run]; it returns at least two stores.
func RunShared(t *testing.T, open func(t testing.TB, clock sessionstore.Clock) []sessionstore.Store) {
	for _, group := range [][]test{sharing, concurrency} {
		run(t, group, open)
	}
}

// test is one promise of the contract.
type test struct {
	name string
	run  func(f *fixture)
}

func run(t *testing.T, group []test, open func(testing.TB, sessionstore.Clock) []sessionstore.Store) {
	for _, x := range group {
		t.Run(x.name, func(t *testing.T) { x.run(newFixture(t, open)) })
	}
}
