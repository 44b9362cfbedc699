package sessionstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"time"
)

// Bounds of collection.
const (
	gcEvery = 30 * time.Second // between runs of one sessiond
	gcBatch = 500              // records in one batch
	gcLease = time.Minute      // how long one collector keeps the others away
	gcRun   = gcLease / 2      // how long one run lasts at most, well within the lease
)

// gcKey is the lease of the collector. No session has it: a namespace is never empty.
var gcKey = Key(sha256.Sum256([]byte("\x00gc")))

// Collect collects what has expired until the context ends: every half minute, in small batches with pauses between them
// as long as the batches took, on one sessiond at a time.
func (s *Service) Collect(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(gcEvery/2 + rand.N(gcEvery)):
		}
		switch n, err := s.GC(ctx); {
		case err != nil && ctx.Err() == nil:
			s.log.Warn("collection failed; next run tries again", "removed", n, "error", err)
		case n > 0:
			s.log.Debug("collected", "removed", n)
		}
	}
}

// GC makes one run of collection, for half a minute at most, and returns how many records it removed: none if another
// sessiond is collecting now.
func (s *Service) GC(ctx context.Context) (removed int, err error) {
	lease, err := s.store.Lock(ctx, gcKey, Lock{TTL: gcLease})
	if errors.Is(err, ErrLocked) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	removed, behind, err := s.collectRun(ctx)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, s.store.Unlock(end, gcKey, lease.Token))
	s.collected.add(removed, behind, err)
	return removed, err
}

// collectRun removes batches until nothing is due or the run has lasted long enough; then it leaves more behind.
func (s *Service) collectRun(ctx context.Context) (removed int, behind bool, err error) {
	for began := time.Now(); time.Since(began) < gcRun; {
		batch := time.Now()
		n, err := s.store.GC(ctx, gcBatch)
		removed += n
		if err != nil || n < gcBatch {
			return removed, false, err
		}
		select {
		case <-ctx.Done():
			return removed, true, ctx.Err()
		case <-time.After(time.Since(batch)):
		}
	}
	return removed, true, nil
}
