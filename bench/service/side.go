package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lvsession/lvsession/bench/internal/proc"
	"github.com/lvsession/lvsession/bench/internal/wire"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/bench/rig/redis"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
)

// idle is the sessions' idle time-out.
const idle = 24 * time.Minute

// side is one of those that are compared.
type side struct {
	name    string
	peer    bool // not ours
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

// embeddedSides starts sessiond on the embedded store and two Redis. What was started is among the sides also when
// there is an error.
func embeddedSides(ctx context.Context, dir string) (sides []*side, err error) {
	for _, sync := range []string{"always", "everysec"} {
		own := filepath.Join(dir, "sessiond-"+sync)
		if err := os.Mkdir(own, 0o700); err != nil {
			return sides, err
		}
		started, err := ours(ctx, own, "sessiond "+sync, 1, "--sync", sync, "--data", filepath.Join(own, "data"))
		sides = append(sides, started...)
		if err != nil {
			return sides, err
		}
	}
	for _, fsync := range []redis.Fsync{redis.Always, redis.EverySec} {
		own := filepath.Join(dir, string(fsync))
		if err := os.Mkdir(own, 0o700); err != nil {
			return sides, err
		}
		server, err := redis.StartDir(ctx, own, fsync)
		if err != nil {
			return sides, err
		}
		sides = append(sides, &side{
			name: "Redis, " + string(fsync), peer: true, pids: []int{server.PID()}, stop: server.Stop,
			dial: func(ctx context.Context, _ int) (wire.Client, error) {
				return wire.DialRedis(ctx, server.Addr(), idle)
			},
		})
	}
	return sides, nil
}

// ndbSides starts a cluster and two sessiond on it.
func ndbSides(ctx context.Context, dir string) ([]*side, error) {
	cluster, err := ndbcluster.StartDir(ctx, filepath.Join(dir, "ndb"), ndbcluster.Options{})
	if err != nil {
		return nil, err
	}
	args := []string{"--store", "mysql"}
	for _, dsn := range cluster.DSNs() {
		args = append(args, "--dsn", dsn)
	}
	sides, err := ours(ctx, dir, "sessiond", 2, args...)
	if err != nil {
		cluster.Stop()
		return sides, err
	}
	stop := sides[0].stop
	sides[0].stop = func() { stop(); cluster.Stop() }
	return sides, nil
}

// ours starts sessiond, so many of it, and returns a side for each protocol that it speaks.
func ours(ctx context.Context, dir, name string, n int, args ...string) ([]*side, error) {
	program, err := sessiond.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	if args[0] == "--store" {
		if err := program.ApplySchema(ctx, args[3]); err != nil {
			return nil, err
		}
	}
	var servers []*sessiond.Server
	stop := func() {
		for _, s := range servers {
			s.Stop()
		}
	}
	var http, resp []string
	var pids []int
	for i := range n {
		own := args
		if program.Knows("--redis") {
			port, err := child.Port()
			if err != nil {
				stop()
				return nil, err
			}
			resp = append(resp, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			own = append([]string{"--redis", resp[i]}, args...)
		}
		server, err := program.Start(ctx, filepath.Join(dir, fmt.Sprintf("sessiond%d.log", i+1)), own...)
		if err != nil {
			stop()
			return nil, err
		}
		servers = append(servers, server)
		http = append(http, server.Addr())
		pids = append(pids, server.PID())
	}
	sides := []*side{{
		name: name + ", HTTP", pids: pids, stop: stop,
		dial: func(ctx context.Context, client int) (wire.Client, error) {
			return wire.DialHTTP(ctx, http[client%n], "bench")
		},
	}}
	if len(resp) > 0 {
		sides = append(sides, &side{
			name: name + ", Redis", pids: pids, stop: func() {},
			dial: func(ctx context.Context, client int) (wire.Client, error) {
				return wire.DialRedis(ctx, resp[client%n], idle)
			},
		})
	}
	return sides, nil
}
