package memory

import (
	"context"
	"errors"
	"fmt"

	"github.com/lvsession/lvsession/sessionstore"
)

// Check implements [sessionstore.Checker].
func (s *Store) Check(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := map[due]bool{}
	for _, d := range s.sessions {
		entries[d] = true
	}
	var errs []error
	for key, r := range s.records {
		if r.indexed > r.purge || !entries[due{at: r.indexed, key: key}] {
			errs = append(errs, fmt.Errorf("%v: no index entry leads to it by %d", key, r.purge))
		}
		if err := r.check(); err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", key, err))
		}
	}
	if len(s.leases) != len(s.locks) {
		errs = append(errs, fmt.Errorf("%d leases, but %d index entries", len(s.locks), len(s.leases)))
	}
	return errors.Join(errs...)
}

func (r *record) check() error {
	switch {
	case r.kind == nothing:
		return errors.New("a record of no kind")
	case r.kind == live && r.version == 0:
		return errors.New("a session without a version")
	case r.kind == live && r.deadline != 0 && r.expires > r.deadline:
		return errors.New("a session that outlives its deadline")
	case r.kind != live && (r.namespace != "" || r.subject != sessionstore.Key{}):
		return errors.New("a subject without a session")
	case r.kind != live && len(r.payload) > 0:
		return errors.New("a payload without a session")
	case r.kind == alias && r.target == sessionstore.Key{}:
		return errors.New("an alias of nothing")
	}
	return nil
}
