package ndb

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/api"
)

// GC implements [sessionstore.Store]. It finds what is due by the indexes, and removes each row in a transaction of its own that
// looks again: so it holds no lock for longer than a round trip.
func (s *APIStore) GC(ctx context.Context, limit int) (removed int, err error) {
	for _, table := range []api.Table{api.Sessions, api.Leases} {
		for removed < limit {
			batch := min(limit-removed, gcBatch)
			n, err := apiRun(ctx, s, "gc", func(w api.Worker, _ *attempt) ([2]int, error) {
				found, removed, err := collect(w, table, s.clock()/coarse, batch)
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

// collect removes up to limit rows of a table that are due at a minute, and tells how many it found and removed.
func collect(w api.Worker, table api.Table, now int64, limit int) (found, removed int, err error) {
	var ids []sessionstore.Key
	err = scanDue(w, table, 0, now, 0, func(o *api.Op) bool {
		if table == api.Leases {
			ids = append(ids, o.Lock.ID)
		} else {
			ids = append(ids, o.Row.ID)
		}
		return len(ids) < limit
	})
	if err != nil {
		return 0, 0, err
	}
	for _, id := range ids {
		n, err := apiTransaction(w, id, func(t transaction) (int, error) {
			if table == api.Leases {
				return t.collectLease(id, now)
			}
			return t.collectSession(id, now)
		})
		if removed += n; err != nil {
			return len(ids), removed, err
		}
	}
	return len(ids), removed, nil
}

// collectSession removes a row with all that belongs to it, if it is still due.
func (t transaction) collectSession(key sessionstore.Key, now int64) (removed int, err error) {
	ctx, rows := context.Background(), t.tables.(*apiRows)
	r, err := t.lockRecord(ctx, key)
	if err != nil || !r.found || int64(rows.w.Ops()[0].Row.Due) > now {
		return 0, err
	}
	if err := errors.Join(t.deleteChunks(ctx, key, r), t.moveSubject(ctx, key, r, record{})); err != nil {
		return 0, err
	}
	rows.w.Ops()[0].Row.ID = key
	return 1, rows.put(api.Sessions, api.PutDelete)
}

// collectLease removes a lease, if it is still due.
func (t transaction) collectLease(key sessionstore.Key, now int64) (removed int, err error) {
	l, err := t.lockLease(context.Background(), key)
	if err != nil || !l.found || l.Due > now {
		return 0, err
	}
	return 1, t.tables.(*apiRows).put(api.Leases, api.PutDelete)
}

// scanDue gives the rows that are due from one minute to another, both included.
func scanDue(w api.Worker, table api.Table, from, to int64, flags int, each func(*api.Op) bool) error {
	ops := w.Ops()
	for slot, minute := range map[int]int64{1: from, 2: to} {
		ops[slot].Row.Due, ops[slot].Lock.Due = uint32(minute), uint32(minute)
	}
	flags |= api.Low | api.LowInclusive | api.High | api.HighInclusive | api.Heads
	return w.Scan(table, flags, func() bool { return each(&ops[0]) })
}

// dueOf returns when a row is due, in Unix minutes.
func dueOf(table api.Table, o *api.Op) int64 {
	if table == api.Leases {
		return int64(o.Lock.Due)
	}
	return int64(o.Row.Due)
}

// Backlog implements [sessionstore.Backlogger].
func (s *APIStore) Backlog(ctx context.Context) (sessionstore.Backlog, error) {
	return apiRun(ctx, s, "count what is due", func(w api.Worker, _ *attempt) (b sessionstore.Backlog, err error) {
		for _, table := range []api.Table{api.Sessions, api.Leases} {
			err := scanDue(w, table, 0, s.clock()/coarse, api.Ordered, func(o *api.Op) bool {
				if oldest := time.UnixMilli(dueOf(table, o) * coarse); b.Oldest.IsZero() || oldest.Before(b.Oldest) {
					b.Oldest = oldest
				}
				b.Due++
				return b.Due < sessionstore.MaxBacklog
			})
			if err != nil {
				return b, err
			}
		}
		return b, nil
	})
}

// Walk implements [sessionstore.Walker], in the same order as [Store.Walk].
func (s *APIStore) Walk(ctx context.Context, w sessionstore.Walk) (sessionstore.Page, error) {
	if err := w.Check(); err != nil {
		return sessionstore.Page{}, err
	}
	after, err := parseCursor(w.After)
	if err != nil {
		return sessionstore.Page{}, err
	}
	now := s.clock()
	rows, err := apiRun(ctx, s, "walk", func(worker api.Worker, _ *attempt) ([]walked, error) {
		if w.Subject != (sessionstore.Key{}) {
			return apiOfSubject(worker, w.Subject, after, w.Limit)
		}
		return apiByEnd(worker, after, now/coarse, w.Limit)
	})
	if err != nil {
		return sessionstore.Page{}, err
	}
	p := pageOf(w, rows, now)
	if w.Payload {
		p.Sessions, err = readAll(ctx, s.Read, p.Sessions)
	}
	return p, err
}

// maxMinute is later than any minute in which a row is due.
const maxMinute = 1<<32 - 1

// apiByEnd returns the next rows that are due after the minute now, minute by minute, see [statements.byEnd].
func apiByEnd(w api.Worker, after place, now int64, limit int) (rows []walked, err error) {
	for minute, id := after.due, after.id; ; id = nil {
		if minute > 0 {
			some, err := firstOfMinute(w, minute, id, limit-len(rows))
			if err != nil {
				return nil, err
			}
			rows = append(rows, some...)
		}
		if len(rows) >= limit {
			return rows, nil
		}
		next := int64(0)
		err := scanDue(w, api.Sessions, max(minute, now)+1, maxMinute, api.Ordered, func(o *api.Op) bool {
			next = int64(o.Row.Due)
			return false
		})
		if err != nil || next == 0 {
			return rows, err
		}
		minute = next
	}
}

// firstOfMinute returns the first rows after an id, in the order of ids, of those that are due in a minute. It keeps no more
// than twice as many as it returns.
func firstOfMinute(w api.Worker, minute int64, after []byte, limit int) (rows []walked, err error) {
	cut := func() {
		slices.SortFunc(rows, func(a, b walked) int { return bytes.Compare(a.ID, b.ID) })
		rows = rows[:min(len(rows), limit)]
	}
	err = scanDue(w, api.Sessions, minute, minute, 0, func(o *api.Op) bool {
		if bytes.Compare(o.Row.ID[:], after) <= 0 {
			return true
		}
		rows = append(rows, walked{recordOf(&o.Row), bytes.Clone(o.Row.ID[:]), minute})
		if len(rows) >= 2*limit {
			cut()
		}
		return true
	})
	cut()
	return rows, err
}

// apiOfSubject returns the next rows of a subject.
func apiOfSubject(w api.Worker, subject sessionstore.Key, after place, limit int) (rows []walked, err error) {
	ops := w.Ops()
	low, high := ops[1].SubjectRow(), ops[2].SubjectRow()
	low.Subject, high.Subject = subject, subject
	low.ID = [32]byte{}
	copy(low.ID[:], after.id)
	var ids []sessionstore.Key
	err = w.Scan(api.Subjects, api.Low|api.High|api.HighInclusive|api.OneColumn|api.Ordered, func() bool {
		ids = append(ids, ops[0].SubjectRow().ID)
		return len(ids) < limit
	})
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(ids, api.Slots) {
		for i, id := range some {
			ops[i].Row.ID = id
		}
		w.Read(len(some), api.RowHeads)
		for i, id := range some {
			switch o := &ops[i]; o.Code {
			case 0:
				rows = append(rows, walked{recordOf(&o.Row), bytes.Clone(id[:]), 0})
			case api.NoRow: // collected meanwhile
			default:
				return nil, w.Describe(o)
			}
		}
	}
	return rows, nil
}

// DestroySubject implements [sessionstore.SubjectStore].
func (s *APIStore) DestroySubject(ctx context.Context, subject sessionstore.Key, tombstone time.Duration) (n int, err error) {
	if err := errors.Join(sessionstore.CheckSubject(subject), sessionstore.CheckDuration("tombstone time", tombstone)); err != nil {
		return 0, err
	}
	return destroyAllOf(ctx, subject, s.Walk, func(key sessionstore.Key) (int, error) {
		return apiRun(ctx, s, "destroy", func(w api.Worker, a *attempt) (int, error) {
			return apiTransaction(w, key, func(t transaction) (int, error) {
				return t.destroyOf(context.Background(), key, subject, tombstone, s.clock(), a)
			})
		})
	})
}

// Import implements [sessionstore.Importer].
func (s *APIStore) Import(ctx context.Context, x sessionstore.Session, replace bool) error {
	if err := x.Check(); err != nil {
		return err
	}
	_, err := apiRun(ctx, s, "import", func(w api.Worker, a *attempt) (none struct{}, err error) {
		return apiTransaction(w, x.Key, func(t transaction) (struct{}, error) {
			return none, t.take(context.Background(), x, replace, s.clock(), a)
		})
	})
	return err
}

// Check implements [sessionstore.Checker]. It reads the tables in full and expects nobody to write meanwhile.
func (s *APIStore) Check(ctx context.Context) error {
	faults, err := apiRun(ctx, s, "check", func(w api.Worker, _ *attempt) ([]error, error) { return apiCheck(w) })
	if err != nil {
		return err
	}
	return errors.Join(faults...)
}

func apiCheck(w api.Worker) ([]error, error) {
	a, o := newAudit(), &w.Ops()[0]
	err := w.Scan(api.Sessions, api.WholeTable, func() bool {
		a.session(o.Row.ID[:], recordOf(&o.Row), int64(o.Row.Due), len(o.Row.Payload()))
		return true
	})
	if err != nil {
		return nil, err
	}
	err = w.Scan(api.Subjects, api.WholeTable, func() bool {
		row := o.SubjectRow()
		a.subject(row.ID[:], row.Subject[:])
		return true
	})
	if err != nil {
		return nil, err
	}
	type version struct {
		id  sessionstore.Key
		ver uint64
	}
	type chunks struct{ count, last, least int }
	all := map[version]chunks{}
	err = w.Scan(api.Chunks, api.WholeTable, func() bool {
		c := o.Chunk()
		v := version{c.ID, c.Version}
		x, known := all[v]
		if size := len(c.Data()); !known || size < x.least {
			x.least = size
		}
		x.count, x.last = x.count+1, max(x.last, int(c.Seq))
		all[v] = x
		return true
	})
	for v, x := range all {
		a.chunks(v.id[:], v.ver, x.count, x.last, x.least)
	}
	return a.end(), err
}
