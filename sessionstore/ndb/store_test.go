package ndb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/mysqld"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
	"github.com/lvsession/lvsession/sessionstore/storetest"
)

func TestMain(m *testing.M) {
	code := child.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// engine is one kind of server that the store must work on.
type engine struct {
	name   string
	schema string
	dsns   func(testing.TB) []string // of a server or cluster that the package's tests share
}

var engines = []engine{
	{"NDB", schema.NDB, ndbcluster.Shared},
	{"MySQL", schema.InnoDB, func(t testing.TB) []string { return []string{mysqld.MySQL(t)} }},
	{"MariaDB", schema.InnoDB, func(t testing.TB) []string { return []string{mysqld.MariaDB(t)} }},
}

// database returns DSNs of a database with the schema, one for each SQL node.
func (e engine) database(t testing.TB) []string {
	t.Helper()
	dsns := ndbcluster.Database(t, e.dsns(t))
	apply(t, dsns[0], e.schema)
	return dsns
}

func apply(t testing.TB, dsn, engine string) {
	t.Helper()
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, _, err := schema.Apply(context.Background(), db, engine); err != nil {
		t.Fatal(err)
	}
}

// open opens a store on each list of DSNs.
func open(t testing.TB, clock sessionstore.Clock, dsns ...string) *ndb.Store {
	t.Helper()
	s, err := ndb.Open(context.Background(), ndb.Options{DSNs: dsns, Now: clock, Connections: 16})
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

// emptied makes databases once for each engine, not for each test: DDL on NDB takes seconds.
func emptied(t testing.TB, dsn string) {
	t.Helper()
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"session", "chunk", "subject", "lease"} {
		if _, err := db.Exec("DELETE FROM " + table); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStore(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			dsns := e.database(t)
			storetest.Run(t, func(t testing.TB, clock sessionstore.Clock) sessionstore.Store {
				emptied(t, dsns[0])
				return open(t, clock, dsns...)
			})
			storetest.RunShared(t, func(t testing.TB, clock sessionstore.Clock) []sessionstore.Store {
				emptied(t, dsns[0])
				// Each handle knows one SQL node only, so that what they agree on they agree on by the data nodes.
				return []sessionstore.Store{open(t, clock, dsns[0]), open(t, clock, dsns[len(dsns)-1])}
			})
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx := t.Context()
	server := mysqld.MariaDB(t)
	empty := ndbcluster.Database(t, []string{server})[0]
	one, other := engines[2].database(t)[0], engines[2].database(t)[0]
	for _, x := range []struct {
		name string
		dsns []string
		want string
	}{
		{"no DSN", nil, "no DSN"},
		{"a malformed DSN", []string{"root:hunter2/secret@tcp(127.0.0.1:1)"}, "user:password@tcp(host:port)/database"},
		{"no database", []string{"root:hunter2@tcp(127.0.0.1:1)/"}, "names no database"},
		{"nobody listens", []string{"root:hunter2@tcp(127.0.0.1:1)/x"}, "refused"},
		{"no schema", []string{empty}, "sessiond schema apply"},
		{"no such database", []string{strings.Replace(empty, "lvsession_test_", "lvsession_none_", 1)}, "CREATE DATABASE"},
	} {
		_, err := ndb.Open(ctx, ndb.Options{DSNs: x.dsns})
		if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", x.name, err, x.want)
		}
	}

	// Two databases that are not the same store: the second gets no work.
	s := open(t, nil, one, other)
	lonely := open(t, nil, other)
	for range 20 {
		key := sessionstore.NewKey("x", sessionstore.NewID())
		if _, err := s.Write(ctx, key, sessionstore.Write{Idle: 1e9}); err != nil {
			t.Fatal(err)
		}
		if _, err := lonely.Read(ctx, key); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Fatalf("a session went to the other store: %v", err)
		}
	}
}

// A sessiond must start while one of the SQL nodes is down, and use it once it is there.
func TestOpenWithANodeDown(t *testing.T) {
	server, err := mysqld.StartMariaDB(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	apply(t, server.DSN(), schema.InnoDB)
	// The same server by a second address, at which nobody listens yet.
	port, err := child.Port()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	cfg, err := mysql.ParseDSN(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	target := cfg.Addr
	cfg.Addr = address
	s := open(t, nil, server.DSN(), cfg.FormatDSN())
	if n := ndb.Healthy(s); n != 1 {
		t.Fatalf("%d nodes are in service, want 1", n)
	}
	write := func() {
		t.Helper()
		if _, err := s.Write(t.Context(), sessionstore.NewKey("x", sessionstore.NewID()), sessionstore.Write{Idle: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		write()
	}
	relay(t, address, target)
	inService(t, s, 2)
	server.Kill()
	if _, err := s.Read(t.Context(), sessionstore.Key{}); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Fatalf("read without a server: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Fatalf("ping without a server: %v", err)
	}
	if err := server.Boot(); err != nil {
		t.Fatal(err)
	}
	inService(t, s, 2)
	write()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// relay passes TCP connections on until the test ends.
func relay(t *testing.T, from, to string) {
	t.Helper()
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close() })
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				all.Go(func() {
					io.Copy(way[1], way[0])
					in.Close()
					out.Close()
				})
			}
		}
	})
}
