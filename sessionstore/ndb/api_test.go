//go:build ndbapi

package ndb_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
	"github.com/lvsession/lvsession/sessionstore/storetest"
)

// databaseOf returns the name of a DSN's database.
func databaseOf(t testing.TB, dsn string) string {
	t.Helper()
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return c.DBName
}

// openAPI opens a store on the NDB API, in the database of a DSN.
func openAPI(t testing.TB, clock sessionstore.Clock, connect, dsn string) *ndb.APIStore {
	t.Helper()
	s, err := ndb.OpenAPI(context.Background(), ndb.APIOptions{Connect: connect, Database: databaseOf(t, dsn), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAPIStore(t *testing.T) {
	dsns := engines[0].database(t)
	connect := ndbcluster.SharedConnect(t)
	openAPI(t, nil, connect, dsns[0]) // keeps the connection, which takes seconds, from test to test
	storetest.Run(t, func(t testing.TB, clock sessionstore.Clock) sessionstore.Store {
		emptied(t, dsns[0])
		return openAPI(t, clock, connect, dsns[0])
	})
}

func TestAPIShared(t *testing.T) {
	dsns := engines[0].database(t)
	connect := ndbcluster.SharedConnect(t)
	openAPI(t, nil, connect, dsns[0])
	for name, other := range map[string]func(testing.TB, sessionstore.Clock) sessionstore.Store{
		"two": func(t testing.TB, clock sessionstore.Clock) sessionstore.Store {
			return openAPI(t, clock, connect, dsns[0])
		},
		"and SQL": func(t testing.TB, clock sessionstore.Clock) sessionstore.Store { return open(t, clock, dsns[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			storetest.RunShared(t, func(t testing.TB, clock sessionstore.Clock) []sessionstore.Store {
				emptied(t, dsns[0])
				return []sessionstore.Store{openAPI(t, clock, connect, dsns[0]), other(t, clock)}
			})
		})
	}
}

func TestOpenAPIRefuses(t *testing.T) {
	empty := ndbcluster.Database(t, ndbcluster.Shared(t))[0]
	connect := ndbcluster.SharedConnect(t)
	for _, x := range []struct{ name, connect, database, want string }{
		{"no management node", "", "x", "management node"},
		{"no database", connect, "", "no database"},
		{"nobody listens", "127.0.0.1:1", "x", "127.0.0.1:1"},
		{"no schema", connect, databaseOf(t, empty), "sessiond schema apply"},
	} {
		_, err := ndb.OpenAPI(t.Context(), ndb.APIOptions{Connect: x.connect, Database: x.database})
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %q", x.name, err, x.want)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := ndb.OpenAPI(ctx, ndb.APIOptions{Connect: connect, Database: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %v", err)
	}
}

// A store goes on when its tables are made anew, and refuses those of another version.
func TestAPISchemaChanges(t *testing.T) {
	dsn := engines[0].database(t)[0]
	s := openAPI(t, nil, ndbcluster.SharedConnect(t), dsn)
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	key := sessionstore.NewKey("x", sessionstore.NewID())
	write := func() error {
		_, err := s.Write(t.Context(), key, sessionstore.Write{Idle: time.Hour, IfVersion: sessionstore.AnyVersion})
		return err
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"session", "chunk", "subject", "lease", "schema_version"} {
		if _, err := db.Exec("DROP TABLE " + table); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("without tables a write gives %v", err)
	}
	apply(t, dsn, schema.NDB)
	if err := write(); err != nil {
		t.Errorf("into new tables: %v", err)
	}
	if _, err := s.Read(t.Context(), key); err != nil {
		t.Errorf("from new tables: %v", err)
	}
	if _, err := db.Exec("INSERT INTO schema_version (version, applied, engine, store) VALUES (99, 0, 'ndb', '')"); err != nil {
		t.Fatal(err)
	}
	_, err = ndb.OpenAPI(t.Context(), ndb.APIOptions{Connect: ndbcluster.SharedConnect(t), Database: databaseOf(t, dsn)})
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("tables of version 99 give %v", err)
	}
}
