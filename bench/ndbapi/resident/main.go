// Command resident runs the store on the NDB API for millions of operations, and fails if its memory grows: the shim in C++ is
// under no garbage collector.
//
//	eval "$(go run ./bench/rig/ndbkit)"
//	go run -tags ndbapi ./bench/ndbapi/resident
//
// It starts a cluster on loopback and removes it afterwards.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/proc"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

type options struct {
	operations int
	clients    int
	growth     float64
	most       time.Duration
}

func main() {
	command.Main("ndbapi/resident", func(ctx context.Context) error {
		o := options{}
		flag.IntVar(&o.operations, "operations", 10_000_000, "run so many")
		flag.IntVar(&o.clients, "clients", 256, "concurrent clients")
		flag.Float64Var(&o.growth, "growth", 0.1, "fail if the memory after all operations is greater by this `SHARE` than after half of them")
		flag.DurationVar(&o.most, "most", 20*time.Minute, "fail unless it is done in this time")
		flag.Parse()
		if o.operations < 100*o.clients || o.clients < 1 || o.growth <= 0 {
			return errors.New("-clients, -growth and a hundred -operations for each client must be positive")
		}
		ctx, cancel := context.WithTimeout(ctx, o.most)
		defer cancel()
		return o.run(ctx)
	})
}

func (o options) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "resident-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cluster, err := ndbcluster.StartDir(ctx, filepath.Join(dir, "ndb"), ndbcluster.Options{SQL: 1, MemoryMB: 400})
	if err != nil {
		return err
	}
	defer cluster.Stop()
	s, err := open(ctx, cluster)
	if err != nil {
		return err
	}
	defer s.Close()
	const warm = 5 // by then Go's heap and NDB's buffers have the size that the load asks for
	var first int64
	for part := range 10 {
		began := time.Now()
		if err := o.part(ctx, s); err != nil {
			return err
		}
		debug.FreeOSMemory()
		now := proc.Resident(os.Getpid())
		if part == warm-1 {
			first = now
		}
		fmt.Printf("%8d operations: %6.1f MB resident, %.0f operations/s\n", (part+1)*o.operations/10, float64(now)/1e6, float64(o.operations)/10/time.Since(began).Seconds())
		if part >= warm && float64(now) > float64(first)*(1+o.growth) {
			return fmt.Errorf("the memory grew from %.1f MB to %.1f MB", float64(first)/1e6, float64(now)/1e6)
		}
	}
	return nil
}

// open opens the store on new tables, which are not logged: the redo log of so small a cluster is slow.
func open(ctx context.Context, cluster *ndbcluster.Cluster) (*ndb.APIStore, error) {
	db, err := ndb.OpenDB(cluster.DSNs()[0])
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if _, _, err := schema.ApplyUnlogged(ctx, db, schema.NDB); err != nil {
		return nil, err
	}
	return ndb.OpenAPI(ctx, ndb.APIOptions{Connect: cluster.Connect(), Database: "lvsession"})
}

// part runs a tenth of the operations, by clients that each have a session at a time.
func (o options) part(ctx context.Context, s *ndb.APIStore) error {
	var left atomic.Int64
	left.Store(int64(o.operations / 10))
	errs := make([]error, o.clients)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for n := 0; left.Load() > 0 && errs[i] == nil; n++ {
				done, err := life(ctx, s, n%50 == 0)
				left.Add(-int64(done))
				errs[i] = err
			}
		})
	}
	all.Wait()
	if _, err := s.GC(ctx, 1000); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// life is a session's: made, locked, read and written many times, now and then with chunks and a new id, and destroyed. It
// returns how many operations that took.
func life(ctx context.Context, s *ndb.APIStore, large bool) (operations int, err error) {
	key := sessionstore.NewKey("resident", sessionstore.NewID())
	w := sessionstore.Write{Payload: make([]byte, 2048), Idle: time.Hour}
	if large {
		w.Payload = make([]byte, 60_000)
	}
	do := func(name string, work func() error) {
		if err == nil {
			if err = work(); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			operations++
		}
	}
	do("create", func() (err error) { w.IfVersion, err = s.Write(ctx, key, w); return err })
	var lease sessionstore.Lease
	do("lock", func() (err error) { lease, err = s.Lock(ctx, key, sessionstore.Lock{TTL: time.Minute}); return err })
	do("unlock", func() error { return s.Unlock(ctx, key, lease.Token) })
	for range 20 {
		for range 3 {
			do("read", func() error { _, err := s.Read(ctx, key); return err })
		}
		do("write", func() (err error) { w.IfVersion, err = s.Write(ctx, key, w); return err })
		do("touch", func() error { return s.Touch(ctx, key, sessionstore.Touch{Idle: time.Hour}) })
	}
	old := key
	key = sessionstore.NewKey("resident", sessionstore.NewID())
	do("regenerate", func() error {
		_, err := s.Regenerate(ctx, old, key, sessionstore.Regenerate{Tombstone: time.Millisecond})
		return err
	})
	do("destroy", func() error { return s.Destroy(ctx, key, time.Millisecond) })
	return operations, err
}
