package embedded

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lvsession/lvsession/sessionstore"
)

// collectChunk is how many records the collector takes in one operation. It is what a user's operation may have to wait
// for, so it is small. A collection leaves the store to users for rest times as long as that took, maxRest at most.
const (
	collectChunk = 16
	rest         = 3
	maxRest      = 10 * time.Millisecond
)

// due is where the indexes begin: no entry lies before. Without it the collector would step over all that was removed
// before and that the engine has not yet forgotten.
type due struct {
	sessions, leases atomic.Int64
}

func (d *due) start(index byte) *atomic.Int64 {
	if index == leaseIndexPrefix {
		return &d.leases
	}
	return &d.sessions
}

// reset makes both indexes begin at the beginning.
func (d *due) reset() {
	d.sessions.Store(math.MinInt64)
	d.leases.Store(math.MinInt64)
}

// entered notes a new index entry. Only the committer calls it, and it alone moves the start forward.
func (d *due) entered(index byte, at int64) {
	if start := d.start(index); at < start.Load() {
		start.Store(at)
	}
}

// GC implements [sessionstore.Store].
func (s *Store) GC(ctx context.Context, limit int) (removed int, err error) {
	for _, index := range []byte{sessionIndexPrefix, leaseIndexPrefix} {
		for removed < limit {
			began := time.Now()
			n, more, err := s.collect(ctx, index, min(collectChunk, limit-removed))
			removed += n
			time.Sleep(min(rest*time.Since(began), maxRest))
			if err != nil {
				return removed, err
			}
			if !more {
				break
			}
		}
	}
	return removed, nil
}

// entry is one of an index.
type entry struct {
	at  int64
	key sessionstore.Key
}

// collect looks at the first n due entries of an index, removes what nobody can see any more and moves the others to
// where they belong. more tells that there may be further entries.
func (s *Store) collect(ctx context.Context, index byte, n int) (removed int, more bool, err error) {
	entries, err := s.dueEntries(ctx, index, n)
	if err != nil || len(entries) == 0 {
		return 0, false, err
	}
	gone := 0
	err = s.submit(ctx, &operation{
		name: "collect",
		lazy: true, // what comes back by a crash is as dead as before, and is collected again
		evaluate: func(v *view, now int64) error {
			for _, e := range entries {
				ok, err := v.collect(index, e, now)
				if err != nil {
					return err
				}
				if ok {
					gone++
				}
			}
			s.due.start(index).Store(entries[len(entries)-1].at)
			return nil
		},
	})
	if err != nil {
		return 0, false, err
	}
	return gone, len(entries) == n, nil
}

// dueEntries returns the first n entries of an index that are due. It also reads what they lead to, so that the
// committer finds it in memory.
func (s *Store) dueEntries(ctx context.Context, index byte, n int) (entries []entry, err error) {
	leave, err := s.enter(ctx, "collect")
	if err != nil {
		return nil, err
	}
	defer leave()
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{
		LowerBound: indexBound(index, s.due.start(index).Load()),
		UpperBound: indexBound(index, s.now().UnixMilli()+1),
	})
	if err != nil {
		return nil, s.unavailable("collect", err)
	}
	for valid := it.First(); valid && len(entries) < n; valid = it.Next() {
		if at, key, ok := splitIndexKey(it.Key()); ok {
			entries = append(entries, entry{at, key})
		}
	}
	if err := it.Close(); err != nil {
		return nil, s.unavailable("collect", err)
	}
	for _, e := range entries {
		var r record
		var l lease
		if index == sessionIndexPrefix {
			err = readRecord(s.db, e.key, &r)
		} else {
			err = readLease(s.db, e.key, &l)
		}
		if err != nil {
			return nil, s.unavailable("collect", err)
		}
	}
	return entries, nil
}

// collect removes what an index entry leads to if nobody can see it any more, or else moves the entry.
func (v *view) collect(index byte, e entry, now int64) (gone bool, err error) {
	if index == leaseIndexPrefix {
		return v.collectLease(e, now)
	}
	c, err := v.session(e.key)
	if err != nil || c.kind == nothing || c.indexed != e.at {
		return false, err // meanwhile changed
	}
	if now >= c.purge {
		v.remove(c)
		return true, nil
	}
	c.indexed = c.purge
	v.put(c)
	return false, nil
}

func (v *view) collectLease(e entry, now int64) (gone bool, err error) {
	c, err := v.lease(e.key)
	if err != nil || c.token == 0 || c.indexed != e.at {
		return false, err
	}
	if now >= c.end() {
		v.removeLease(c)
		return true, nil
	}
	c.indexed = c.end()
	v.putLease(c)
	return false, nil
}

// Backlog implements [sessionstore.Backlogger].
func (s *Store) Backlog(ctx context.Context) (b sessionstore.Backlog, err error) {
	leave, err := s.enter(ctx, "count what is due")
	if err != nil {
		return b, err
	}
	defer leave()
	for _, index := range []byte{sessionIndexPrefix, leaseIndexPrefix} {
		if err := s.countDue(ctx, index, &b); err != nil {
			return b, s.unavailable("count what is due", err)
		}
	}
	return b, nil
}

// countDue adds the due entries of an index.
func (s *Store) countDue(ctx context.Context, index byte, b *sessionstore.Backlog) error {
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{
		LowerBound: indexBound(index, s.due.start(index).Load()),
		UpperBound: indexBound(index, s.now().UnixMilli()+1),
	})
	if err != nil {
		return err
	}
	first := true
	for valid := it.First(); valid && b.Due < sessionstore.MaxBacklog; valid = it.Next() {
		if at, _, ok := splitIndexKey(it.Key()); ok && first {
			first = false
			if b.Oldest.IsZero() || at < b.Oldest.UnixMilli() {
				b.Oldest = time.UnixMilli(at)
			}
		}
		b.Due++
	}
	return it.Close()
}
