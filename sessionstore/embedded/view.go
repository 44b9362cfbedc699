package embedded

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lvsession/lvsession/sessionstore"
)

// view is what the committer sees while it evaluates a group of changes: what is in the engine, and over it what earlier
// changes of the same group have done. Only the committer uses it.
type view struct {
	db       *pebble.DB
	recent   *recent
	sessions map[sessionstore.Key]*sessionCell
	leases   map[sessionstore.Key]*leaseCell
	changed  int // cells that the group changes

	cells []*sessionCell // those in use, and behind them some to be used
}

// sessionCell is the record under a key, and how it differs from the engine's.
type sessionCell struct {
	record
	payload []byte // with its stamp, if the group sets it
	stored  record // what is in the engine
	kept    []byte // the payload that was remembered, while the change is on its way
	changed bool
}

type leaseCell struct {
	lease
	stored  lease
	changed bool
}

func newView(db *pebble.DB, recent *recent) *view {
	return &view{db: db, recent: recent, sessions: map[sessionstore.Key]*sessionCell{}, leases: map[sessionstore.Key]*leaseCell{}}
}

// reset forgets all of the last group.
func (v *view) reset() {
	for _, c := range v.cells[:len(v.sessions)] {
		*c = sessionCell{}
	}
	clear(v.sessions)
	clear(v.leases)
	v.changed = 0
}

// cell returns an empty cell.
func (v *view) cell() *sessionCell {
	n := len(v.sessions)
	if n == len(v.cells) {
		v.cells = append(v.cells, &sessionCell{})
	}
	return v.cells[n]
}

// session returns the cell of a key. Its record may be changed after a call of change.
func (v *view) session(key sessionstore.Key) (*sessionCell, error) {
	if c := v.sessions[key]; c != nil {
		return c, nil
	}
	c := v.cell()
	if _, ok, _ := v.recent.get(&key, &c.stored); !ok {
		if err := readRecord(v.db, key, &c.stored); err != nil {
			return nil, err
		}
	}
	c.record = c.stored
	v.sessions[key] = c
	return c, nil
}

// lease is as session, for leases.
func (v *view) lease(key sessionstore.Key) (*leaseCell, error) {
	if c := v.leases[key]; c != nil {
		return c, nil
	}
	c := &leaseCell{}
	if err := readLease(v.db, key, &c.stored); err != nil {
		return nil, err
	}
	c.lease = c.stored
	v.leases[key] = c
	return c, nil
}

// resolve follows aliases to the key that a session lives under, and returns the cell there.
func (v *view) resolve(key sessionstore.Key, now int64) (sessionstore.Key, *sessionCell, error) {
	for range sessionstore.MaxAliasHops + 1 {
		c, err := v.session(key)
		if err != nil || c.at(now) != alias {
			return key, c, err
		}
		key = c.target
	}
	return key, nil, errTooManyHops
}

var errTooManyHops = fmt.Errorf("%w: regenerated more than %d times within its grace time", sessionstore.ErrNotFound, sessionstore.MaxAliasHops)

// holds reports whether the token is of the key's latest lease, and that was not released.
func (v *view) holds(key sessionstore.Key, token uint64, now int64) (bool, error) {
	c, err := v.lease(key)
	if err != nil {
		return false, err
	}
	return c.holds(token, now), nil
}

// payload returns a copy of the session's payload, with its stamp.
func (v *view) payload(key sessionstore.Key, c *sessionCell) ([]byte, error) {
	if c.payload != nil || c.size == 0 {
		return append(make([]byte, 0, stampSize+int(c.size)), c.payload...), nil
	}
	return readPayload(v.db, key, &c.record)
}

// put marks a session's cell as changed and sees to it that the index leads to it by the time that it can be collected.
func (v *view) put(c *sessionCell) {
	if c.indexed == 0 || c.purge < c.indexed {
		c.indexed = c.purge
	}
	v.mark(&c.changed)
}

// create begins a session without a version or payload.
func (c *sessionCell) create(now int64, absolute time.Duration, namespace string) {
	c.record.create(now, absolute, namespace)
	c.payload = nil
}

// bury turns the record into a tombstone that stands until the given time.
func (c *sessionCell) bury(until int64) {
	c.record.bury(until)
	c.payload = nil
}

// remove takes a session's record away.
func (v *view) remove(c *sessionCell) {
	c.record, c.payload = record{}, nil
	v.mark(&c.changed)
}

func (v *view) putLease(c *leaseCell) {
	if c.indexed == 0 || c.end() < c.indexed {
		c.indexed = c.end()
	}
	v.mark(&c.changed)
}

func (v *view) removeLease(c *leaseCell) {
	c.lease = lease{}
	v.mark(&c.changed)
}

func (v *view) mark(changed *bool) {
	if !*changed {
		*changed = true
		v.changed++
	}
}

// forget takes the group's sessions out of what is remembered, before they change in the engine.
func (v *view) forget() {
	for key, c := range v.sessions {
		if c.changed {
			c.kept = v.recent.forget(&key)
		}
	}
}

// remember notes the group's sessions once they have changed in the engine.
func (v *view) remember() {
	for key, c := range v.sessions {
		if !c.changed {
			continue
		}
		payload := c.payload
		if payload == nil && c.size > 0 && c.owns(c.kept) {
			payload = c.kept
		}
		v.recent.remember(&key, &c.record, payload)
	}
}

// flush writes the differences into a batch. entered is told the time of each new index entry.
func (v *view) flush(b *pebble.Batch, entered func(index byte, at int64)) error {
	var errs []error
	for key, c := range v.sessions {
		if c.changed {
			errs = append(errs, c.flush(b, key, entered))
		}
	}
	for key, c := range v.leases {
		if c.changed {
			errs = append(errs, c.flush(b, key, entered))
		}
	}
	return errors.Join(errs...)
}

func (c *sessionCell) flush(b *pebble.Batch, key sessionstore.Key, entered func(byte, int64)) error {
	at, payloadAt := makeKey(sessionPrefix, key), makeKey(payloadPrefix, key)
	var errs [4]error
	switch {
	case c.size == 0 && c.stored.size > 0:
		errs[0] = b.Delete(payloadAt[:], nil)
	case c.size > 0 && c.payload != nil:
		c.stamp(c.payload)
		errs[0] = b.Set(payloadAt[:], c.payload, nil)
	}
	switch {
	case c.kind != nothing:
		var buf [maxRecordSize]byte
		errs[1] = b.Set(at[:], c.append(buf[:0]), nil)
	case c.stored.kind != nothing:
		errs[1] = b.Delete(at[:], nil)
	}
	errs[2] = moveEntry(b, sessionIndexPrefix, key, c.stored.indexed, c.indexed, entered)
	errs[3] = moveSubject(b, key, c.stored.subject, c.subject)
	return errors.Join(errs[:]...)
}

// moveSubject moves a key's entry in the index of subjects; the zero subject stands for no entry.
func moveSubject(b *pebble.Batch, key, from, to sessionstore.Key) error {
	if from == to {
		return nil
	}
	var errs [2]error
	if from != (sessionstore.Key{}) {
		k := makeSubjectKey(from, key)
		errs[0] = b.Delete(k[:], nil)
	}
	if to != (sessionstore.Key{}) {
		k := makeSubjectKey(to, key)
		errs[1] = b.Set(k[:], nil, nil)
	}
	return errors.Join(errs[:]...)
}

func (c *leaseCell) flush(b *pebble.Batch, key sessionstore.Key, entered func(byte, int64)) error {
	at := makeKey(leasePrefix, key)
	var errs [2]error
	switch {
	case c.token != 0:
		var buf [leaseSize]byte
		errs[0] = b.Set(at[:], c.append(buf[:0]), nil)
	case c.stored.token != 0:
		errs[0] = b.Delete(at[:], nil)
	}
	errs[1] = moveEntry(b, leaseIndexPrefix, key, c.stored.indexed, c.indexed, entered)
	return errors.Join(errs[:]...)
}

// moveEntry moves a key's index entry; 0 stands for no entry.
func moveEntry(b *pebble.Batch, index byte, key sessionstore.Key, from, to int64, entered func(byte, int64)) error {
	if from == to {
		return nil
	}
	var errs [2]error
	if from != 0 {
		k := makeIndexKey(index, from, key)
		errs[0] = b.Delete(k[:], nil)
	}
	if to != 0 {
		k := makeIndexKey(index, to, key)
		errs[1] = b.Set(k[:], nil, nil)
		entered(index, to)
	}
	return errors.Join(errs[:]...)
}
