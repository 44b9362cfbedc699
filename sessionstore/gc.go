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
	gcEvery = 30 * time.Second // between runs of one sessiond, if the last one left nothing
	gcSoon  = time.Second / 2  // between runs, if it did
	gcLease = time.Minute      // how long one collector keeps the others away
	gcRun   = gcLease / 2      // how long one run lasts at most, well within the lease
	gcLate  = 2 * time.Minute  // how long a record may be due before collection must get on
)

// gcKey is the lease of the collector. No session has it: a namespace is never empty.
var gcKey = Key(sha256.Sum256([]byte("\x00gc")))

// Collect collects what has expired until the context ends: every half minute, in batches and with pauses between them
// that follow what the batches do to users' operations, on one sessiond at a time.
func (s *Service) Collect(ctx context.Context) {
	for every := gcEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every/2 + rand.N(every)):
		}
		n, err := s.GC(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Warn("collection failed; next run tries again", "removed", n, "error", err)
		case n > 0:
			s.log.Debug("collected", "removed", n)
		}
		if every = gcEvery; err == nil && s.collected.snapshot().GCBehind {
			every = gcSoon
		}
	}
}

// GC makes one run of collection, for half a minute at most, and returns how many records it removed: none if another
// sessiond is collecting now.
func (s *Service) GC(ctx context.Context) (removed int, err error) {
	lease, err := s.store.Lock(ctx, gcKey, Lock{TTL: gcLease})
	if errors.Is(err, ErrLocked) {
		s.collected.elsewhere()
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	before, err := s.backlog(ctx)
	behind := false
	if err == nil {
		removed, behind, err = s.collectRun(ctx, newPace(before.age(time.Now()) > gcLate))
	}
	left := Backlog{}
	if behind && err == nil {
		left, err = s.backlog(ctx)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, s.store.Unlock(end, gcKey, lease.Token))
	s.collected.add(removed, behind, left, err)
	return removed, err
}

// collectRun removes batches until nothing is due or the run has lasted long enough; then it leaves more behind.
func (s *Service) collectRun(ctx context.Context, p *pace) (removed int, behind bool, err error) {
	s.timed.begin()
	defer s.timed.end()
	for began := time.Now(); time.Since(began) < gcRun; {
		batch := time.Now()
		n, err := s.store.GC(ctx, p.batch)
		removed += n
		if err != nil || n < p.batch {
			return removed, false, err
		}
		pause := p.next(time.Since(batch), feeling(&s.timed.during, &s.timed.usual, time.Since(began)))
		select {
		case <-ctx.Done():
			return removed, true, ctx.Err()
		case <-time.After(pause):
		}
	}
	return removed, true, nil
}

// backlog asks the store what is due, if it can tell.
func (s *Service) backlog(ctx context.Context) (Backlog, error) {
	if b, ok := s.timed.Store.(Backlogger); ok {
		return b.Backlog(ctx)
	}
	return Backlog{}, nil
}

// MaxBacklog is how far a store counts what is due.
const MaxBacklog = 20_000

// Backlogger is a [Store] that can tell how much collection has to do. Every store of this module is one.
type Backlogger interface {
	// Backlog counts, by its indexes, the records that GC would look at now, sessions and leases. Some of them may turn
	// out to live still: a touch need not move an index entry.
	Backlog(ctx context.Context) (Backlog, error)
}

// Backlog is what is due for collection.
type Backlog struct {
	Due    int       // records, MaxBacklog if there are as many or more
	Oldest time.Time // since when the first of them is due, to the minute; zero if none is
}

// age is how long the oldest record has been due.
func (b Backlog) age(now time.Time) time.Duration {
	if b.Oldest.IsZero() {
		return 0
	}
	return now.Sub(b.Oldest)
}
