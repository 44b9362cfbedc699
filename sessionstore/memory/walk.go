package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

var (
	_ sessionstore.Walker       = (*Store)(nil)
	_ sessionstore.SubjectStore = (*Store)(nil)
	_ sessionstore.Importer     = (*Store)(nil)
)

// Walk implements [sessionstore.Walker], in the order of keys. It looks at every session for every page, so it is for
// stores of a test's size.
func (s *Store) Walk(ctx context.Context, w sessionstore.Walk) (sessionstore.Page, error) {
	if err := w.Check(); err != nil {
		return sessionstore.Page{}, err
	}
	after, err := parseCursor(w.After)
	if err != nil {
		return sessionstore.Page{}, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return sessionstore.Page{}, err
	}
	defer s.mu.Unlock()
	var keys []sessionstore.Key
	for key, r := range s.records {
		if r.at(now) == live && w.Shows(r.namespace, r.subject) && (w.After == "" || bytes.Compare(key[:], after[:]) > 0) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b sessionstore.Key) int { return bytes.Compare(a[:], b[:]) })
	return s.page(keys, w), nil
}

// page returns what of the sessions fits a page.
func (s *Store) page(keys []sessionstore.Key, w sessionstore.Walk) (p sessionstore.Page) {
	size := 0
	for _, key := range keys {
		x := s.records[key].session(key)
		if !w.Payload {
			x.Payload = nil
		}
		size += len(x.Payload)
		if n := len(p.Sessions); n == w.Limit || n > 0 && size > sessionstore.MaxPageBytes {
			p.Next = sessionstore.Cursor(p.Sessions[n-1].Key[:])
			break
		}
		p.Sessions = append(p.Sessions, x)
	}
	return p
}

// parseCursor returns the key after which a page begins.
func parseCursor(c sessionstore.Cursor) (key sessionstore.Key, err error) {
	if c != "" && len(c) != len(key) {
		return key, fmt.Errorf("%w: not a cursor of this store", sessionstore.ErrInvalid)
	}
	copy(key[:], c)
	return key, nil
}

// DestroySubject implements [sessionstore.SubjectStore].
func (s *Store) DestroySubject(ctx context.Context, subject sessionstore.Key, grave time.Duration) (n int, err error) {
	if err := sessionstore.CheckSubject(subject); err != nil {
		return 0, err
	}
	if err := sessionstore.CheckDuration("tombstone time", grave); err != nil {
		return 0, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	for key, r := range s.records {
		if r.at(now) == live && r.subject == subject {
			r.bury(now + grave.Milliseconds())
			s.enter(key, r)
			n++
		}
	}
	return n, nil
}

// Import implements [sessionstore.Importer].
func (s *Store) Import(ctx context.Context, x sessionstore.Session, replace bool) error {
	if err := x.Check(); err != nil {
		return err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	r := s.records[x.Key]
	switch state := r.at(now); {
	case now >= x.Expires.UnixMilli():
		return sessionstore.ErrNotFound
	case state == tombstone:
		return sessionstore.ErrDestroyed
	case state == alias, state == live && !replace, r != nil && r.version >= x.Version:
		return sessionstore.ErrConflict
	}
	r = s.create(x.Key, x.Created.UnixMilli(), 0, x.Namespace)
	r.version, r.payload, r.encoding, r.subject = x.Version, bytes.Clone(x.Payload), x.Encoding, x.Subject
	if !x.Deadline.IsZero() {
		r.deadline = x.Deadline.UnixMilli()
	}
	r.expires = x.Expires.UnixMilli()
	r.purge = r.expires
	s.enter(x.Key, r)
	return nil
}
