package ndb

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
)

// gcBatch is how many rows one statement of a collection removes: few enough to hold their locks for milliseconds.
const gcBatch = 100

// GC implements [sessionstore.Store]. It finds what is due by the indexes and removes it in small batches.
func (s *Store) GC(ctx context.Context, limit int) (removed int, err error) {
	for _, collect := range []func(statements, context.Context, int64, int) (found, removed int, err error){
		statements.collectSessions, statements.collectLeases,
	} {
		for removed < limit {
			batch := min(limit-removed, gcBatch)
			n, err := run(ctx, s, "gc", func(ctx context.Context, conn *sqlx.Conn, _ *attempt) ([2]int, error) {
				found, removed, err := collect(statements{conn}, ctx, s.clock()/coarse, batch)
				return [2]int{found, removed}, err
			})
			removed += n[1]
			if err != nil {
				return removed, err
			}
			if n[0] < batch {
				break
			}
		}
	}
	return removed, nil
}

// remains is a row that is due.
type remains struct {
	ID      []byte `db:"id"`
	Version uint64 `db:"ver"`
	Chunks  int    `db:"chunks"`
	Subject []byte `db:"subject"`
}

// collectSessions removes up to limit rows of session that are due, and tells how many it found and removed.
func (s statements) collectSessions(ctx context.Context, now int64, limit int) (found, removed int, err error) {
	var rows []remains
	if err := s.q.SelectContext(ctx, &rows, "SELECT id, ver, chunks, subject FROM session WHERE due <= ? LIMIT ?", now, limit); err != nil {
		return 0, 0, err
	}
	// In the order of keys, so that two collectors do not wait for each other in a circle.
	slices.SortFunc(rows, func(a, b remains) int { return bytes.Compare(a.ID, b.ID) })
	var plain, owned []any
	for _, r := range rows {
		if r.Chunks == 0 {
			if len(r.Subject) > 0 {
				owned = append(owned, r.ID)
			} else {
				plain = append(plain, r.ID)
			}
			continue
		}
		n, err := s.collectLarge(ctx, r, now)
		if err != nil {
			return len(rows), removed, err
		}
		removed += n
	}
	n, err := s.collectOwned(ctx, owned, now)
	if removed += n; err != nil {
		return len(rows), removed, err
	}
	n, err = s.deleteDue(ctx, "DELETE FROM session WHERE due <= ? AND chunks = 0 AND subject = '' AND id IN ", now, plain)
	return len(rows), removed + n, err
}

// collectLarge removes a row with its chunks, if it is still as it was found.
func (s statements) collectLarge(ctx context.Context, r remains, now int64) (removed int, err error) {
	return atomically(ctx, s, func(tx statements) (int, error) {
		n, err := tx.exec(ctx, "DELETE FROM session WHERE id = ? AND ver = ? AND chunks = ? AND subject = ? AND due <= ?", r.ID, r.Version, r.Chunks, r.Subject, now)
		if err != nil || n == 0 {
			return 0, err
		}
		key, before := sessionstore.Key(r.ID), record{Version: r.Version, Chunks: r.Chunks, Subject: r.Subject}
		return 1, errors.Join(tx.moveSubject(ctx, key, before, record{}), tx.deleteChunks(ctx, key, before))
	})
}

// collectOwned removes rows without chunks together with the rows that their subjects have.
func (s statements) collectOwned(ctx context.Context, ids []any, now int64) (removed int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	return atomically(ctx, s, func(tx statements) (int, error) {
		var rows []remains
		err := tx.q.SelectContext(ctx, &rows, "SELECT id, ver, chunks, subject FROM session WHERE due <= ? AND chunks = 0 AND id IN ("+list("?", len(ids))+") FOR UPDATE",
			append([]any{now}, ids...)...)
		if err != nil || len(rows) == 0 {
			return 0, err
		}
		locked := make([]any, len(rows))
		var entries []any
		for i, r := range rows {
			locked[i] = r.ID
			if len(r.Subject) > 0 {
				entries = append(entries, r.Subject, r.ID)
			}
		}
		if len(entries) > 0 {
			each := strings.Repeat(" OR (subject = ? AND id = ?)", len(entries)/2)
			if _, err := tx.exec(ctx, "DELETE FROM subject WHERE "+each[len(" OR "):], entries...); err != nil {
				return 0, err
			}
		}
		return tx.deleteDue(ctx, "DELETE FROM session WHERE due <= ? AND id IN ", now, locked)
	})
}

// collectLeases removes up to limit leases that are due, and tells how many it found and removed.
func (s statements) collectLeases(ctx context.Context, now int64, limit int) (found, removed int, err error) {
	var rows [][]byte
	if err := s.q.SelectContext(ctx, &rows, "SELECT id FROM lease WHERE due <= ? LIMIT ?", now, limit); err != nil {
		return 0, 0, err
	}
	slices.SortFunc(rows, bytes.Compare)
	ids := make([]any, len(rows))
	for i, id := range rows {
		ids[i] = id
	}
	removed, err = s.deleteDue(ctx, "DELETE FROM lease WHERE due <= ? AND id IN ", now, ids)
	return len(rows), removed, err
}

// deleteDue removes those of the rows that are still due.
func (s statements) deleteDue(ctx context.Context, query string, now int64, ids []any) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := s.exec(ctx, query+"("+list("?", len(ids))+")", append([]any{now}, ids...)...)
	return int(n), err
}

// Backlog implements [sessionstore.Backlogger].
func (s *Store) Backlog(ctx context.Context) (sessionstore.Backlog, error) {
	return run(ctx, s, "count what is due", func(ctx context.Context, conn *sqlx.Conn, _ *attempt) (b sessionstore.Backlog, err error) {
		for _, table := range []string{"session", "lease"} {
			if err := (statements{conn}).countDue(ctx, table, s.clock()/coarse, &b); err != nil {
				return b, err
			}
		}
		return b, nil
	})
}

// countDue adds the rows of a table that are due.
func (s statements) countDue(ctx context.Context, table string, now int64, b *sessionstore.Backlog) error {
	var minutes []int64
	if err := s.q.SelectContext(ctx, &minutes, "SELECT due FROM "+table+" FORCE INDEX (due) WHERE due <= ? ORDER BY due LIMIT 1", now); err != nil || len(minutes) == 0 {
		return err
	}
	if oldest := time.UnixMilli(minutes[0] * coarse); b.Oldest.IsZero() || oldest.Before(b.Oldest) {
		b.Oldest = oldest
	}
	var n int
	err := s.q.GetContext(ctx, &n, "SELECT COUNT(*) FROM (SELECT 1 FROM "+table+" FORCE INDEX (due) WHERE due <= ? LIMIT ?) AS d", now, sessionstore.MaxBacklog-b.Due)
	b.Due += n
	return err
}
