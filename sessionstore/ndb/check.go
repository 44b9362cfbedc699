package ndb

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
)

// maxFaults is how many faults Check lists.
const maxFaults = 20

// Check implements [sessionstore.Checker]. It reads both tables in full and expects nobody to write meanwhile.
func (s *Store) Check(ctx context.Context) error {
	faults, err := run(ctx, s, "check", func(ctx context.Context, conn *sqlx.Conn, _ *attempt) ([]error, error) {
		return statements{conn}.check(ctx)
	})
	if err != nil {
		return err
	}
	return errors.Join(faults...)
}

// holding is what a row of session says about its chunks, or what the chunks of one version are.
type holding struct {
	version uint64
	chunks  int
}

func (s statements) check(ctx context.Context) (faults []error, err error) {
	report := func(id []byte, format string, args ...any) {
		if len(faults) < maxFaults {
			faults = append(faults, fmt.Errorf("%v: %s", sessionstore.Key(id), fmt.Sprintf(format, args...)))
		}
	}
	expected := map[sessionstore.Key]holding{}
	subjects := map[sessionstore.Key]sessionstore.Key{}
	rows, err := s.q.QueryxContext(ctx, "SELECT id, "+recordColumns+", due, LENGTH(payload) AS size FROM session")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r struct {
			record
			ID   []byte `db:"id"`
			Due  int64  `db:"due"`
			Size int    `db:"size"`
		}
		if err := rows.StructScan(&r); err != nil {
			return nil, err
		}
		if fault := r.fault(r.Due, r.Size); fault != "" {
			report(r.ID, "%s", fault)
		}
		if len(r.Subject) > 0 {
			subjects[sessionstore.Key(r.ID)] = r.subject()
		}
		if r.Chunks > 0 {
			expected[sessionstore.Key(r.ID)] = holding{r.Version, r.Chunks}
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	if err := s.checkSubjects(ctx, subjects, report); err != nil {
		return nil, err
	}
	err = s.checkChunks(ctx, expected, report)
	return faults, err
}

// checkSubjects compares the rows of subject with what the sessions say about it.
func (s statements) checkSubjects(ctx context.Context, expected map[sessionstore.Key]sessionstore.Key, report func([]byte, string, ...any)) error {
	var rows []struct {
		ID      []byte `db:"id"`
		Subject []byte `db:"subject"`
	}
	if err := s.q.SelectContext(ctx, &rows, "SELECT id, subject FROM subject"); err != nil {
		return err
	}
	for _, r := range rows {
		id := sessionstore.Key(r.ID)
		if expected[id] != sessionstore.Key(r.Subject) {
			report(r.ID, "is listed under a subject that it does not name")
			continue
		}
		delete(expected, id)
	}
	for id := range expected {
		report(id[:], "is not listed under its subject")
	}
	return nil
}

// fault returns what is wrong with a row, if anything.
func (r record) fault(purge int64, size int) string {
	switch {
	case r.State != live && r.State != alias && r.State != tombstone:
		return fmt.Sprintf("a row of state %d", r.State)
	case r.State == live && r.Version == 0:
		return "a session without a version"
	case r.State == live && r.Deadline != 0 && r.Expires > r.Deadline:
		return "a session that outlives its deadline"
	case r.State != live && (size > 0 || r.Chunks > 0):
		return "a payload without a session"
	case r.State != live && (r.Namespace != "" || len(r.Subject) > 0 || r.Encoding != 0):
		return "a subject without a session"
	case len(r.Subject) != 0 && len(r.Subject) != len(sessionstore.Key{}):
		return fmt.Sprintf("a subject of %d bytes", len(r.Subject))
	case r.State == alias && len(r.Target) != len(sessionstore.Key{}):
		return "an alias of nothing"
	case r.State == alias && r.Deadline <= r.Expires:
		return "an alias that leaves no tombstone"
	case r.Chunks > 0 && size != inlineSize:
		return fmt.Sprintf("%d chunks behind %d bytes", r.Chunks, size)
	case purge*coarse < r.gone():
		return "due for collection before it is gone"
	case purge > due(r.gone()):
		return "not due for collection when it is gone"
	}
	return ""
}

// checkChunks compares the chunks with what the sessions say about them.
func (s statements) checkChunks(ctx context.Context, expected map[sessionstore.Key]holding, report func([]byte, string, ...any)) error {
	rows, err := s.q.QueryxContext(ctx, "SELECT id, ver, COUNT(*), MAX(seq), MIN(LENGTH(data)) FROM chunk GROUP BY id, ver")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		var version uint64
		var count, last, least int
		if err := rows.Scan(&id, &version, &count, &last, &least); err != nil {
			return err
		}
		want, ok := expected[sessionstore.Key(id)]
		switch {
		case !ok || want.version != version:
			report(id, "%d chunks of version %d without their session", count, version)
			continue
		case want.chunks != count || last != count-1 || least < 1:
			report(id, "version %d has %d chunks up to number %d, want %d", version, count, last, want.chunks)
		}
		delete(expected, sessionstore.Key(id))
	}
	for id, want := range expected {
		report(id[:], "the %d chunks of version %d are missing", want.chunks, want.version)
	}
	return rows.Err()
}
