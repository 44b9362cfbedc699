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

// audit compares rows with each other. The rows of session come first.
type audit struct {
	faults   []error
	expected map[sessionstore.Key]holding          // chunks
	subjects map[sessionstore.Key]sessionstore.Key // of sessions
}

func newAudit() *audit {
	return &audit{expected: map[sessionstore.Key]holding{}, subjects: map[sessionstore.Key]sessionstore.Key{}}
}

func (a *audit) report(id []byte, format string, args ...any) {
	if len(a.faults) < maxFaults {
		a.faults = append(a.faults, fmt.Errorf("%v: %s", sessionstore.Key(id), fmt.Sprintf(format, args...)))
	}
}

// session takes a row of session.
func (a *audit) session(id []byte, r record, due int64, size int) {
	if fault := r.fault(due, size); fault != "" {
		a.report(id, "%s", fault)
	}
	if len(r.Subject) > 0 {
		a.subjects[sessionstore.Key(id)] = r.subject()
	}
	if r.Chunks > 0 {
		a.expected[sessionstore.Key(id)] = holding{r.Version, r.Chunks}
	}
}

// subject takes a row of subject.
func (a *audit) subject(id, subject []byte) {
	if key := sessionstore.Key(id); a.subjects[key] == sessionstore.Key(subject) {
		delete(a.subjects, key)
		return
	}
	a.report(id, "is listed under a subject that it does not name")
}

// chunks takes the chunks of one version: how many there are, the greatest number, the least size.
func (a *audit) chunks(id []byte, version uint64, count, last, least int) {
	want, ok := a.expected[sessionstore.Key(id)]
	if !ok || want.version != version {
		a.report(id, "%d chunks of version %d without their session", count, version)
		return
	}
	if want.chunks != count || last != count-1 || least < 1 {
		a.report(id, "version %d has %d chunks up to number %d, want %d", version, count, last, want.chunks)
	}
	delete(a.expected, sessionstore.Key(id))
}

// end reports what did not come, and returns all faults.
func (a *audit) end() []error {
	for id := range a.subjects {
		a.report(id[:], "is not listed under its subject")
	}
	for id, want := range a.expected {
		a.report(id[:], "the %d chunks of version %d are missing", want.chunks, want.version)
	}
	return a.faults
}

func (s statements) check(ctx context.Context) (faults []error, err error) {
	a := newAudit()
	if err := errors.Join(s.auditSessions(ctx, a), s.auditSubjects(ctx, a), s.auditChunks(ctx, a)); err != nil {
		return nil, err
	}
	return a.end(), nil
}

func (s statements) auditSessions(ctx context.Context, a *audit) error {
	rows, err := s.q.QueryxContext(ctx, "SELECT id, "+recordColumns+", due, LENGTH(payload) AS size FROM session")
	if err != nil {
		return err
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
			return err
		}
		a.session(r.ID, r.record, r.Due, r.Size)
	}
	return rows.Err()
}

func (s statements) auditSubjects(ctx context.Context, a *audit) error {
	var rows []struct {
		ID      []byte `db:"id"`
		Subject []byte `db:"subject"`
	}
	if err := s.q.SelectContext(ctx, &rows, "SELECT id, subject FROM subject"); err != nil {
		return err
	}
	for _, r := range rows {
		a.subject(r.ID, r.Subject)
	}
	return nil
}

func (s statements) auditChunks(ctx context.Context, a *audit) error {
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
		a.chunks(id, version, count, last, least)
	}
	return rows.Err()
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
