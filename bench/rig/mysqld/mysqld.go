// Package mysqld starts plain database servers on loopback for tests: MySQL with InnoDB, by the mysqld of the NDB kit,
// and MariaDB, by Debian's package. Each has a data directory and a port of its own and never outlives the process that
// started it.
package mysqld

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/peers"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// account is user, password and database of the DSNs. It guards nothing: the servers listen on loopback, for a test.
const account = "lvsession"

// Server is a running server.
type Server struct {
	dir     string
	port    int
	command func(port int) (*exec.Cmd, error)

	mu      sync.Mutex
	process *child.Process
}

// MySQL returns the DSN of a MySQL server that the package's tests share, for which TestMain must call [child.Main].
// Where there is no MySQL the test is skipped.
func MySQL(t testing.TB) string {
	t.Helper()
	return mysqlShared.dsn(t, func() (*Server, error) { return StartMySQL(t) })
}

// MariaDB is as [MySQL], for MariaDB.
func MariaDB(t testing.TB) string {
	t.Helper()
	need.Program(t, "mariadbd", "mariadb-server") // skips each test by itself
	return mariadbShared.dsn(t, func() (*Server, error) { return StartMariaDB(t) })
}

var mysqlShared, mariadbShared shared

// shared is a server that is started once.
type shared struct {
	mu     sync.Mutex
	server *Server
	err    error
}

func (s *shared) dsn(t testing.TB, start func() (*Server, error)) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		if s.server, s.err = start(); s.err == nil {
			child.AtEnd(t, s.server.Stop)
		}
	}
	if errors.Is(s.err, ndbcluster.ErrNoKit) {
		need.Skip(t, s.err.Error())
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server.DSN()
}

// StartMySQL starts a MySQL server. The caller stops it. The error is [ndbcluster.ErrNoKit] where there is no MySQL.
func StartMySQL(t testing.TB) (*Server, error) {
	kit, err := ndbcluster.Find()
	if err != nil {
		return nil, err
	}
	return start(func(dir string) (initialize *exec.Cmd, run func(port int) (*exec.Cmd, error)) {
		data := append([]string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--loose-mysqlx=OFF"}, asRoot()...)
		return kit.Command("mysqld", append(data, "--initialize-insecure")...), func(port int) (*exec.Cmd, error) {
			return kit.Command("mysqld", append(append(data, common(dir, port)...), "--disable-log-bin")...), nil
		}
	})
}

// StartMariaDB starts a MariaDB server. The caller stops it. Where there is no MariaDB the test is skipped.
func StartMariaDB(t testing.TB) (*Server, error) {
	need.Program(t, "mariadbd", "mariadb-server")
	need.Program(t, "mariadb-install-db", "mariadb-server")
	return RunMariaDB()
}

// RunMariaDB starts a MariaDB server for a program that is no test. The caller stops it.
func RunMariaDB() (*Server, error) {
	program, install := "mariadbd", "mariadb-install-db"
	if _, err := exec.LookPath(program); err != nil {
		program = "/usr/sbin/" + program
	}
	return start(func(dir string) (initialize *exec.Cmd, run func(port int) (*exec.Cmd, error)) {
		conf := filepath.Join(dir, "mariadb.cnf")
		data := append([]string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data")}, asRoot()...)
		return exec.Command(install, append(data, "--auth-root-authentication-method=normal", "--skip-test-db")...), func(port int) (*exec.Cmd, error) {
			settings := map[string]string{"Dir": dir, "Port": strconv.Itoa(port)}
			cmd := exec.Command(program, append([]string{"--defaults-file=" + conf}, asRoot()...)...)
			return cmd, peers.WriteFile(conf, "stores/mariadb.cnf", settings)
		}
	})
}

func asRoot() []string {
	if os.Getuid() == 0 {
		return []string{"--user=root"} // a server refuses to run as root unless told so
	}
	return nil
}

// common are the options of a MySQL server. A MariaDB server has its own in bench/peers.
func common(dir string, port int) []string {
	return []string{"--socket=" + filepath.Join(dir, "s"), "--port=" + strconv.Itoa(port), "--bind-address=127.0.0.1",
		"--innodb-buffer-pool-size=64M", "--performance-schema=OFF", "--max-connections=600", "--skip-name-resolve"}
}

// start makes a data directory and starts a server on it.
func start(commands func(dir string) (initialize *exec.Cmd, run func(port int) (*exec.Cmd, error))) (_ *Server, err error) {
	s := &Server{}
	if s.dir, err = os.MkdirTemp("", "lvsession-sql-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	if s.port, err = child.Port(); err != nil {
		return nil, err
	}
	var initialize *exec.Cmd
	initialize, s.command = commands(s.dir)
	p, err := s.launch(initialize)
	if err != nil {
		return nil, err
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("initialize %s: %w\n%s", initialize.Path, err, child.Tail(s.log(), 20))
	}
	return s, s.Boot()
}

func (s *Server) launch(cmd *exec.Cmd) (*child.Process, error) {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	return child.Start(cmd)
}

// Boot starts the server again after [Server.Kill] and returns once it answers.
func (s *Server) Boot() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd, err := s.command(s.port)
	if err != nil {
		return err
	}
	if s.process, err = s.launch(cmd); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.prepare(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("the server ended: %v\n%s", s.process.Err(), child.Tail(s.log(), 20))
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w\n%s", err, child.Tail(s.log(), 20))
		case <-tick.C:
		}
	}
}

// prepare creates account and database.
func (s *Server) prepare(ctx context.Context) error {
	cfg, err := mysql.ParseDSN("root@unix(" + filepath.Join(s.dir, "s") + ")/")
	if err != nil {
		return err
	}
	cfg.Logger = &mysql.NopLogger{} // the first tries fail
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	for _, statement := range []string{
		"CREATE DATABASE IF NOT EXISTS " + account,
		"CREATE USER IF NOT EXISTS " + account + "@'127.0.0.1' IDENTIFIED BY '" + account + "'",
		"GRANT ALL ON *.* TO " + account + "@'127.0.0.1'",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Kill ends the server with SIGKILL; its data stay.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Kill()
	}
}

// Stop kills the server and removes its data.
func (s *Server) Stop() {
	s.Kill()
	os.RemoveAll(s.dir)
}

// DSN returns the server's DSN in go-sql-driver's form; it names an empty database.
func (s *Server) DSN() string {
	return fmt.Sprintf("%s:%s@tcp(127.0.0.1:%d)/%s", account, account, s.port, account)
}

func (s *Server) log() string { return filepath.Join(s.dir, "log") }
