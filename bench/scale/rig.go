package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/proc"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/embedded"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

// rig is two stores of one kind.
type rig struct {
	few, many sessionstore.Store
	what      string                                     // what size tells
	size      func(ctx context.Context) (float64, error) // bytes
	stop      func()
}

func (r *rig) close() error {
	var errs []error
	for _, s := range []sessionstore.Store{r.few, r.many} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if r.stop != nil {
		r.stop()
	}
	return errors.Join(errs...)
}

// report notes what the sessions take that were stored since before, and the memory of this process.
func (r *rig) report(ctx context.Context, sheet *figures.Sheet, before float64, sessions int) error {
	after, err := r.size(ctx)
	if err != nil {
		return err
	}
	sheet.Note("%s: %.0f MiB, %.0f bytes a session; this process: %d MiB resident",
		r.what, after/(1<<20), (after-before)/float64(sessions), proc.Resident(os.Getpid())>>20)
	return nil
}

func embeddedRig(dir string) (r *rig, err error) {
	r = &rig{what: "on disk"}
	if r.few, err = embedded.Open(filepath.Join(dir, "few"), embedded.Options{}); err != nil {
		r.few = nil
		return r, err
	}
	if r.many, err = embedded.Open(filepath.Join(dir, "many"), embedded.Options{}); err != nil {
		r.many = nil
		return r, err
	}
	r.size = func(context.Context) (float64, error) { return folder(filepath.Join(dir, "many")) }
	return r, nil
}

// folder returns the bytes that the files of a folder have.
func folder(dir string) (sum float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the engine has just removed it
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += float64(info.Size())
		}
		return err
	})
	return sum, err
}

func (o options) ndbRig(ctx context.Context, dir string) (*rig, error) {
	r := &rig{what: "DataMemory of a data node"}
	cluster, err := ndbcluster.StartDir(ctx, dir, ndbcluster.Options{MemoryMB: o.memory})
	if err != nil {
		return r, err
	}
	r.stop = cluster.Stop
	for name, store := range map[string]*sessionstore.Store{"few": &r.few, "many": &r.many} {
		if *store, err = openDatabase(ctx, cluster.DSNs(), name); err != nil {
			*store = nil
			return r, err
		}
	}
	db, err := ndb.OpenDB(cluster.DSNs()[0])
	if err != nil {
		return r, err
	}
	r.stop = func() { db.Close(); cluster.Stop() }
	r.size = func(ctx context.Context) (used float64, err error) {
		const query = "SELECT MAX(used) FROM ndbinfo.memoryusage WHERE memory_type = 'Data memory'"
		err = db.QueryRowContext(ctx, query).Scan(&used)
		return used, err
	}
	return r, nil
}

// openDatabase makes a database with the schema in it and opens the store there.
func openDatabase(ctx context.Context, dsns []string, name string) (sessionstore.Store, error) {
	db, err := ndb.OpenDB(dsns[0])
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	var own []string
	for _, dsn := range dsns {
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, err
		}
		cfg.DBName = name
		own = append(own, cfg.FormatDSN())
	}
	in, err := ndb.OpenDB(own[0])
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if _, _, err := schema.Apply(ctx, in, schema.NDB); err != nil {
		return nil, err
	}
	return ndb.Open(ctx, ndb.Options{DSNs: own})
}
