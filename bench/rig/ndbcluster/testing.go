package ndbcluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// EnvDSNs is the environment variable with the DSNs of a running cluster, separated by commas, that [Shared] returns
// instead of starting one. Their account must be allowed to create databases.
const EnvDSNs = "LVSESSION_NDB_DSNS"

// EnvConnect is the environment variable with the address of that cluster's management node, for [SharedConnect].
const EnvConnect = "LVSESSION_NDB_CONNECT"

// Start starts a cluster for one test that may kill its nodes, and stops it when the test ends. Where there is no NDB
// Cluster the test is skipped.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := startTemp(o)
	if errors.Is(err, ErrNoKit) {
		need.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.remove)
	return c
}

func startTemp(o Options) (*Cluster, error) {
	if _, err := Find(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lvsession-ndb-")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(context.Background(), 4*time.Minute)
	defer stop()
	c, err := StartDir(ctx, dir, o)
	if err != nil {
		os.RemoveAll(dir)
	}
	return c, err
}

// remove stops the cluster and removes its files.
func (c *Cluster) remove() {
	c.Stop()
	os.RemoveAll(c.dir)
	for node := range c.nodes {
		os.Remove(c.socket(node))
	}
}

var shared struct {
	sync.Mutex
	dsns    []string
	connect string
	err     error
	done    bool
}

// Shared returns the DSNs of the SQL nodes, at least two, of a cluster that the package's tests share and none may harm.
// It runs until the package's tests are over, for which TestMain must call [child.Main]. Where there is no NDB Cluster
// the test is skipped.
func Shared(t testing.TB) []string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if list := os.Getenv(EnvDSNs); list != "" {
		return strings.Split(list, ",")
	}
	if !shared.done {
		shared.done = true
		var c *Cluster
		if c, shared.err = startTemp(Options{}); shared.err == nil {
			shared.dsns, shared.connect = c.DSNs(), c.Connect()
			child.AtEnd(t, c.remove)
		}
	}
	if errors.Is(shared.err, ErrNoKit) {
		need.Skip(t, shared.err.Error())
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.dsns
}

// SharedConnect returns the address of the management node of the cluster that [Shared] returns.
func SharedConnect(t testing.TB) string {
	t.Helper()
	Shared(t)
	if os.Getenv(EnvDSNs) == "" {
		return shared.connect
	}
	connect := os.Getenv(EnvConnect)
	if connect == "" {
		t.Fatalf("%s is set and %s is not", EnvDSNs, EnvConnect)
	}
	return connect
}

// Database creates a database for one test and returns the DSNs with its name. It is dropped when the test ends. The
// DSNs may lead to SQL nodes of a cluster, or to one plain server.
func Database(t testing.TB, dsns []string) (own []string) {
	t.Helper()
	var b [6]byte
	rand.Read(b[:])
	name := "lvsession_test_" + hex.EncodeToString(b[:])
	for _, dsn := range dsns {
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		cfg.DBName = name
		own = append(own, cfg.FormatDSN())
	}
	execute := func(statement string) error {
		var errs []error
		for _, dsn := range dsns {
			db, err := open(dsn)
			if err != nil {
				return err
			}
			_, err = db.ExecContext(context.Background(), statement)
			db.Close()
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	if err := execute("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute("DROP DATABASE " + name); err != nil {
			t.Logf("drop database %s: %v", name, err)
		}
	})
	return own
}
