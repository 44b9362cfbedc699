package ndb

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/lane"
)

// change is a write, a touch or a destruction that one row decides. Exactly one of the three is set.
type change struct {
	key       sessionstore.Key
	write     *sessionstore.Write // without a token, its payload inline
	touch     *sessionstore.Touch
	tombstone time.Duration

	alone work[uint64]
}

func (c change) op() string {
	switch {
	case c.write != nil:
		return "write"
	case c.touch != nil:
		return "touch"
	default:
		return "destroy"
	}
}

// changes is a batch of changes in progress. Each change has a stamp of its own, made of the batch's and its key, so that a
// statement can tell it from the row: two keys of a batch may be aliases of one session.
type changes struct {
	store    *Store
	now      int64
	stamp    uint64
	outcomes map[sessionstore.Key]lane.Outcome[uint64]
	failed   error // why an earlier part failed; the parts after it are not even tried
}

// changeBatch is the executor of changes. Each kind of change is one guarded statement for all of its rows: a refusal is
// a row that the statement passes over.
func (s *Store) changeBatch(batch []change) []lane.Outcome[uint64] {
	outcomes := make([]lane.Outcome[uint64], len(batch))
	stamp := rand.Uint64()
	if len(batch) == 1 {
		outcomes[0].Value, outcomes[0].Err = inBatch(s, batch[0].op(), 1, attempt{stamp: stampOf(stamp, batch[0].key)}, batch[0].alone)
		return outcomes
	}
	b := &changes{store: s, now: s.clock(), stamp: stamp, outcomes: make(map[sessionstore.Key]lane.Outcome[uint64], len(batch))}
	var writes, creates, touches, destroys []change
	for _, c := range batch {
		switch {
		case c.write != nil && c.write.IfVersion == 0:
			creates = append(creates, c)
		case c.write != nil:
			writes = append(writes, c)
		case c.touch != nil:
			touches = append(touches, c)
		default:
			destroys = append(destroys, c)
		}
	}
	creates = append(creates, b.part("write", writes, b.writeAll)...)
	b.part("write", creates, b.createAll)
	b.part("touch", touches, b.touchAll)
	b.part("destroy", destroys, b.destroyAll)
	for i, c := range batch {
		outcomes[i] = b.outcomes[c.key]
	}
	return outcomes
}

// stampOf returns the stamp of a change in a batch with a stamp; stampSet is the same in SQL.
func stampOf(batch uint64, key sessionstore.Key) uint64 {
	return batch ^ binary.BigEndian.Uint64(key[:8])
}

const stampSet = "stamp = CAST(CONV(HEX(LEFT(id, 8)), 16, 10) AS UNSIGNED) ^ ?"

func (b *changes) stampOf(c change) uint64 { return stampOf(b.stamp, c.key) }

// decide notes an outcome. An error of nil is a success.
func (b *changes) decide(c change, version uint64, err error) {
	b.outcomes[c.key] = lane.Outcome[uint64]{Value: version, Err: err}
}

// leave leaves a change to be made alone.
func (b *changes) leave(c change) {
	b.decide(c, 0, &undecided{attempt{stamp: b.stampOf(c)}, errAlone})
}

// fail notes that a part failed. What that leaves undecided is repeated with the change's own stamp.
func (b *changes) fail(list []change, err error) {
	u := (*undecided)(nil)
	again := errors.As(err, &u)
	for _, c := range list {
		if again {
			err = &undecided{attempt{stamp: b.stampOf(c), uncertain: u.attempt.uncertain}, u.cause}
		}
		b.decide(c, 0, err)
	}
}

// part does the changes of one kind, and returns those that turned out to be creations.
func (b *changes) part(op string, list []change, do func(context.Context, *sqlx.Conn, []change) ([]change, error)) (creations []change) {
	if len(list) == 0 {
		return nil
	}
	if b.failed != nil {
		b.fail(list, b.failed)
		return nil
	}
	creations, err := inBatch(b.store, op, len(list), attempt{}, func(ctx context.Context, conn *sqlx.Conn, _ *attempt) ([]change, error) {
		return do(ctx, conn, list)
	})
	if err == nil {
		return creations
	}
	b.fail(list, err)
	if u := (*undecided)(nil); !errors.As(err, &u) {
		b.failed = err
	} else if !isDuplicate(u.cause) {
		b.failed = &undecided{cause: u.cause} // certain: nothing more is tried
	}
	return nil
}

// writeAll makes the writes that expect a session. They run in a transaction, so that what passed them over can be looked
// up while their rows are locked: a write that took effect is never taken for a refused one. An SQL node in which the
// transaction hangs cannot finish it later, since it misses the commit.
func (b *changes) writeAll(ctx context.Context, conn *sqlx.Conn, list []change) (creations []change, err error) {
	return inTransaction(ctx, conn, func(tx statements) ([]change, error) {
		n, err := tx.advanceAll(ctx, list, b.stamp, b.now)
		if err != nil {
			return nil, err
		}
		if n == int64(len(list)) && !anyVersion(list) {
			for _, c := range list {
				b.decide(c, c.write.IfVersion+1, nil)
			}
			return nil, nil
		}
		records, err := tx.records(ctx, list, "FOR UPDATE")
		if err != nil {
			return nil, err
		}
		return b.judgeWrites(list, records), nil
	})
}

func anyVersion(list []change) bool {
	for _, c := range list {
		if c.write.IfVersion == sessionstore.AnyVersion {
			return true
		}
	}
	return false
}

// judgeWrites tells from the locked rows what became of each write.
func (b *changes) judgeWrites(list []change, records map[sessionstore.Key]record) (creations []change) {
	for _, c := range list {
		r := records[c.key]
		_, err := r.write(*c.write, b.now, b.stampOf(c))
		switch {
		case r.found && r.Stamp == b.stampOf(c):
			b.decide(c, r.Version, nil)
		case r.at(b.now) == alias:
			b.leave(c)
		case err != nil:
			b.decide(c, 0, err)
		case !r.found:
			creations = append(creations, c)
		default:
			b.leave(c) // it has chunks, or takes the place of remains
		}
	}
	return creations
}

// createAll makes the writes that expect nothing. If one finds a row, the statement fails and each is made alone.
func (b *changes) createAll(ctx context.Context, conn *sqlx.Conn, list []change) ([]change, error) {
	rows := make([]record, len(list))
	for i, c := range list {
		var err error
		if rows[i], err = (record{}).write(*c.write, b.now, b.stampOf(c)); err != nil {
			return nil, err
		}
	}
	if err := (statements{conn}).insertAll(ctx, list, rows); err != nil {
		return nil, err
	}
	for i, c := range list {
		b.decide(c, rows[i].Version, nil)
	}
	return nil, nil
}

// touchAll makes the touches.
func (b *changes) touchAll(ctx context.Context, conn *sqlx.Conn, list []change) ([]change, error) {
	db := statements{conn}
	n, err := db.prolongAll(ctx, list, b.now)
	if err != nil {
		return nil, err
	}
	records, err := db.passedOver(ctx, list, n)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		r := records[c.key]
		after, err := r.touch(*c.touch, b.now, b.stampOf(c))
		switch {
		case records == nil, err == nil && r.at(b.now) == live && r.Expires == after.Expires:
			b.decide(c, 0, nil)
		case err != nil && r.at(b.now) != alias:
			b.decide(c, 0, err)
		default:
			b.leave(c)
		}
	}
	return nil, nil
}

// passedOver returns the rows of the changes if a statement reached only n of them, and nil if it reached all.
func (s statements) passedOver(ctx context.Context, list []change, n int64) (map[sessionstore.Key]record, error) {
	if n >= int64(len(list)) {
		return nil, nil
	}
	return s.records(ctx, list, "")
}

// destroyAll makes tombstones of sessions.
func (b *changes) destroyAll(ctx context.Context, conn *sqlx.Conn, list []change) ([]change, error) {
	db := statements{conn}
	n, err := db.buryAll(ctx, list, b.now)
	if err != nil {
		return nil, err
	}
	records, err := db.passedOver(ctx, list, n)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		r := records[c.key]
		if records == nil || r.at(b.now) == tombstone && r.Expires == b.now+c.tombstone.Milliseconds() {
			b.decide(c, 0, nil)
			continue
		}
		b.leave(c)
	}
	return nil, nil
}

// advanceAll is advance for many sessions.
func (s statements) advanceAll(ctx context.Context, list []change, stamp uint64, now int64) (int64, error) {
	q := &query{list: list}
	q.add("UPDATE session SET ver = ver + 1, "+stampSet+", ", stamp)
	q.expiry(func(c change) int64 { return now + c.write.Idle.Milliseconds() })
	q.text.WriteString(", enc = ")
	q.each(func(c change) int64 { return int64(c.write.Encoding) })
	q.subjects()
	q.text.WriteString(", payload = CASE id")
	for _, c := range list {
		q.add(" WHEN ? THEN ?", c.key[:], notNil(c.write.Payload))
	}
	q.text.WriteString(" END WHERE ")
	q.ids()
	q.add(" AND chunks = 0 AND "+isLive+" AND CASE id", now)
	for _, c := range list {
		if c.write.IfVersion != sessionstore.AnyVersion {
			q.add(" WHEN ? THEN ver = ?", c.key[:], c.write.IfVersion)
		}
	}
	if anyVersion(list) {
		q.add(" WHEN '' THEN FALSE") // there must be one
	}
	q.text.WriteString(" ELSE TRUE END")
	return s.exec(ctx, q.text.String(), q.args...)
}

// prolongAll is prolong for many sessions.
func (s statements) prolongAll(ctx context.Context, list []change, now int64) (int64, error) {
	q := &query{list: list}
	q.text.WriteString("UPDATE session SET ")
	q.expiry(func(c change) int64 { return now + c.touch.Idle.Milliseconds() })
	q.text.WriteString(" WHERE ")
	q.ids()
	q.add(" AND "+isLive, now)
	if slices.ContainsFunc(list, func(c change) bool { return c.touch.Coarse > 0 }) {
		q.text.WriteString(" AND expires NOT BETWEEN ")
		q.each(func(c change) int64 { return now + (c.touch.Idle - c.touch.Coarse).Milliseconds() })
		q.text.WriteString(" AND ")
		q.each(func(c change) int64 { return now + c.touch.Idle.Milliseconds() })
	}
	return s.exec(ctx, q.text.String(), q.args...)
}

// buryAll is buryLive for many sessions.
func (s statements) buryAll(ctx context.Context, list []change, now int64) (int64, error) {
	until := func(c change) int64 { return now + c.tombstone.Milliseconds() }
	q := &query{list: list}
	q.text.WriteString("UPDATE session SET state = 3, created = 0, expires = ")
	q.each(until)
	q.text.WriteString(", deadline = 0, due = ")
	q.each(func(c change) int64 { return due(until(c)) })
	q.text.WriteString(", target = '', ns = '', subject = '', enc = 0, payload = '' WHERE ")
	q.ids()
	q.text.WriteString(" AND state = 1 AND chunks = 0")
	return s.exec(ctx, q.text.String(), q.args...)
}

// insertAll is insert for many new sessions.
func (s statements) insertAll(ctx context.Context, list []change, rows []record) error {
	q, marks := &query{list: list}, strings.Repeat("?,", columnCount-1)+"?"
	q.text.WriteString("INSERT INTO session (" + columns + ") VALUES ")
	for i, c := range list {
		if i > 0 {
			q.text.WriteByte(',')
		}
		q.add("("+marks+")", append([]any{c.key[:]}, rows[i].values(c.write.Payload)...)...)
	}
	_, err := s.exec(ctx, q.text.String(), q.args...)
	return err
}

// records reads the rows of the changes' keys without their payloads; with "FOR UPDATE" it locks them.
func (s statements) records(ctx context.Context, list []change, lock string) (map[sessionstore.Key]record, error) {
	q := &query{list: list}
	q.text.WriteString("SELECT id, " + recordColumns + " FROM session WHERE ")
	q.ids()
	var rows []struct {
		record
		ID []byte `db:"id"`
	}
	if err := s.q.SelectContext(ctx, &rows, q.text.String()+" "+lock, q.args...); err != nil {
		return nil, err
	}
	found := make(map[sessionstore.Key]record, len(rows))
	for _, r := range rows {
		r.found = true
		found[sessionstore.Key(r.ID)] = r.record
	}
	return found, nil
}

// query is a statement about the rows of several changes, as it is put together.
type query struct {
	list []change
	text strings.Builder
	args []any
}

func (q *query) add(text string, args ...any) {
	q.text.WriteString(text)
	q.args = append(q.args, args...)
}

// ids adds the condition on the key.
func (q *query) ids() {
	q.text.WriteString("id IN (" + list("?", len(q.list)) + ")")
	for _, c := range q.list {
		q.args = append(q.args, c.key[:])
	}
}

// each adds an expression for a value of each row; mostly it is the same for all.
func (q *query) each(value func(change) int64) {
	first, same := value(q.list[0]), true
	for _, c := range q.list {
		same = same && value(c) == first
	}
	if same {
		q.add("?", first)
		return
	}
	q.text.WriteString("CASE id")
	for _, c := range q.list {
		q.add(" WHEN ? THEN ?", c.key[:], value(c))
	}
	q.text.WriteString(" END")
}

// subjects adds the subjects that writes name. Where none does the column is not named: that would cost a change of its
// index.
func (q *query) subjects() {
	named := false
	for _, c := range q.list {
		if c.write.Subject == (sessionstore.Key{}) {
			continue
		}
		if !named {
			q.text.WriteString(", subject = CASE id")
			named = true
		}
		q.add(" WHEN ? THEN ?", c.key[:], c.write.Subject[:])
	}
	if named {
		q.text.WriteString(" ELSE subject END")
	}
}

// expiry adds what expirySet is for one row.
func (q *query) expiry(expires func(change) int64) {
	q.text.WriteString("due = IF(deadline = 0 OR deadline > ")
	q.each(expires)
	q.text.WriteString(", ")
	q.each(func(c change) int64 { return due(expires(c)) })
	q.text.WriteString(", deadline DIV 60000 + 1), expires = IF(deadline = 0 OR deadline > ")
	q.each(expires)
	q.text.WriteString(", ")
	q.each(expires)
	q.text.WriteString(", deadline)")
}
