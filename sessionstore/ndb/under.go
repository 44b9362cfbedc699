package ndb

import (
	"bytes"
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
)

// What is done to a session under a lease, or ends one, changes a row of session and then one of lease, in this order
// everywhere, so that two of them cannot wait for each other. The row of lease is changed also where the lease goes on:
// a row that is changed is locked, so nobody takes the lease before the transaction is over.

// heir is the lease that comes after one that ends, in the same step.
type heir struct {
	lease
	given bool // whether that is known to have happened
}

// Pass implements [sessionstore.Passer].
func (s *Store) Pass(ctx context.Context, key sessionstore.Key, p sessionstore.Pass) (sessionstore.Passed, error) {
	if err := p.Check(); err != nil {
		return sessionstore.Passed{}, err
	}
	end := func(ctx context.Context, db statements, h *heir, now int64, _ *attempt) (done sessionstore.Passed, err error) {
		return done, db.endLease(ctx, key, p.Token, h, now)
	}
	switch w, t := p.Change(); {
	case w != nil:
		w.Payload = bytes.Clone(w.Payload) // the caller may leave before the statement does
		end = func(ctx context.Context, db statements, h *heir, now int64, a *attempt) (done sessionstore.Passed, err error) {
			done.Expires = time.UnixMilli(now + w.Idle.Milliseconds())
			done.Version, err = db.writeAny(ctx, key, *w, h, now, a)
			return done, err
		}
	case t != nil:
		end = func(ctx context.Context, db statements, h *heir, now int64, a *attempt) (done sessionstore.Passed, err error) {
			done.Expires = time.UnixMilli(now + t.Idle.Milliseconds())
			return done, db.touchAny(ctx, key, *t, h, now, a)
		}
	}
	return run(ctx, s, "pass", func(ctx context.Context, conn *sqlx.Conn, a *attempt) (sessionstore.Passed, error) {
		at, db := s.now(), statements{conn}
		h := &heir{lease: newLease(key, p.Next, at, a.stamp)}
		h.Token = max(h.Token, p.Token+1)
		done, err := end(ctx, db, h, at.UnixMilli(), a)
		if err == nil && !h.given && a.again { // a try before this one may have given it
			h.lease, err = db.lease(ctx, key, "")
			h.given = h.Stamp == a.stamp
		}
		if err == nil && h.given {
			done.Next = h.granted()
		}
		return done, err
	})
}

// A change of one session under one lease is one statement on both tables: it locks the rows that it reads, as every UPDATE
// does, so the conditions still hold when it writes. For many sessions it would be far slower than one statement on each
// table, since a server joins and writes row by row.
const (
	updateBoth  = prepared + "UPDATE session s JOIN lease l ON l.id = s.id SET "
	ofOneLease  = " WHERE s.id = ? AND l.id = ? AND l.token = ?"
	isLiveThere = " AND s.state = 1 AND s.expires > ?"
)

// expirySetThere is expirySet, without assignments that build on each other: here their order is not defined.
const expirySetThere = "s.expires = IF(s.deadline = 0 OR s.deadline > ?, ?, s.deadline), s.due = IF(s.deadline = 0 OR s.deadline > ?, ?, s.deadline) DIV 60000 + 1"

func expiryArgsThere(expires int64) []any { return []any{expires, expires, expires, expires} }

// advanceUnder is advance under the lease that the write names, if it names one. The lease goes on, or ends, or the heir
// gets it.
func (s statements) advanceUnder(ctx context.Context, key sessionstore.Key, version, stamp uint64, now int64, w sessionstore.Write, h *heir) (bool, error) {
	if w.Token == 0 {
		return s.advance(ctx, key, version, stamp, now, w)
	}
	set, args := h.set(w.Release, stamp)
	args = append(args, version+1, stamp, w.Encoding)
	args = append(append(args, expiryArgsThere(now+w.Idle.Milliseconds())...), inline(w.Payload), key[:], key[:], w.Token, now, version, now-retention)
	ofSubject := ""
	if w.Subject != (sessionstore.Key{}) {
		ofSubject, args = " AND s.subject = ?", append(args, w.Subject[:])
	}
	n, err := s.exec(ctx, updateBoth+set+", s.ver = ?, s.stamp = ?, s.enc = ?, "+expirySetThere+", s.payload = ?"+
		ofOneLease+isLiveThere+" AND s.ver = ? AND s.chunks = 0 AND l.ends > ?"+ofSubject, args...)
	if h != nil {
		h.given = n > 0
	}
	return n > 0, err
}

// set is what becomes of a lease that goes on, ends, or is the heir's.
func (h *heir) set(ends bool, stamp uint64) (text string, args []any) {
	switch {
	case h != nil:
		return "l.token = ?, l.stamp = ?, l.owner = ?, l.ends = ?, l.due = ?", h.values()
	case ends:
		return "l.ends = 0", nil
	default:
		return "l.stamp = ?", []any{stamp}
	}
}

// inherit puts a lease in the place of the one with this token, and reports whether that was the latest.
func (s statements) inherit(ctx context.Context, key sessionstore.Key, token uint64, l lease, now int64) (bool, error) {
	n, err := s.exec(ctx, prepared+"UPDATE lease SET "+leaseSet+" WHERE id = ? AND token = ? AND ends > ?",
		append(l.values(), key[:], token, now-retention)...)
	return n > 0, err
}

// prolongAndEnd is prolong and endLease in one step.
func (s statements) prolongAndEnd(ctx context.Context, key sessionstore.Key, now int64, t sessionstore.Touch, h *heir) (bool, error) {
	expires := now + t.Idle.Milliseconds()
	if t.Release == 0 {
		return s.prolong(ctx, key, now, expires)
	}
	set, args := h.set(true, 0)
	n, err := s.exec(ctx, updateBoth+set+", "+expirySetThere+ofOneLease+isLiveThere+" AND l.ends > ?",
		append(append(args, expiryArgsThere(expires)...), key[:], key[:], t.Release, now, now-retention)...)
	if h != nil {
		h.given = n > 0
	}
	return n > 0, err
}

// endLease ends the lease with this token, if it is the latest; the heir, if there is one, gets it.
func (s statements) endLease(ctx context.Context, key sessionstore.Key, token uint64, h *heir, now int64) (err error) {
	if h == nil {
		return s.release(ctx, key, token)
	}
	h.given, err = s.inherit(ctx, key, token, h.lease, now)
	return err
}

// lockAll takes leases.
func (b *changes) lockAll(ctx context.Context, db statements, _ *attempt, list []change) ([]change, error) {
	grant := func(list []change) {
		for _, c := range list {
			b.decide(c, effect{lease: newLease(c.key, *c.lock, b.at, b.stampOf(c)).granted()}, nil)
		}
	}
	n, err := db.takeAll(ctx, list, b.stamp, uint64(b.at.UnixMicro()), b.now)
	if err != nil {
		return nil, err
	}
	if int(n) == len(list) {
		grant(list)
		return nil, nil
	}
	leases, err := db.leases(ctx, list)
	if err != nil {
		return nil, err
	}
	var first []change // of their keys
	for _, c := range list {
		switch l := leases[c.key]; {
		case !l.found:
			first = append(first, c)
		case l.Stamp == b.stampOf(c):
			b.decide(c, effect{lease: l.granted()}, nil)
		case l.Ends > b.now:
			b.decide(c, effect{}, &sessionstore.LockedError{Until: l.granted().Until})
		default:
			b.leave(c, false, errAlone) // its token must be greater than our clock makes it, or it was released just now
		}
	}
	if len(first) == 0 {
		return nil, nil
	}
	if err := db.insertLeases(ctx, first, b); err != nil {
		return nil, err
	}
	grant(first)
	return nil, nil
}

// unlockAll ends leases. What is no key's latest is passed over, and that is all right.
func (b *changes) unlockAll(ctx context.Context, db statements, _ *attempt, list []change) ([]change, error) {
	if err := db.releaseAll(ctx, list); err != nil {
		return nil, err
	}
	for _, c := range list {
		b.decide(c, effect{}, nil)
	}
	return nil, nil
}

// writeAllUnder makes writes under leases, which all go on or all end.
func (b *changes) writeAllUnder(ctx context.Context, db statements, _ *attempt, list []change) ([]change, error) {
	list, creations, err := b.based(ctx, db, list)
	if err != nil {
		return nil, err
	}
	for _, c := range creations {
		b.leave(c, false, errAlone)
	}
	return nil, b.wholly(ctx, db, list, func(tx statements, list []change) (bool, error) {
		n, err := tx.advanceAll(ctx, list, b.stamp, b.now)
		if err != nil || int(n) != len(list) {
			return false, err
		}
		n, err = tx.claimAll(ctx, list, b.stamp, b.now)
		return int(n) == len(list), err
	}, b.judgeUnder)
}

// wholly makes changes in one transaction. If not all rows are as expected the changes are judged, and made once more
// without those that were decided by that; if they still are not, all are left.
func (b *changes) wholly(ctx context.Context, db statements, list []change, do func(statements, []change) (bool, error),
	judge func(context.Context, statements, []change) ([]change, error)) (err error) {
	for try := 0; len(list) > 0; try++ {
		ok, err := wholly(ctx, db, func(tx statements) (bool, error) { return do(tx, list) })
		if err != nil {
			return err
		}
		for _, c := range list {
			switch {
			case ok:
				b.decide(c, effect{version: c.base + 1}, nil)
			case try > 0:
				b.leave(c, false, errAlone)
			}
		}
		if ok || try > 0 {
			return nil
		}
		if list, err = judge(ctx, db, list); err != nil {
			return err
		}
	}
	return nil
}

// judgeUnder decides writes under leases that are refused, leaves those that take more than the rows' change, and returns the
// others. It looks at the leases first: what was not a key's latest then never is again.
func (b *changes) judgeUnder(ctx context.Context, db statements, list []change) (good []change, err error) {
	leases, err := db.leases(ctx, list)
	if err != nil {
		return nil, err
	}
	records, err := db.records(ctx, list)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		r := records[c.key]
		_, err := r.write(*c.write, b.now, b.stampOf(c))
		if err == nil && !leases[c.key].holds(c.token(), b.now) {
			err = sessionstore.ErrConflict
		}
		switch at := r.at(b.now); {
		case err != nil && at != alias:
			b.decide(c, effect{}, err)
		case at == live && r.Chunks == 0 && r.Version == c.base && r.isOf(c.write.Subject):
			good = append(good, c)
		default:
			b.leave(c, false, errAlone)
		}
	}
	return good, nil
}

// touchAllAndEnd makes touches that end leases. Of those that need not move the expiry, only the leases are ended.
func (b *changes) touchAllAndEnd(ctx context.Context, db statements, _ *attempt, list []change) ([]change, error) {
	var near []change
	judge := func(ctx context.Context, db statements, list []change) (far []change, err error) {
		records, err := db.records(ctx, list)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			r := records[c.key]
			after, err := r.touch(*c.touch, b.now, b.stampOf(c))
			switch at := r.at(b.now); {
			case at == live && r.Expires == after.Expires:
				near = append(near, c)
			case at == live:
				far = append(far, c)
			case err != nil && at != alias:
				b.decide(c, effect{}, err)
			default:
				b.leave(c, false, errAlone)
			}
		}
		return far, nil
	}
	far, err := list, error(nil)
	if anyCoarse(list) {
		if far, err = judge(ctx, db, list); err != nil {
			return nil, err
		}
	}
	err = b.wholly(ctx, db, far, func(tx statements, list []change) (bool, error) {
		n, err := tx.prolongAll(ctx, list, b.now)
		if err != nil || int(n) != len(list) {
			return false, err
		}
		return true, tx.releaseAll(ctx, list)
	}, judge)
	if err != nil || len(near) == 0 {
		return nil, err
	}
	return b.unlockAll(ctx, db, nil, near)
}

// takeAll is takeLease for many keys, at an instant given in µs and in ms.
func (s statements) takeAll(ctx context.Context, list []change, stamp, micros uint64, now int64) (int64, error) {
	ends := func(c change) int64 { return now + c.lock.TTL.Milliseconds() }
	owner := func(c change) uint64 { return c.lock.Owner }
	mixed := differ(list, ends) || differ(list, owner)
	w := word(list)
	text := prepared + "UPDATE lease SET token = " + tokenOfRow + " + " + w.arg(micros) + ", stamp = " + stampOfRow + " ^ " + w.arg(stamp) +
		", owner = " + each(w, mixed, owner) + ", ends = " + each(w, mixed, ends) + ", due = (ends + 3600000) DIV 60000 + 1" +
		" WHERE " + w.ids() + " AND ends <= " + w.arg(now) + " AND token < " + tokenOfRow + " + " + w.arg(micros)
	return s.exec(ctx, text, w.args...)
}

// insertLeases is insertLease for many keys.
func (s statements) insertLeases(ctx context.Context, locks []change, b *changes) error {
	var args []any
	for _, c := range locks {
		l := newLease(c.key, *c.lock, b.at, b.stampOf(c))
		args = append(append(args, l.values()...), c.key[:])
	}
	_, err := s.exec(ctx, "INSERT INTO lease ("+leaseColumns+", id) VALUES "+list("(?, ?, ?, ?, ?, ?)", len(locks)), args...)
	return err
}

// claimAll locks the leases that many writes are made under, ends all or none of them, as the writes say, and returns how
// many were the latest.
func (s statements) claimAll(ctx context.Context, list []change, stamp uint64, now int64) (int64, error) {
	w := word(list)
	set := "ends = 0"
	if !list[0].write.Release {
		set = "stamp = " + w.arg(stamp)
	}
	text := prepared + "UPDATE lease SET " + set + " WHERE " + w.ids() + " AND " + w.tokens() + " AND ends > " + w.arg(now-retention)
	return s.exec(ctx, text, w.args...)
}

// releaseAll is release for many leases.
func (s statements) releaseAll(ctx context.Context, list []change) error {
	w := word(list)
	_, err := s.exec(ctx, prepared+"UPDATE lease SET ends = 0 WHERE "+w.ids()+" AND "+w.tokens(), w.args...)
	return err
}

// leases reads the latest leases of the changes' keys.
func (s statements) leases(ctx context.Context, list []change) (map[sessionstore.Key]lease, error) {
	var rows []struct {
		lease
		ID []byte `db:"id"`
	}
	w := word(list)
	if err := s.q.SelectContext(ctx, &rows, prepared+"SELECT id, "+leaseColumns+" FROM lease WHERE "+w.ids(), w.args...); err != nil {
		return nil, err
	}
	found := make(map[sessionstore.Key]lease, len(rows))
	for _, r := range rows {
		r.found = true
		found[sessionstore.Key(r.ID)] = r.lease
	}
	return found, nil
}
