package ndb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/sessionstore"
)

// walkReads is how many payloads of a page are read at once: they gather in batches.
const walkReads = 64

// place is where a walk has come to: a row of the index on due, or of that on subject, where due is 0.
type place struct {
	due int64
	id  []byte
}

func (p place) cursor() sessionstore.Cursor {
	return sessionstore.Cursor(append(binary.BigEndian.AppendUint32(nil, uint32(p.due)), p.id...))
}

func parseCursor(c sessionstore.Cursor) (place, error) {
	switch len(c) {
	case 0:
		return place{}, nil
	case 4 + len(sessionstore.Key{}):
		return place{due: int64(binary.BigEndian.Uint32([]byte(c[:4]))), id: []byte(c[4:])}, nil
	}
	return place{}, fmt.Errorf("%w: not a cursor of this store", sessionstore.ErrInvalid)
}

// Walk implements [sessionstore.Walker]. It goes in the order in which sessions end, to the minute, and within a minute
// in that of keys. A session whose expiry is moved nearer meanwhile may be missed.
func (s *Store) Walk(ctx context.Context, w sessionstore.Walk) (sessionstore.Page, error) {
	if err := w.Check(); err != nil {
		return sessionstore.Page{}, err
	}
	after, err := parseCursor(w.After)
	if err != nil {
		return sessionstore.Page{}, err
	}
	now := s.clock()
	rows, err := run(ctx, s, "walk", func(ctx context.Context, conn *sqlx.Conn, _ *attempt) ([]walked, error) {
		if w.Subject != (sessionstore.Key{}) {
			return statements{conn}.ofSubject(ctx, w.Subject, after, w.Limit)
		}
		return statements{conn}.byEnd(ctx, after, now/coarse, w.Limit)
	})
	if err != nil {
		return sessionstore.Page{}, err
	}
	return s.page(ctx, w, rows, now)
}

// walked is a row that a walk comes by.
type walked struct {
	record
	ID  []byte `db:"id"`
	Due int64  `db:"due"`
}

// byEnd returns the next rows that are due after the minute now. It goes from minute to minute: an index that also held the
// id, so that all could be read in order, would make every change of a session dearer.
func (s statements) byEnd(ctx context.Context, after place, now int64, limit int) (rows []walked, err error) {
	for minute, id := after.due, after.id; ; id = nil {
		if minute > 0 {
			var some []walked
			err := s.q.SelectContext(ctx, &some, "SELECT id, due, "+recordColumns+" FROM session FORCE INDEX (due) WHERE due = ? AND id > ? ORDER BY id LIMIT ?",
				minute, notNil(id), limit-len(rows))
			if err != nil {
				return nil, err
			}
			rows = append(rows, some...)
		}
		if len(rows) >= limit {
			return rows, nil
		}
		err := s.q.GetContext(ctx, &minute, "SELECT due FROM session FORCE INDEX (due) WHERE due > ? ORDER BY due LIMIT 1", max(minute, now))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return rows, nil
		case err != nil:
			return nil, err
		}
	}
}

// ofSubject returns the next rows of a subject.
func (s statements) ofSubject(ctx context.Context, subject sessionstore.Key, after place, limit int) (rows []walked, err error) {
	err = s.q.SelectContext(ctx, &rows, "SELECT id, 0 AS due, state, ver, stamp, created, expires, deadline, chunks, target, ns, session.subject, enc FROM subject JOIN session USING (id) WHERE subject.subject = ? AND id > ? ORDER BY id LIMIT ?",
		subject[:], notNil(after.id), limit)
	return rows, err
}

// page makes a page of the rows that are sessions and pass the filters.
func (s *Store) page(ctx context.Context, w sessionstore.Walk, rows []walked, now int64) (sessionstore.Page, error) {
	p := pageOf(w, rows, now)
	if !w.Payload {
		return p, nil
	}
	var err error
	p.Sessions, err = readAll(ctx, s.Read, p.Sessions)
	return p, err
}

// pageOf is page without payloads.
func pageOf(w sessionstore.Walk, rows []walked, now int64) (p sessionstore.Page) {
	size := 0
	for i, r := range rows {
		r.found = true
		if r.at(now) != live || !w.Shows(r.Namespace, r.subject()) {
			continue
		}
		if w.Payload {
			// How long an inline payload is, is not known yet.
			if size += (1 + r.Chunks) * inlineSize; size > sessionstore.MaxPageBytes && len(p.Sessions) > 0 {
				p.Next = place{rows[i-1].Due, rows[i-1].ID}.cursor()
				break
			}
		}
		p.Sessions = append(p.Sessions, r.session(sessionstore.Key(r.ID), nil))
	}
	if n := len(rows); p.Next == "" && n == w.Limit {
		p.Next = place{rows[n-1].Due, rows[n-1].ID}.cursor()
	}
	return p
}

func (r record) subject() (key sessionstore.Key) {
	copy(key[:], r.Subject)
	return key
}

// readAll reads the sessions again, with their payloads. It leaves out what has ended meanwhile.
func readAll(ctx context.Context, get func(context.Context, sessionstore.Key) (sessionstore.Session, error), list []sessionstore.Session) ([]sessionstore.Session, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(walkReads)
	read := make([]sessionstore.Session, len(list))
	for i, x := range list {
		group.Go(func() (err error) {
			if read[i], err = get(ctx, x.Key); errors.Is(err, sessionstore.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	there := read[:0]
	for _, x := range read {
		if x.Version != 0 {
			there = append(there, x)
		}
	}
	return there, nil
}

// destroyPage is how many sessions of a subject are looked up at once.
const destroyPage = 100

// DestroySubject implements [sessionstore.SubjectStore].
func (s *Store) DestroySubject(ctx context.Context, subject sessionstore.Key, tombstone time.Duration) (n int, err error) {
	if err := sessionstore.CheckSubject(subject); err != nil {
		return 0, err
	}
	if err := sessionstore.CheckDuration("tombstone time", tombstone); err != nil {
		return 0, err
	}
	return destroyAllOf(ctx, subject, s.Walk, func(key sessionstore.Key) (int, error) { return s.destroyOf(ctx, key, subject, tombstone) })
}

// destroyAllOf destroys each session of a subject that a walk comes by.
func destroyAllOf(ctx context.Context, subject sessionstore.Key, walk func(context.Context, sessionstore.Walk) (sessionstore.Page, error),
	destroy func(sessionstore.Key) (int, error)) (n int, err error) {
	for w := (sessionstore.Walk{Subject: subject, Limit: destroyPage}); ; {
		page, err := walk(ctx, w)
		if err != nil {
			return n, err
		}
		for _, x := range page.Sessions {
			gone, err := destroy(x.Key)
			n += gone
			if err != nil {
				return n, err
			}
		}
		if page.Next == "" {
			return n, nil
		}
		w.After = page.Next
	}
}

// destroyOf destroys a session that lives under a key, if it is the subject's, and returns 1 if it did.
func (s *Store) destroyOf(ctx context.Context, key, subject sessionstore.Key, tombstone time.Duration) (int, error) {
	return run(ctx, s, "destroy", func(ctx context.Context, conn *sqlx.Conn, a *attempt) (int, error) {
		return inTransaction(ctx, conn, func(tx statements) (int, error) {
			return transaction{tx}.destroyOf(ctx, key, subject, tombstone, s.clock(), a)
		})
	})
}

// Import implements [sessionstore.Importer].
func (s *Store) Import(ctx context.Context, x sessionstore.Session, replace bool) error {
	if err := x.Check(); err != nil {
		return err
	}
	_, err := run(ctx, s, "import", func(ctx context.Context, conn *sqlx.Conn, a *attempt) (int, error) {
		return inTransaction(ctx, conn, func(tx statements) (int, error) {
			return 0, transaction{tx}.take(ctx, x, replace, s.clock(), a)
		})
	})
	return err
}

// take decides what an import makes of the record.
func (r record) take(x sessionstore.Session, replace bool, now int64, stamp uint64) (record, error) {
	switch at := r.at(now); {
	case now >= x.Expires.UnixMilli():
		return r, sessionstore.ErrNotFound
	case at == tombstone:
		return r, sessionstore.ErrDestroyed
	case at == alias, at == live && !replace, r.Version >= x.Version:
		return r, sessionstore.ErrConflict
	}
	next := record{
		State: live, Version: x.Version, Stamp: stamp, Created: x.Created.UnixMilli(), Expires: x.Expires.UnixMilli(),
		Chunks: chunksFor(len(x.Payload)), Namespace: x.Namespace, Encoding: x.Encoding, found: true,
	}
	if !x.Deadline.IsZero() {
		next.Deadline = x.Deadline.UnixMilli()
	}
	if x.Subject != (sessionstore.Key{}) {
		next.Subject = x.Subject[:]
	}
	return next, nil
}
