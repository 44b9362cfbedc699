package ndbcluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// One cluster serves all of this: a start takes a while.
func TestCluster(t *testing.T) {
	ctx, stop := context.WithTimeout(context.Background(), 4*time.Minute)
	defer stop()
	c := Start(t, Options{})
	dsns := Database(t, c.DSNs())
	if len(dsns) != 2 {
		t.Fatalf("%d DSNs", len(dsns))
	}
	first, second := pool(t, dsns[0]), pool(t, dsns[1])
	mustExec(t, ctx, first, "CREATE TABLE x (id INT PRIMARY KEY) ENGINE=NDBCLUSTER")
	mustExec(t, ctx, first, "INSERT INTO x VALUES (1)")
	count := func(db *sql.DB, want int) {
		t.Helper()
		var n int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM x").Scan(&n); err != nil || n != want {
			t.Fatalf("%d rows, %v; want %d", n, err, want)
		}
	}
	count(second, 1)

	// Not a data node and the management node together: the latter arbitrates which half of the data nodes goes on.
	for i, killed := range [][]string{{"sql1", "data2"}, {"mgmd"}} {
		for _, node := range killed {
			if err := c.Kill(node); err != nil {
				t.Fatal(err)
			}
		}
		mustExec(t, ctx, second, fmt.Sprintf("INSERT INTO x VALUES (%d)", 2+i))
		for _, node := range slices.Backward(killed) {
			began := time.Now()
			if err := c.Boot(ctx, node); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s was back after %v", node, time.Since(began).Round(100*time.Millisecond))
		}
	}
	count(first, 3)
	if err := c.Boot(ctx, "sql1"); err == nil {
		t.Fatal("a node was started twice")
	}
	if err := c.Kill("sql9"); err == nil {
		t.Fatal("a node that does not exist was killed")
	}
}

func pool(t *testing.T, dsn string) *sql.DB {
	db, err := open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, ctx context.Context, db *sql.DB, statement string) {
	t.Helper()
	// The first statements after the loss of a data node may find their transaction aborted.
	var err error
	for range 20 {
		if _, err = db.ExecContext(ctx, statement); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Data: 3}, {Data: 6}, {SQL: 9}, {SQL: -1}} {
		if _, err := StartDir(t.Context(), t.TempDir(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestFind(t *testing.T) {
	home := t.TempDir()
	t.Setenv("NDB_HOME", home)
	if _, err := Find(); err == nil || errors.Is(err, ErrNoKit) {
		t.Errorf("an NDB_HOME without programs gives %v", err)
	}
	os.Mkdir(filepath.Join(home, "bin"), 0o755)
	for _, name := range programs {
		if err := os.WriteFile(filepath.Join(home, "bin", name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find(); err != nil {
		t.Error(err)
	}

	t.Setenv("NDB_HOME", "")
	t.Setenv("PATH", t.TempDir())
	t.Chdir(t.TempDir())
	if _, err := os.Stat("/usr/sbin/ndbmtd"); err != nil {
		if _, err := Find(); !errors.Is(err, ErrNoKit) {
			t.Errorf("outside of a checkout, without programs: %v", err)
		}
	}
}
