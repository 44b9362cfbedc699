package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/internal/proc"
	"github.com/lvsession/lvsession/bench/internal/wire"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/bench/rig/redis"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

// idle is the sessions' idle time-out.
const idle = 24 * time.Minute

// side is one of those that are compared.
type side struct {
	name    string
	peer    bool   // not ours
	redis   string // host and port where it speaks Redis's protocol, of one of its servers; "" if it does not
	pids    []int
	dial    func(ctx context.Context, client int) (wire.Client, error)
	stop    func()
	clients []wire.Client
}

// processor is the time that the side's processes have spent on a processor.
func (s *side) processor() (sum time.Duration) {
	for _, pid := range s.pids {
		sum += proc.CPU(pid)
	}
	return sum
}

// setup is what a run has started, and goes on having when starting the rest fails.
type setup struct {
	dir     string
	cluster *ndbcluster.Cluster // nil without one
	sides   []*side
}

func (u *setup) stop() {
	for _, s := range u.sides {
		s.stop()
	}
	if u.cluster != nil {
		u.cluster.Stop()
	}
}

// folder makes a folder for one server.
func (u *setup) folder(name string) (string, error) {
	dir := filepath.Join(u.dir, name)
	return dir, os.Mkdir(dir, 0o700)
}

// embedded starts sessiond on the embedded store and two Redis.
func (u *setup) embedded(ctx context.Context) error {
	program, err := sessiond.Build(ctx, u.dir)
	if err != nil {
		return err
	}
	for _, sync := range []string{"always", "everysec"} {
		dir, err := u.folder("sessiond-" + sync)
		if err != nil {
			return err
		}
		if err := u.ours(ctx, program, dir, "sessiond "+sync, 1, "--sync", sync, "--data", filepath.Join(dir, "data")); err != nil {
			return err
		}
	}
	return errors.Join(u.peer(ctx, redis.Always), u.peer(ctx, redis.EverySec))
}

// ndb starts a cluster and two sessiond on its SQL nodes.
func (u *setup) ndb(ctx context.Context) (err error) {
	program, err := sessiond.Build(ctx, u.dir)
	if err != nil {
		return err
	}
	if u.cluster, err = ndbcluster.StartDir(ctx, filepath.Join(u.dir, "ndb"), ndbcluster.Options{}); err != nil {
		return err
	}
	args := []string{"--store", "mysql"}
	for _, dsn := range u.cluster.DSNs() {
		args = append(args, "--dsn", dsn)
	}
	if err := program.ApplySchema(ctx, u.cluster.DSNs()[0]); err != nil {
		return err
	}
	return u.ours(ctx, program, u.dir, "sessiond", 2, args...)
}

// ndbapi starts a cluster with one SQL node, which makes the tables, a sessiond on its NDB API for tables that are logged to
// disk and one for tables that are not, and a Redis.
func (u *setup) ndbapi(ctx context.Context) error {
	program, err := sessiond.BuildAPI(ctx, u.dir)
	if err != nil {
		return err
	}
	if u.cluster, err = ndbcluster.StartDir(ctx, filepath.Join(u.dir, "ndb"), ndbcluster.Options{SQL: 1}); err != nil {
		return err
	}
	for database, options := range map[string][]string{"logged": nil, "unlogged": {"--unlogged"}} {
		dsn, err := createDatabase(ctx, u.cluster.DSNs()[0], database)
		if err != nil {
			return err
		}
		if err := program.ApplySchema(ctx, dsn, options...); err != nil {
			return err
		}
	}
	for _, database := range []string{"logged", "unlogged"} {
		dir, err := u.folder(database)
		if err != nil {
			return err
		}
		args := []string{"--store", "ndbapi", "--ndb-connect", u.cluster.Connect(), "--ndb-database", database}
		if err := u.ours(ctx, program, dir, "sessiond, NDB API, "+database, 1, args...); err != nil {
			return err
		}
	}
	return u.peer(ctx, redis.EverySec)
}

// createDatabase makes a database and returns the DSN that names it.
func createDatabase(ctx context.Context, dsn, name string) (string, error) {
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return "", err
	}
	config.DBName = name
	return config.FormatDSN(), nil
}

// peer starts a Redis.
func (u *setup) peer(ctx context.Context, fsync redis.Fsync) error {
	dir, err := u.folder("redis-" + string(fsync))
	if err != nil {
		return err
	}
	server, err := redis.StartDir(ctx, dir, fsync)
	if err != nil {
		return err
	}
	u.sides = append(u.sides, &side{
		name: "Redis, " + string(fsync), peer: true, pids: []int{server.PID()}, stop: server.Stop, redis: server.Addr(),
		dial: func(ctx context.Context, _ int) (wire.Client, error) {
			return wire.DialRedis(ctx, server.Addr(), idle)
		},
	})
	return nil
}

// ours starts sessiond, so many of it, which makes a side for each protocol.
func (u *setup) ours(ctx context.Context, program *sessiond.Program, dir, name string, n int, args ...string) error {
	var servers []*sessiond.Server
	stop := func() {
		for _, s := range servers {
			s.Stop()
		}
	}
	var http, resp []string
	var pids []int
	for i := range n {
		port, err := child.Port()
		if err != nil {
			stop()
			return err
		}
		resp = append(resp, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		log := filepath.Join(dir, fmt.Sprintf("sessiond%d.log", i+1))
		server, err := program.Start(ctx, log, append([]string{"--redis", resp[i]}, args...)...)
		if err != nil {
			stop()
			return err
		}
		servers = append(servers, server)
		http = append(http, server.Addr())
		pids = append(pids, server.PID())
	}
	u.sides = append(u.sides, &side{
		name: name + ", HTTP", pids: pids, stop: stop,
		dial: func(ctx context.Context, client int) (wire.Client, error) {
			return wire.DialHTTP(ctx, http[client%n], "bench")
		},
	}, &side{
		name: name + ", Redis", pids: pids, stop: func() {}, redis: resp[0],
		dial: func(ctx context.Context, client int) (wire.Client, error) {
			return wire.DialRedis(ctx, resp[client%n], idle)
		},
	})
	return nil
}
