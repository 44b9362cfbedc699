package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/archive"
)

// export writes the archive beside its place and moves it there once it is whole and on disk.
func (a *admin) export(ctx context.Context) error {
	part := a.file + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(part) // gone, if all went well
	w, n := archive.NewWriter(f), 0
	err = a.walk(ctx, true, func(s sessionstore.Session) error {
		n++
		return w.Write(s)
	})
	if err == nil {
		err = errors.Join(w.Close(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export to %s: %w", a.file, err)
	}
	if err := os.Rename(part, a.file); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%d sessions exported\n", n)
	return err
}

// importers is how many sessions are stored at once: they gather in batches.
const importers = 64

// take reads the archive twice: first to see that it is whole, so that nothing is taken from one that is not.
func (a *admin) take(ctx context.Context) error {
	store, ok := a.store.(sessionstore.Importer)
	if !ok {
		return errors.New("this store takes no imports")
	}
	total := 0
	if err := a.read(ctx, 0, func(sessionstore.Session) error { total++; return nil }); err != nil {
		return fmt.Errorf("import of %s, of which nothing was taken: %w", a.file, err)
	}
	var stored, kept, over atomic.Int64
	group, stop := errgroup.WithContext(ctx)
	group.SetLimit(importers)
	err := a.read(stop, total, func(s sessionstore.Session) error {
		group.Go(func() error {
			switch err := store.Import(stop, s, a.replace); {
			case err == nil:
				stored.Add(1)
			case errors.Is(err, sessionstore.ErrConflict), errors.Is(err, sessionstore.ErrDestroyed):
				kept.Add(1)
			case errors.Is(err, sessionstore.ErrNotFound):
				over.Add(1)
			default:
				return fmt.Errorf("session %v: %w", s.Key, err)
			}
			return nil
		})
		return nil
	})
	if failed := group.Wait(); failed != nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("import of %s, of which %d of %d sessions were stored (it can be repeated): %w", a.file, stored.Load(), total, err)
	}
	_, err = fmt.Fprintf(a.out, "%d sessions imported, %d left as the store has them, %d had expired\n", stored.Load(), kept.Load(), over.Load())
	return err
}

// read shows do every session of the archive. total is how many there are, 0 if that is still to be seen.
func (a *admin) read(ctx context.Context, total int, do func(sessionstore.Session) error) error {
	f, err := os.Open(a.file)
	if err != nil {
		return err
	}
	defer f.Close()
	defer a.bar.Done()
	r := archive.NewReader(f)
	for n := 1; ; n++ {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.Join(ctx.Err(), do(s))
		}
		if err != nil {
			return err
		}
		if total == 0 {
			a.bar.Show(-1, fmt.Sprintf("%d sessions checked", n))
		} else {
			a.bar.Show(float64(n)/float64(total), fmt.Sprintf("%d sessions", n))
		}
	}
}
