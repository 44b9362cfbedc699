package linear

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/client"
)

// Stores of a sessiond on NDB, as its option --store names them.
const (
	OnSQL = "mysql"
	OnAPI = "ndbapi" // sessiond is built with the tag ndbapi
)

// Rig is an NDB Cluster of two data nodes and two SQL nodes, and two sessiond on it. It is built from the checkout
// that the working directory lies in.
type Rig struct {
	Cluster *ndbcluster.Cluster

	dir      string
	sessiond []*sessiond.Server
	clients  []*client.Client
}

// StartRig starts everything on loopback, with its files in dir. Where there is no NDB Cluster, the error is
// [ndbcluster.ErrNoKit]. The caller stops the rig and then removes dir.
//
// The first sessiond has the first of the stores, the second the last: [OnSQL] where none is named, or [OnAPI].
func StartRig(ctx context.Context, dir string, stores ...string) (r *Rig, err error) {
	if len(stores) == 0 {
		stores = []string{OnSQL}
	}
	r = &Rig{dir: dir}
	defer func() {
		if err != nil {
			r.Stop()
		}
	}()
	if r.Cluster, err = ndbcluster.StartDir(ctx, filepath.Join(dir, "ndb"), ndbcluster.Options{}); err != nil {
		return r, err
	}
	build := sessiond.Build
	if slices.Contains(stores, OnAPI) {
		build = sessiond.BuildAPI
	}
	program, err := build(ctx, dir)
	if err != nil {
		return r, fmt.Errorf("build sessiond: %w", err)
	}
	if err := program.ApplySchema(ctx, r.Cluster.DSNs()[0]); err != nil {
		return r, err
	}
	for i, store := range []string{stores[0], stores[len(stores)-1]} {
		if err := r.startSessiond(ctx, program, "sessiond"+strconv.Itoa(i+1), r.storeArgs(store)); err != nil {
			return r, err
		}
	}
	return r, nil
}

// storeArgs are the options that tell a sessiond its store.
func (r *Rig) storeArgs(store string) (args []string) {
	dsns := r.Cluster.DSNs()
	if store == OnAPI {
		database := dsns[0][strings.LastIndexByte(dsns[0], '/')+1:]
		return []string{"--store", OnAPI, "--ndb-connect", r.Cluster.Connect(), "--ndb-database", database}
	}
	args = []string{"--store", OnSQL}
	for _, dsn := range dsns {
		args = append(args, "--dsn", dsn)
	}
	return args
}

// startSessiond starts one, with times that no run outlasts, and waits until it is ready.
func (r *Rig) startSessiond(ctx context.Context, program *sessiond.Program, name string, store []string) error {
	args := []string{"--idle", "2h", "--tombstone", "2h", "--grace", "2h", "--lock-ttl", "2h"}
	server, err := program.Start(ctx, filepath.Join(r.dir, name+".log"), append(args, store...)...)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.sessiond = append(r.sessiond, server)
	// A client that avoids its only sessiond for long would leave the most interesting moments out.
	c, err := client.New([]string{server.URL()}, "linear", client.Options{Avoid: time.Millisecond})
	if err != nil {
		return err
	}
	r.clients = append(r.clients, c)
	return nil
}

// Sessions are the same namespace through each sessiond. None of them repeats what it got no answer to.
func (r *Rig) Sessions() (list []sessionstore.Sessions) {
	for _, c := range r.clients {
		list = append(list, c)
	}
	return list
}

// Kills returns a [Config].Disturb that kills each of the nodes with SIGKILL, one after the other, and starts it
// again, with so many operations answered before, while it is away, and after.
func (r *Rig) Kills(operations int, report func(format string, args ...any), nodes ...string) func(context.Context, func(int) error) error {
	return func(ctx context.Context, progress func(int) error) error {
		for _, node := range nodes {
			if err := progress(operations); err != nil {
				return err
			}
			began := time.Now()
			if err := r.Cluster.Kill(node); err != nil {
				return err
			}
			if err := progress(operations); err != nil {
				return fmt.Errorf("while %s is away: %w", node, err)
			}
			away := time.Since(began)
			if err := r.Cluster.Boot(ctx, node); err != nil {
				return err
			}
			report("%s was killed, started again after %.1fs and ready after %.1fs", node, away.Seconds(), time.Since(began).Seconds())
		}
		return progress(operations)
	}
}

// Check reports whether both sessiond still run.
func (r *Rig) Check() error {
	for i, p := range r.sessiond {
		if !p.Alive() {
			return fmt.Errorf("sessiond%d ended: %w\n%s", i+1, p.Err(), p.Tail())
		}
	}
	return nil
}

// Stop stops everything.
func (r *Rig) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var all errgroup.Group
	for _, c := range r.clients {
		all.Go(func() error { return c.Shutdown(ctx) })
	}
	all.Wait() // what is still under way is of no interest any more
	for _, p := range r.sessiond {
		p.Stop()
	}
	if r.Cluster != nil {
		r.Cluster.Stop()
	}
}
