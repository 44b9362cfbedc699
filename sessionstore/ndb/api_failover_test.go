//go:build ndbapi

package ndb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
)

// One cluster serves all failures, each of which leaves it whole.
func TestAPINodeFailures(t *testing.T) {
	c := ndbcluster.Start(t, ndbcluster.Options{SQL: 1})
	apply(t, c.DSNs()[0], schema.NDB)
	s := openAPI(t, nil, c.Connect(), c.DSNs()[0])
	// Not the management node and a data node soon after: the former arbitrates which half of the data nodes goes on.
	for _, node := range []string{"sql1", "data2", "data1", "mgmd"} {
		t.Run(node, func(t *testing.T) {
			// Few users: more of them fill the redo log while a data node recovers, and get 410 for an answer.
			unavailable := load(t, s, 6, func(progress func(int64)) {
				progress(300)
				if err := c.Kill(node); err != nil {
					t.Fatal(err)
				}
				progress(300)
				boot(t, c, node)
				progress(300)
			})
			if unavailable > 0 && (node == "mgmd" || node == "sql1") {
				t.Errorf("%d operations failed, and data nodes were there all the time", unavailable)
			}
		})
	}
	t.Run("MemoryFull", func(t *testing.T) { fillMemory(t, s) })
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	t.Run("all data nodes", func(t *testing.T) {
		key := sessionstore.NewKey("x", sessionstore.NewID())
		for _, node := range []string{"data1", "data2"} {
			if err := c.Kill(node); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Write(t.Context(), key, sessionstore.Write{Idle: time.Hour}); !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Fatalf("without a data node, a write gives %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Boot(t.Context(), "data1") }() // it waits for the other
		boot(t, c, "data2")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		end := time.Now().Add(time.Minute)
		for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
			_, err := s.Write(t.Context(), key, sessionstore.Write{Idle: time.Hour, IfVersion: sessionstore.AnyVersion})
			if err == nil {
				return
			}
			if !errors.Is(err, sessionstore.ErrUnavailable) || time.Now().After(end) {
				t.Fatalf("after all data nodes came back, a write gives %v", err)
			}
		}
	})
}
