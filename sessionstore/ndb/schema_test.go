package ndb_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

func pool(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// The life of a schema, on each engine, seen from every SQL node.
func TestSchema(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			ctx := t.Context()
			var dbs []*sql.DB
			for _, dsn := range ndbcluster.Database(t, e.dsns(t)) {
				dbs = append(dbs, pool(t, dsn))
			}
			db := dbs[0]
			if engine, err := schema.Detect(ctx, db); err != nil || engine != e.schema {
				t.Errorf("detected %q, %v; want %q", engine, err, e.schema)
			}
			mismatch(t, schema.Check(ctx, db), "sessiond schema apply")
			if _, err := schema.StoreID(ctx, db); err == nil {
				t.Error("a store without a schema has an id")
			}

			applyConcurrently(t, dbs, e.schema)
			from, to, err := schema.Apply(ctx, db, e.schema)
			if from != schema.Version || to != schema.Version || err != nil {
				t.Errorf("applied again: from %d to %d, %v", from, to, err)
			}
			ids := map[[16]byte]bool{}
			for _, db := range dbs {
				if err := schema.Check(ctx, db); err != nil {
					t.Error(err)
				}
				id, err := schema.StoreID(ctx, db)
				if err != nil {
					t.Fatal(err)
				}
				ids[id] = true
			}
			if len(ids) != 1 || ids[[16]byte{}] {
				t.Errorf("the nodes of one store show the ids %v", ids)
			}

			other := schema.NDB
			if e.schema == schema.NDB {
				other = schema.InnoDB
			}
			if _, _, err := schema.Apply(ctx, db, other); err == nil || !strings.Contains(err.Error(), other) {
				t.Errorf("the other engine's schema over this one: %v", err)
			}
			mustExec(t, db, "UPDATE schema_version SET version = 1000 WHERE version = 1")
			mismatch(t, schema.Check(ctx, db), "newer")
			_, _, err = schema.Apply(ctx, db, e.schema)
			mismatch(t, err, "newer")
			mustExec(t, db, "DELETE FROM schema_version WHERE version > 0")
			mismatch(t, schema.Check(ctx, db), "sessiond schema apply")

			// Interrupted after the tables were made: the rest is made up for.
			if from, to, err := schema.Apply(ctx, db, e.schema); from != 0 || to != schema.Version || err != nil {
				t.Errorf("applied after an interruption: from %d to %d, %v", from, to, err)
			}
		})
	}
}

func mismatch(t *testing.T, err error, text string) {
	t.Helper()
	var m *schema.MismatchError
	if !errors.As(err, &m) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want a mismatch that says %q", err, text)
	}
}

func applyConcurrently(t *testing.T, dbs []*sql.DB, engine string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if _, to, err := schema.Apply(context.Background(), dbs[i%len(dbs)], engine); err != nil || to != schema.Version {
				t.Errorf("program %d: to %d, %v", i, to, err)
			}
		})
	}
	all.Wait()
}

// The printed script must do what Apply does, by any client: it is split at the semicolons here.
func TestPrintedSchemaApplies(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			db := pool(t, ndbcluster.Database(t, e.dsns(t))[0])
			text, err := schema.Print(e.schema)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for statement := range strings.SplitSeq(text, ";\n") {
					if strings.TrimSpace(statement) != "" {
						mustExec(t, db, statement)
					}
				}
			}
			if err := schema.Check(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
}

// Unlogged tables are sessions' only: the version of the schema outlives a stop of the cluster, so that what is missing shows.
func TestUnlogged(t *testing.T) {
	dsn := ndbcluster.Database(t, ndbcluster.Shared(t))[0]
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, to, err := schema.ApplyUnlogged(t.Context(), db, schema.NDB); err != nil || to != schema.Version {
		t.Fatal(to, err)
	}
	for table, want := range map[string]bool{"session": true, "chunk": true, "subject": true, "lease": true, "schema_version": false} {
		var name, text string
		if err := db.QueryRow("SHOW CREATE TABLE "+table).Scan(&name, &text); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(text, "NOLOGGING=1"); got != want {
			t.Errorf("%s: unlogged is %t, want %t:\n%s", table, got, want, text)
		}
	}
	s := open(t, nil, dsn)
	key := sessionstore.NewKey("x", sessionstore.NewID())
	if _, err := s.Write(t.Context(), key, sessionstore.Write{Idle: time.Minute}); err != nil {
		t.Error(err)
	}
}
