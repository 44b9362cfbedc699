package memory

import (
	"context"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

var _ sessionstore.Backlogger = (*Store)(nil)

// Backlog implements [sessionstore.Backlogger].
func (s *Store) Backlog(ctx context.Context) (b sessionstore.Backlog, err error) {
	now, err := s.begin(ctx)
	if err != nil {
		return b, err
	}
	defer s.mu.Unlock()
	for _, x := range []index{s.sessions, s.leases} {
		if len(x) > 0 && x[0].at <= now && (b.Oldest.IsZero() || x[0].at < b.Oldest.UnixMilli()) {
			b.Oldest = time.UnixMilli(x[0].at)
		}
		b.Due = x.count(now, b.Due)
	}
	return b, nil
}

// count returns so many and those that are due, up to the limit of a backlog. What lies below an entry of a heap is not
// due before it.
func (x index) count(now int64, so int) int {
	for next := []int{0}; len(next) > 0 && so < sessionstore.MaxBacklog; {
		i := next[len(next)-1]
		next = next[:len(next)-1]
		if i < len(x) && x[i].at <= now {
			so++
			next = append(next, 2*i+1, 2*i+2)
		}
	}
	return so
}
