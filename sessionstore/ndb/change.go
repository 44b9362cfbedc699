package ndb

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/lane"
)

// change is a write, a touch, a destruction, a lock or an unlock that the row of its key decides, in session or in lease,
// or those two rows together. Exactly one of the five is set.
type change struct {
	key       sessionstore.Key
	write     *sessionstore.Write // its payload inline, and with a token no creation
	touch     *sessionstore.Touch
	tombstone time.Duration
	lock      *sessionstore.Lock
	unlock    uint64 // token

	base  uint64 // of a write, once that is known: the version that it replaces
	alone work[effect]
}

// kind is what a batch makes by the same statements.
type kind uint8

const (
	writing      kind = iota // over a version
	creating                 // a session by a write
	writingUnder             // under a lease
	writingLast              // under a lease that ends
	touching                 //
	touchingLast             // and a lease ends
	destroying               //
	locking                  //
	unlocking                //
	kinds                    // how many there are
)

func (c change) kind() kind {
	switch {
	case c.write != nil && c.write.Release:
		return writingLast
	case c.write != nil && c.write.Token != 0:
		return writingUnder
	case c.write != nil && c.write.IfVersion == 0:
		return creating
	case c.write != nil:
		return writing
	case c.touch != nil && c.touch.Release != 0:
		return touchingLast
	case c.touch != nil:
		return touching
	case c.lock != nil:
		return locking
	case c.unlock != 0:
		return unlocking
	default:
		return destroying
	}
}

var kindNames = [kinds]string{"write", "write", "write", "write", "touch", "touch", "destroy", "lock", "unlock"}

func (k kind) String() string { return kindNames[k] }

// token is that of the lease which a change is made under or ends.
func (c change) token() uint64 {
	switch {
	case c.write != nil:
		return c.write.Token
	case c.touch != nil:
		return c.touch.Release
	default:
		return c.unlock
	}
}

// changes is a batch of changes in progress. Each change has a stamp of its own, made of the batch's and its key, so that a
// statement can tell it from the row: two keys of a batch may be aliases of one session.
type changes struct {
	store    *Store
	at       time.Time
	now      int64 // Unix milliseconds
	stamp    uint64
	places   map[sessionstore.Key]int // in outcomes
	outcomes []lane.Outcome[effect]
}

// changeBatch is the executor of changes. Each kind of change is one guarded statement for all of its rows, or one for those
// in session and one for those in lease: a refusal is a row that a statement passes over. The kinds have no row in common,
// so their statements run side by side.
func (s *Store) changeBatch(batch []change) []lane.Outcome[effect] {
	at := s.now()
	b := &changes{store: s, at: at, now: at.UnixMilli(), stamp: rand.Uint64(), outcomes: make([]lane.Outcome[effect], len(batch))}
	if len(batch) == 1 {
		o := &b.outcomes[0]
		o.Value, o.Err = inBatch(s, batch[0].kind().String(), 1, attempt{stamp: b.stampOf(batch[0])}, batch[0].alone)
		return b.outcomes
	}
	b.places = make(map[sessionstore.Key]int, len(batch))
	var lists [kinds][]change
	for i, c := range batch {
		b.places[c.key] = i
		k := c.kind()
		lists[k] = append(lists[k], c)
	}
	do := [kinds]executor{
		writing: b.writeAll, creating: b.createAll, writingUnder: b.writeAllUnder, writingLast: b.writeAllUnder,
		touching: b.touchAll, touchingLast: b.touchAllAndEnd, destroying: b.destroyAll, locking: b.lockAll, unlocking: b.unlockAll,
	}
	var parts sync.WaitGroup
	for k, list := range lists {
		if k := kind(k); len(list) > 0 && k != writing && k != creating {
			parts.Go(func() { b.part(k, list, do[k]) })
		}
	}
	creations := append(lists[creating], b.part(writing, lists[writing], b.writeAll)...)
	b.part(creating, creations, b.createAll)
	parts.Wait()
	return b.outcomes
}

// executor makes changes of one kind, decides or leaves each, and returns those that turned out to be creations. It sets
// uncertain once some may have taken effect.
type executor func(ctx context.Context, db statements, a *attempt, list []change) (creations []change, err error)

// part makes the changes of one kind. If they fail, all are left.
func (b *changes) part(k kind, list []change, do executor) (creations []change) {
	if len(list) == 0 {
		return nil
	}
	creations, err := inBatch(b.store, k.String(), len(list), attempt{}, func(ctx context.Context, conn *sqlx.Conn, a *attempt) ([]change, error) {
		return do(ctx, statements{conn}, a, list)
	})
	if err == nil {
		return creations
	}
	u := (*undecided)(nil)
	again := errors.As(err, &u)
	for _, c := range list {
		if again {
			b.leave(c, u.attempt.uncertain, u.cause)
		} else {
			b.decide(c, effect{}, err)
		}
	}
	return nil
}

// stampOf returns the stamp of a change.
func (b *changes) stampOf(c change) uint64 { return b.stamp ^ binary.BigEndian.Uint64(c.key[:8]) }

// stampOfRow, with the batch's stamp behind a ^, is the same in SQL.
const stampOfRow = "CAST(CONV(HEX(LEFT(id, 8)), 16, 10) AS UNSIGNED)"

// decide notes an outcome. An error of nil is a success.
func (b *changes) decide(c change, e effect, err error) {
	b.outcomes[b.places[c.key]] = lane.Outcome[effect]{Value: e, Err: err}
}

// leave leaves a change to be made alone, with the same stamp; uncertain says that it may have taken effect already.
func (b *changes) leave(c change, uncertain bool, cause error) {
	b.decide(c, effect{}, &undecided{attempt{stamp: b.stampOf(c), uncertain: uncertain}, cause})
}

// writeAll makes the writes that expect a session.
func (b *changes) writeAll(ctx context.Context, db statements, a *attempt, list []change) (creations []change, err error) {
	list, creations, err = b.based(ctx, db, list)
	if err != nil || len(list) == 0 {
		return creations, err
	}
	n, err := db.advanceAll(ctx, list, b.stamp, b.now)
	if err != nil {
		return nil, err
	}
	if int(n) == len(list) {
		for _, c := range list {
			b.decide(c, effect{version: c.base + 1}, nil)
		}
		return creations, nil
	}
	a.uncertain = n > 0
	records, err := db.records(ctx, list)
	if err != nil {
		return nil, err
	}
	b.judgeWrites(list, records, int(n))
	return creations, nil
}

// based finds out the versions that the writes replace, as far as they do not say it themselves. An UPDATE without a version
// would save that. But if it hung in an SQL node and was repeated elsewhere, it could come alive later and overwrite what
// was written since.
func (b *changes) based(ctx context.Context, db statements, list []change) (based, creations []change, err error) {
	var open []change
	for _, c := range list {
		if c.write.IfVersion == sessionstore.AnyVersion {
			open = append(open, c)
			continue
		}
		c.base = c.write.IfVersion
		based = append(based, c)
	}
	if len(open) == 0 {
		return based, nil, nil
	}
	records, err := db.records(ctx, open)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range open {
		r := records[c.key]
		_, err := r.write(*c.write, b.now, b.stampOf(c))
		switch at := r.at(b.now); {
		case at == live && r.Chunks == 0:
			c.base = r.Version
			based = append(based, c)
		case !r.found:
			creations = append(creations, c)
		case err != nil && at != alias:
			b.decide(c, effect{}, err)
		default:
			b.leave(c, false, errAlone)
		}
	}
	return based, creations, nil
}

// judgeWrites tells from the rows what became of writes of which n took effect. Those that did left their stamps, unless
// someone has overwritten them since, through another sessiond or an alias: then the row has moved by two versions or more.
func (b *changes) judgeWrites(list []change, records map[sessionstore.Key]record, n int) {
	stamped := func(c change) bool { r := records[c.key]; return r.found && r.Stamp == b.stampOf(c) }
	moved := func(c change) bool { return !stamped(c) && records[c.key].Version > c.base+1 }
	overwritten := 0 // at most
	for _, c := range list {
		switch {
		case stamped(c):
			n--
		case moved(c):
			overwritten++
		}
	}
	for _, c := range list {
		r := records[c.key]
		_, err := r.write(*c.write, b.now, b.stampOf(c))
		switch {
		case stamped(c):
			b.decide(c, effect{version: r.Version}, nil)
		case n > 0 && moved(c) && n == overwritten:
			b.decide(c, effect{version: c.base + 1}, nil)
		case n > 0 && moved(c):
			b.leave(c, true, errAlone)
		case err != nil && r.at(b.now) != alias:
			b.decide(c, effect{}, err)
		default:
			b.leave(c, false, errAlone) // it leads elsewhere, has chunks, names a subject, or takes the place of remains
		}
	}
}

// createAll makes the writes that expect nothing. If one finds a row, the statement fails and each is made alone.
func (b *changes) createAll(ctx context.Context, db statements, _ *attempt, list []change) ([]change, error) {
	var creations []change
	var rows []record
	for _, c := range list {
		r, err := (record{}).write(*c.write, b.now, b.stampOf(c))
		if err != nil {
			return nil, err
		}
		if len(r.Subject) > 0 {
			b.leave(c, false, errAlone)
			continue
		}
		creations, rows = append(creations, c), append(rows, r)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	if err := db.insertAll(ctx, creations, rows); err != nil {
		return nil, err
	}
	for i, c := range creations {
		b.decide(c, effect{version: rows[i].Version}, nil)
	}
	return nil, nil
}

// touchAll makes the touches. If some are coarse it looks first which are needed at all: to read a row costs a third of
// what it costs to lock it.
func (b *changes) touchAll(ctx context.Context, db statements, _ *attempt, list []change) ([]change, error) {
	if anyCoarse(list) {
		records, err := db.records(ctx, list)
		if err != nil {
			return nil, err
		}
		if list = b.judgeTouches(list, records); len(list) == 0 {
			return nil, nil
		}
	}
	n, err := db.prolongAll(ctx, list, b.now)
	if err != nil {
		return nil, err
	}
	if int(n) == len(list) {
		for _, c := range list {
			b.decide(c, effect{}, nil)
		}
		return nil, nil
	}
	records, err := db.records(ctx, list)
	if err != nil {
		return nil, err
	}
	for _, c := range b.judgeTouches(list, records) {
		b.leave(c, false, errAlone)
	}
	return nil, nil
}

func anyCoarse(touches []change) bool {
	return slices.ContainsFunc(touches, func(c change) bool { return c.touch.Coarse > 0 })
}

// judgeTouches decides what is as a touch would have it, or refuses one, and leaves what takes more than an UPDATE. It
// returns the touches of sessions that expire at another time.
func (b *changes) judgeTouches(list []change, records map[sessionstore.Key]record) (far []change) {
	for _, c := range list {
		r := records[c.key]
		after, err := r.touch(*c.touch, b.now, b.stampOf(c))
		switch at := r.at(b.now); {
		case at == live && r.Expires == after.Expires:
			b.decide(c, effect{}, nil)
		case at == live:
			far = append(far, c)
		case err != nil && at != alias:
			b.decide(c, effect{}, err)
		default:
			b.leave(c, false, errAlone)
		}
	}
	return far
}

// destroyAll makes tombstones of sessions.
func (b *changes) destroyAll(ctx context.Context, db statements, _ *attempt, list []change) ([]change, error) {
	n, err := db.buryAll(ctx, list, b.now)
	if err != nil {
		return nil, err
	}
	var records map[sessionstore.Key]record
	if int(n) != len(list) {
		if records, err = db.records(ctx, list); err != nil {
			return nil, err
		}
	}
	for _, c := range list {
		r := records[c.key]
		if records == nil || r.at(b.now) == tombstone && r.Expires == b.now+c.tombstone.Milliseconds() {
			b.decide(c, effect{}, nil)
			continue
		}
		b.leave(c, false, errAlone)
	}
	return nil, nil
}

// advanceAll is advance for many sessions.
func (s statements) advanceAll(ctx context.Context, list []change, stamp uint64, now int64) (int64, error) {
	idle := func(c change) int64 { return now + c.write.Idle.Milliseconds() }
	encoding := func(c change) int64 { return int64(c.write.Encoding) }
	mixed := differ(list, idle) || differ(list, encoding)
	w := word(list)
	text := prepared + "UPDATE session SET ver = ver + 1, stamp = " + stampOfRow + " ^ " + w.arg(stamp) +
		", " + w.expiry(mixed, idle) +
		", enc = " + each(w, mixed, encoding) +
		", payload = " + w.cases("?", func(c change) any { return notNil(c.write.Payload) }, []byte{}) + " END" +
		" WHERE " + w.ids() + " AND chunks = 0 AND state = 1 AND expires > " + w.arg(now) +
		" AND " + w.cases("ver = ?", func(c change) any { return c.base }, uint64(0)) + " END" +
		w.ofSubjects()
	return s.exec(ctx, text, w.args...)
}

// prolongAll is prolong for many sessions.
func (s statements) prolongAll(ctx context.Context, list []change, now int64) (int64, error) {
	idle := func(c change) int64 { return now + c.touch.Idle.Milliseconds() }
	w := word(list)
	text := prepared + "UPDATE session SET " + w.expiry(differ(list, idle), idle) +
		" WHERE " + w.ids() + " AND state = 1 AND expires > " + w.arg(now)
	return s.exec(ctx, text, w.args...)
}

// buryAll is buryLive for many sessions.
func (s statements) buryAll(ctx context.Context, list []change, now int64) (int64, error) {
	until := func(c change) int64 { return now + c.tombstone.Milliseconds() }
	w := word(list)
	text := prepared + "UPDATE session SET state = 3, created = 0, expires = " + each(w, differ(list, until), until) +
		", due = expires DIV 60000 + 1, deadline = 0, target = '', ns = '', enc = 0, payload = ''" +
		" WHERE " + w.ids() + " AND " + isPlain
	return s.exec(ctx, text, w.args...)
}

// insertAll is insert for many new sessions.
func (s statements) insertAll(ctx context.Context, creations []change, rows []record) error {
	args := make([]any, 0, len(rows)*columnCount)
	for i, r := range rows {
		args = append(append(args, creations[i].key[:]), r.values(creations[i].write.Payload)...)
	}
	_, err := s.exec(ctx, "INSERT INTO session ("+columns+") VALUES "+list("("+list("?", columnCount)+")", len(rows)), args...)
	return err
}

// records reads the rows of the changes' keys without their payloads.
func (s statements) records(ctx context.Context, list []change) (map[sessionstore.Key]record, error) {
	var rows []struct {
		record
		ID []byte `db:"id"`
	}
	w := word(list)
	if err := s.q.SelectContext(ctx, &rows, prepared+"SELECT id, "+recordColumns+" FROM session WHERE "+w.ids(), w.args...); err != nil {
		return nil, err
	}
	found := make(map[sessionstore.Key]record, len(rows))
	for _, r := range rows {
		r.found = true
		found[sessionstore.Key(r.ID)] = r.record
	}
	return found, nil
}
