package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lvsession/lvsession/sessionstore"
)

// maxStep is how many records one call of Walk looks at, whatever the page's limit: what passes no filter counts too.
const maxStep = 10_000

// Walk implements [sessionstore.Walker], in the order of keys.
func (s *Store) Walk(ctx context.Context, w sessionstore.Walk) (sessionstore.Page, error) {
	if err := w.Check(); err != nil {
		return sessionstore.Page{}, err
	}
	from, to, err := walkBounds(w)
	if err != nil {
		return sessionstore.Page{}, err
	}
	leave, err := s.enter(ctx, "walk")
	if err != nil {
		return sessionstore.Page{}, err
	}
	defer leave()
	k := walker{Walk: w, now: s.now().UnixMilli()}
	if err := k.run(ctx, s.db, from, to); err != nil {
		return sessionstore.Page{}, s.unavailable("walk", err)
	}
	return k.page, nil
}

// walkBounds returns the range of engine keys that the rest of a walk goes through: records, or entries of a subject.
func walkBounds(w sessionstore.Walk) (from, to []byte, err error) {
	if len(w.After) != 0 && len(w.After) != len(sessionstore.Key{}) {
		return nil, nil, fmt.Errorf("%w: not a cursor of this store", sessionstore.ErrInvalid)
	}
	prefix := []byte{sessionPrefix}
	if w.Subject != (sessionstore.Key{}) {
		prefix = append([]byte{subjectPrefix}, w.Subject[:]...)
	}
	from = append(bytes.Clone(prefix), w.After...)
	if w.After != "" {
		from = append(from, 0) // just behind it
	}
	return from, successor(prefix), nil
}

// successor returns the first key behind all that begin with a prefix.
func successor(prefix []byte) []byte {
	next := bytes.Clone(prefix)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			return next[:i+1]
		}
	}
	return nil
}

// walker gathers one page.
type walker struct {
	sessionstore.Walk
	now  int64
	page sessionstore.Page
	size int // of their payloads
}

// run goes through a range as of one instant.
func (k *walker) run(ctx context.Context, db *pebble.DB, from, to []byte) error {
	snapshot := db.NewSnapshot()
	defer snapshot.Close()
	it, err := snapshot.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	last, full := sessionstore.Key{}, false
	valid := it.First()
	for steps := 0; valid && !full && err == nil; valid = it.Next() {
		if steps++; steps > maxStep || len(k.page.Sessions) == k.Limit {
			break
		}
		key := sessionstore.Key(it.Key()[len(it.Key())-len(last):])
		if full, err = k.look(snapshot, it, key); !full {
			last = key
		}
		if err == nil {
			err = ctx.Err()
		}
	}
	if valid || full {
		k.page.Next = sessionstore.Cursor(last[:])
	}
	return errors.Join(err, it.Close())
}

// look takes a session onto the page if it passes the filters. full tells that the page has no room for it.
func (k *walker) look(db *pebble.Snapshot, it *pebble.Iterator, key sessionstore.Key) (full bool, err error) {
	var r record
	if it.Key()[0] == sessionPrefix {
		err = r.decode(it.Value())
	} else {
		err = readRecord(db, key, &r)
	}
	if err != nil || r.at(k.now) != live || !k.Shows(r.namespace, r.subject) {
		return false, err
	}
	var payload []byte
	if k.Payload {
		if k.size += int(r.size); k.size > sessionstore.MaxPageBytes && len(k.page.Sessions) > 0 {
			return true, nil
		}
		if payload, err = readPayload(db, key, &r); err != nil {
			return false, err
		}
	}
	k.page.Sessions = append(k.page.Sessions, r.session(key, trim(payload)))
	return false, nil
}

// destroyChunk is how many sessions of a subject are destroyed in one operation.
const destroyChunk = 64

// DestroySubject implements [sessionstore.SubjectStore].
func (s *Store) DestroySubject(ctx context.Context, subject sessionstore.Key, grave time.Duration) (n int, err error) {
	if err := sessionstore.CheckSubject(subject); err != nil {
		return 0, err
	}
	if err := sessionstore.CheckDuration("tombstone time", grave); err != nil {
		return 0, err
	}
	for w := (sessionstore.Walk{Subject: subject, Limit: destroyChunk}); ; {
		page, err := s.Walk(ctx, w)
		if err != nil {
			return n, err
		}
		done, err := s.destroyAll(ctx, page.Sessions, subject, grave)
		n += done
		if err != nil || page.Next == "" {
			return n, err
		}
		w.After = page.Next
	}
}

// destroyAll destroys those of the sessions that are still there and the subject's.
func (s *Store) destroyAll(ctx context.Context, list []sessionstore.Session, subject sessionstore.Key, grave time.Duration) (n int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	gone := 0
	err = s.submit(ctx, &operation{
		name: "destroy",
		evaluate: func(v *view, now int64) error {
			cells := make([]*sessionCell, len(list))
			for i, x := range list {
				var err error
				if cells[i], err = v.session(x.Key); err != nil {
					return err
				}
			}
			for _, c := range cells {
				if c.at(now) == live && c.subject == subject {
					c.bury(now + grave.Milliseconds())
					v.put(c)
					gone++
				}
			}
			return nil
		},
	})
	if err != nil {
		return 0, err
	}
	return gone, nil
}

// Import implements [sessionstore.Importer].
func (s *Store) Import(ctx context.Context, x sessionstore.Session, replace bool) error {
	if err := x.Check(); err != nil {
		return err
	}
	payload := newPayload(x.Payload)
	x.Payload = nil
	return s.submit(ctx, &operation{
		name: "import", key: &x.Key, size: len(payload), grows: true,
		evaluate: func(v *view, now int64) error { return v.take(x, payload, replace, now) },
	})
}

func (v *view) take(x sessionstore.Session, payload []byte, replace bool, now int64) error {
	c, err := v.session(x.Key)
	if err != nil {
		return err
	}
	switch state := c.at(now); {
	case now >= x.Expires.UnixMilli():
		return sessionstore.ErrNotFound
	case state == tombstone:
		return sessionstore.ErrDestroyed
	case state == alias, state == live && !replace, c.version >= x.Version:
		return sessionstore.ErrConflict
	}
	c.record = record{
		kind: live, version: x.Version, created: x.Created.UnixMilli(), expires: x.Expires.UnixMilli(), indexed: c.indexed,
		size: uint32(len(payload) - stampSize), namespace: x.Namespace, subject: x.Subject, encoding: x.Encoding,
	}
	c.purge = c.expires
	if !x.Deadline.IsZero() {
		c.deadline = x.Deadline.UnixMilli()
	}
	c.payload = payload
	v.put(c)
	return nil
}
