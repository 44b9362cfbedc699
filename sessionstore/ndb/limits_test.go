package ndb_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

// A caller that gives up gets away at once, although its statement waits for a lock, and costs nobody a connection.
func TestCancelledCallers(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			ctx := t.Context()
			dsns := e.database(t)
			s := open(t, nil, dsns...)
			key := sessionstore.NewKey("x", sessionstore.NewID())
			write := sessionstore.Write{Payload: []byte("x"), Idle: time.Hour, IfVersion: sessionstore.AnyVersion}
			if _, err := s.Write(ctx, key, write); err != nil {
				t.Fatal(err)
			}
			other, err := pool(t, dsns[0]).Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer other.Rollback()
			if _, err := other.Exec("SELECT ver FROM session WHERE id = ? FOR UPDATE", key[:]); err != nil {
				t.Fatal(err)
			}
			before := ndb.Connections(s)
			for range 5 {
				short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				began := time.Now()
				_, err := s.Write(short, key, write)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
			}
			if err := other.Rollback(); err != nil {
				t.Fatal(err)
			}
			// Reads need no lock, and the abandoned writes end by themselves.
			if _, err := s.Read(ctx, key); err != nil {
				t.Error(err)
			}
			if n := ndb.Healthy(s); n != len(dsns) {
				t.Errorf("%d of %d SQL nodes are in service", n, len(dsns))
			}
			if after := ndb.Connections(s); after < before {
				t.Errorf("%d connections before, %d after: cancelled callers closed some", before, after)
			}
		})
	}
}

// NDB commits each data node's rows by themselves, so that the alias which a regenerate makes may be seen before the session
// that it leads to. Whoever reads meanwhile waits for that.
func TestReadBetweenTheRowsOfARegenerate(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			ctx := t.Context()
			dsns := e.database(t)
			s, db := open(t, nil, dsns...), pool(t, dsns[0])
			old, new := sessionstore.NewKey("x", sessionstore.NewID()), sessionstore.NewKey("x", sessionstore.NewID())
			if _, err := s.Write(ctx, old, sessionstore.Write{Payload: []byte("x"), Idle: time.Hour}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Regenerate(ctx, old, new, sessionstore.Regenerate{Grace: time.Minute, Tombstone: time.Hour}); err != nil {
				t.Fatal(err)
			}
			mustExec(t, db, "CREATE TABLE moved AS SELECT * FROM session WHERE id = ?", new[:])
			defer mustExec(t, db, "DROP TABLE moved")
			mustExec(t, db, "DELETE FROM session WHERE id = ?", new[:])
			if _, err := s.Read(ctx, old); !errors.Is(err, sessionstore.ErrNotFound) {
				t.Errorf("read of an alias of nothing: %v", err)
			}
			commit, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer commit.Rollback()
			if _, err := commit.Exec("INSERT INTO session SELECT * FROM moved"); err != nil {
				t.Fatal(err)
			}
			read := make(chan error, 1)
			go func() {
				session, err := s.Read(ctx, old)
				if err == nil && session.Key != new {
					err = errors.New("another session")
				}
				read <- err
			}()
			select {
			case err := <-read:
				t.Fatalf("read before the commit: %v", err)
			case <-time.After(300 * time.Millisecond): // as long as takes a reader to be sure that it would not wait
			}
			if err := commit.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := <-read; err != nil {
				t.Errorf("read: %v", err)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	s := open(t, nil, engines[2].database(t)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(t.Context(), sessionstore.Key{}); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("read: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
}

// Check must see what no program of ours leaves.
func TestCheckFindsFaults(t *testing.T) {
	dsns := engines[2].database(t)
	s, db := open(t, nil, dsns...), pool(t, dsns[0])
	for _, x := range []struct{ sabotage, want string }{
		{"UPDATE session SET ver = 0", "without a version"},
		{"UPDATE session SET ver = 9", "without their session"},
		{"UPDATE session SET state = 7", "state 7"},
		{"UPDATE session SET deadline = 5", "outlives its deadline"},
		{"UPDATE session SET due = 5", "before it is gone"},
		{"UPDATE session SET due = due + 2", "not due"},
		{"UPDATE session SET state = 3", "payload without a session"},
		{"UPDATE session SET state = 2, subject = '', payload = '', chunks = 0", "alias of nothing"},
		{"UPDATE session SET payload = 'short'", "behind 5 bytes"},
		{"DELETE FROM chunk WHERE seq = 1", "has 2 chunks up to number 2, want 3"},
		{"DELETE FROM chunk", "are missing"},
		{"DELETE FROM session", "without their session"},
		{"DELETE FROM subject", "not listed under its subject"},
		{"UPDATE session SET subject = ''", "listed under a subject that it does not name"},
	} {
		emptied(t, dsns[0])
		if _, err := s.Write(t.Context(), sessionstore.NewKey("x", sessionstore.NewID()), sessionstore.Write{Payload: make([]byte, 100_000), Idle: time.Hour, Subject: sessionstore.NewSubject("x", "alice")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, x.sabotage)
		if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %q", x.sabotage, err, x.want)
		}
	}
}
