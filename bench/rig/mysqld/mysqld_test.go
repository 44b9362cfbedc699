package mysqld

import (
	"database/sql"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/child"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(mainFunc(func() int { return child.Main(m) }))
}

type mainFunc func() int

func (f mainFunc) Run() int { return f() }

func TestServers(t *testing.T) {
	for _, x := range []struct {
		name    string
		dsn     func(testing.TB) string
		mariadb bool
	}{{"MySQL", MySQL, false}, {"MariaDB", MariaDB, true}} {
		t.Run(x.name, func(t *testing.T) {
			dsn := x.dsn(t)
			if again := x.dsn(t); again != dsn {
				t.Fatalf("two servers: %s and %s", dsn, again)
			}
			db, err := sql.Open("mysql", dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var version string
			if err := db.QueryRow("SELECT VERSION()").Scan(&version); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(version, "MariaDB") != x.mariadb {
				t.Fatalf("version %s", version)
			}
			if _, err := db.Exec("CREATE TABLE x (id INT PRIMARY KEY) ENGINE=InnoDB"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What was committed survives the server's death: tests of failures rely on it.
func TestKillAndBoot(t *testing.T) {
	s, err := StartMariaDB(t)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	db, err := sql.Open("mysql", s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{"CREATE TABLE x (id INT PRIMARY KEY) ENGINE=InnoDB", "INSERT INTO x VALUES (1)"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	s.Kill()
	if err := db.Ping(); err == nil {
		t.Fatal("it still answers")
	}
	if err := s.Boot(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM x").Scan(&n); err != nil || n != 1 {
		t.Fatalf("%d rows, %v", n, err)
	}
}
