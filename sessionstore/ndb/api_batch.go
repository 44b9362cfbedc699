package ndb

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/api"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/lane"
)

// apiBatched runs an operation in a batch, and alone if that does not decide it.
func apiBatched[O, T any](ctx context.Context, s *APIStore, lanes *lane.Lanes[O, T], op string, key sessionstore.Key, size int, o O, alone apiWork[T]) (T, error) {
	if !s.begin() {
		var none T
		return none, unavailable(op, 0, errClosed)
	}
	defer s.working.Done()
	value, err := lanes.Do(ctx, key, size, o)
	if u := (*undecided)(nil); errors.As(err, &u) {
		a := u.attempt // others of the batch may share u
		return apiResume(ctx, s, op, &a, alone)
	}
	return value, err
}

// readBatch is the executor of reads: one round trip.
func (s *APIStore) readBatch(keys []sessionstore.Key) []lane.Outcome[sessionstore.Session] {
	outcomes := make([]lane.Outcome[sessionstore.Session], len(keys))
	w, err := s.worker()
	if err != nil {
		for i := range outcomes {
			outcomes[i].Err = &undecided{cause: err}
		}
		return outcomes
	}
	now := s.clock()
	ops := w.Ops()
	for i, key := range keys {
		ops[i].Row.ID = key
	}
	w.Read(len(keys), api.WholeRows)
	for i, key := range keys {
		o := &ops[i]
		switch {
		case o.Code == api.NoRow:
			outcomes[i].Err = sessionstore.ErrNotFound
		case o.Code != 0:
			err = w.Describe(o)
			outcomes[i].Err = &undecided{attempt{again: true}, err}
		default:
			outcomes[i].Value, outcomes[i].Err = sessionOf(&o.Row, key, now)
		}
	}
	s.done(w, err)
	return outcomes
}

// sessionOf returns what a read of the row gives. It is undecided where that takes more than the row.
func sessionOf(row *api.Session, key sessionstore.Key, now int64) (sessionstore.Session, error) {
	r := recordOf(row)
	switch at := r.at(now); {
	case at == alias, at == live && r.Chunks > 0:
		return sessionstore.Session{}, &undecided{cause: errAlone}
	case at != live:
		return sessionstore.Session{}, sessionstore.ErrNotFound
	default:
		return r.session(key, bytes.Clone(row.Payload())), nil
	}
}

// apiChanges is a batch of changes in progress. Each is one guarded transaction in the data nodes, tried at most twice: what a
// guard refuses is looked at, and decided by that, tried once more, or left to be made alone.
type apiChanges struct {
	store    *APIStore
	w        api.Worker
	at       time.Time
	now      int64
	stamp    uint64
	list     []change
	outcomes []lane.Outcome[effect]
	stale    error // an error after which the worker must be opened anew
}

// changeBatch is the executor of changes.
func (s *APIStore) changeBatch(list []change) []lane.Outcome[effect] {
	at := s.now()
	b := &apiChanges{store: s, at: at, now: at.UnixMilli(), stamp: rand.Uint64(), list: list, outcomes: make([]lane.Outcome[effect], len(list))}
	w, err := s.worker()
	if err != nil {
		for i := range list {
			b.leave(i, err)
		}
		return b.outcomes
	}
	b.w = w
	var at1st, look []int
	for i, c := range list {
		if c.mustLook() {
			look = append(look, i)
		} else {
			at1st = append(at1st, i)
		}
	}
	look = append(look, b.try(at1st, nil)...)
	records := b.look(look)
	rest := b.try(b.judge(look, records), records)
	b.judgeLast(rest)
	s.done(w, b.stale)
	return b.outcomes
}

// mustLook tells whether a change cannot be made without a look at the row.
func (c change) mustLook() bool {
	return c.write != nil && c.write.IfVersion == sessionstore.AnyVersion || c.touch != nil && c.touch.Coarse > 0
}

func (b *apiChanges) stampOf(i int) uint64 { return (&changes{stamp: b.stamp}).stampOf(b.list[i]) }

// leave leaves a change to be made alone.
func (b *apiChanges) leave(i int, cause error) {
	uncertain := classify(cause).uncertain() && !errors.Is(cause, errAlone)
	b.outcomes[i].Err = &undecided{attempt{stamp: b.stampOf(i), again: cause != errAlone, uncertain: uncertain}, cause}
}

// try makes changes, of which the records may be known, and returns those that a guard refused.
func (b *apiChanges) try(list []int, records map[int]record) (refused []int) {
	if len(list) == 0 {
		return nil
	}
	ops := b.w.Ops()
	for n, i := range list {
		r, known := records[i]
		b.fill(&ops[n], i, r, known)
	}
	b.w.Change(len(list))
	for n, i := range list {
		switch o := &ops[n]; o.Code {
		case 0:
			b.outcomes[i].Value = b.effect(o, b.list[i])
		case api.Refused, api.LeaseRefused, api.NoRow, api.Duplicate:
			if c := b.list[i]; o.Kind == api.LeaseEnd {
				break // it is no key's latest, and that is all right
			} else if c.lock != nil && o.Code == api.NoRow {
				b.leave(i, errAlone)
				b.outcomes[i].Err = errFirst
			}
			refused = append(refused, i)
		default:
			err := b.w.Describe(o)
			if isStale(err) {
				b.stale = err
			}
			b.leave(i, &commitError{err})
		}
	}
	return refused
}

// errFirst marks a lock that found no lease in its place.
var errFirst = errors.New("no lease yet")

// effect is what a change that was made gives back.
func (b *apiChanges) effect(o *api.Op, c change) effect {
	switch {
	case c.write != nil:
		return effect{version: o.Row.Version}
	case c.lock != nil:
		return effect{lease: leaseOf(&o.Lock).granted()}
	}
	return effect{}
}

// fill describes a change to the data nodes. Unless the record is known it is assumed that there is what is there mostly.
func (b *apiChanges) fill(o *api.Op, i int, r record, known bool) {
	c := b.list[i]
	o.Lease, o.Now, o.Guards = api.Left, b.now, 0
	row := &o.Row
	row.ID = c.key
	switch {
	case c.lock != nil:
		o.Kind = api.LeaseTake
		if known {
			o.Kind = api.LeaseInsert
		}
		newLease(c.key, *c.lock, b.at, b.stampOf(i)).fill(&o.Lock, c.key)
		return
	case c.unlock != 0:
		o.Kind = api.LeaseEnd
		o.Token = c.unlock
		lease{}.fill(&o.Lock, c.key)
		return
	case c.write != nil && (c.write.IfVersion == 0 || known && !r.found):
		o.Kind = api.Insert
		after, _ := record{}.write(*c.write, b.now, b.stampOf(i))
		after.fill(row, c.key, c.write.Payload)
		return
	}
	o.Kind = api.Update
	if !known {
		// No deadline comes before the new expiry, or the guard refuses.
		o.Guards = api.InTime
	} else {
		o.Guards = api.AtDeadline
		row.Deadline = r.Deadline
	}
	switch {
	case c.write != nil:
		b.fillWrite(o, i, r, known)
	case c.touch != nil:
		o.Set = api.Touched
		o.Guards |= api.IsLive
		row.Expires = r.wanted(b.now, c.touch.Idle)
	default:
		o.Set = api.Buried
		o.Guards = api.IsSession | api.IsWhole | api.OfSubject
		row.Subject.Set(nil)
		record{State: tombstone, Expires: b.now + c.tombstone.Milliseconds()}.fill(row, c.key, nil)
	}
	row.Due = uint32(due(row.Expires))
	if token := c.token(); token != 0 {
		o.Token, o.EndsAfter = token, b.now-retention
		o.Lease = api.Ends
		if c.write != nil && !c.write.Release {
			o.Lease = api.Held
		}
		lease{Stamp: b.stampOf(i)}.fill(&o.Lock, c.key)
	}
}

// fillWrite describes a write over a version.
func (b *apiChanges) fillWrite(o *api.Op, i int, r record, known bool) {
	w, row := b.list[i].write, &o.Row
	o.Set = api.Written
	o.Guards |= api.IsLive | api.IsVersion | api.IsWhole
	o.Version = w.IfVersion
	if w.IfVersion == sessionstore.AnyVersion {
		o.Version = r.Version
	}
	if w.Subject != (sessionstore.Key{}) {
		o.Guards |= api.OfSubject
		row.Subject.Set(w.Subject[:])
	}
	row.Version, row.Stamp, row.Encoding = o.Version+1, b.stampOf(i), uint8(w.Encoding)
	row.Expires = r.wanted(b.now, w.Idle)
	row.SetPayload(w.Payload)
}

// look reads the rows of changes.
func (b *apiChanges) look(list []int) map[int]record {
	records := make(map[int]record, len(list))
	ops := b.w.Ops()
	n := 0
	for _, i := range list {
		if b.list[i].lock == nil {
			ops[n].Row.ID = b.list[i].key
			n++
		}
	}
	if n == 0 {
		return records
	}
	b.w.Read(n, api.RowHeads)
	n = 0
	for _, i := range list {
		if b.list[i].lock != nil {
			continue
		}
		switch o := &ops[n]; o.Code {
		case 0:
			records[i] = recordOf(&o.Row)
		case api.NoRow:
			records[i] = record{}
		default:
			err := b.w.Describe(o)
			if isStale(err) {
				b.stale = err
			}
			b.leave(i, err)
		}
		n++
	}
	return records
}

// judge decides changes by the rows that were looked at, and returns those to be tried with what is known now.
func (b *apiChanges) judge(list []int, records map[int]record) (again []int) {
	var locks []int
	for _, i := range list {
		c := b.list[i]
		if c.lock != nil {
			if b.outcomes[i].Err == errFirst {
				b.outcomes[i].Err = nil
				records[i] = record{}
				again = append(again, i)
			} else {
				locks = append(locks, i)
			}
			continue
		}
		r, looked := records[i]
		if !looked {
			continue // left
		}
		if b.judgeOne(i, c, r) {
			again = append(again, i)
		}
	}
	b.judgeLocks(locks)
	return again
}

// judgeLocks refuses locks of leases that have not ended, and leaves the others.
func (b *apiChanges) judgeLocks(list []int) {
	if len(list) == 0 {
		return
	}
	ops := b.w.Ops()
	for n, i := range list {
		ops[n].Lock.ID = b.list[i].key
	}
	b.w.Read(len(list), api.LeaseRows)
	for n, i := range list {
		c := b.list[i]
		held := leaseOf(&ops[n].Lock)
		_, err := held.yield(newLease(c.key, *c.lock, b.at, b.stampOf(i)), b.now)
		if ops[n].Code == 0 && err != nil {
			b.outcomes[i].Err = err
			continue
		}
		b.leave(i, errAlone) // its token must be greater than our clock makes it, or it was released just now
	}
}

// judgeOne decides a change by its row, or leaves it, or tells that one guarded transaction can make it.
func (b *apiChanges) judgeOne(i int, c change, r record) (again bool) {
	at := r.at(b.now)
	var err error
	switch {
	case at == alias:
		err = errAlone // it leads elsewhere
	case c.write != nil:
		switch _, refusal := r.write(*c.write, b.now, b.stampOf(i)); {
		case refusal != nil:
			err = refusal
		case !r.found && (c.write.Subject != (sessionstore.Key{}) || c.write.Token != 0):
			err = errAlone // that is two rows
		case r.found && (at != live || r.Chunks > 0 || !r.isOf(c.write.Subject)):
			err = errAlone
		}
	case c.touch != nil:
		after, refusal := r.touch(*c.touch, b.now, b.stampOf(i))
		switch {
		case refusal != nil:
			err = refusal
		case at != live:
			err = errAlone
		case after.Expires == r.Expires && c.touch.Release == 0:
			return false // nothing to do
		case after.Expires == r.Expires:
			err = errAlone
		}
	default:
		err = errAlone // a destruction of what is no plain session
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, errAlone):
		b.leave(i, err)
	default:
		b.outcomes[i].Err = err
	}
	return false
}

// judgeLast leaves what was refused twice.
func (b *apiChanges) judgeLast(list []int) {
	for _, i := range list {
		b.leave(i, errAlone)
	}
}
