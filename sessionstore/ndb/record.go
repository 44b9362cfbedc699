package ndb

import (
	"bytes"
	"fmt"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// state is what a row was made as. What it is now also depends on the time: see record.at.
type state uint8

const (
	nothing   state = iota // no row, or only remains of which nothing can be seen any more; never stored
	live                   // a session
	alias                  // leads to the key that a regenerated session lives under now
	tombstone              // a destroyed session
)

// coarse is the unit of the purge time, in milliseconds: the index on it changes only when a touch crosses its bounds.
const coarse = 60_000

// record is the row of a key without its payload. Times are Unix milliseconds.
type record struct {
	State    state  `db:"state"`
	Version  uint64 `db:"ver"`
	Stamp    uint64 `db:"stamp"`
	Created  int64  `db:"created"`
	Expires  int64  `db:"expires"`
	Deadline int64  `db:"deadline"`
	Chunks   int    `db:"chunks"`
	Target   []byte `db:"target"`

	Namespace string                `db:"ns"`
	Subject   []byte                `db:"subject"` // empty for none
	Encoding  sessionstore.Encoding `db:"enc"`

	found bool // whether there is a row at all
}

// gone is the instant from which on nothing of the record can be seen.
func (r *record) gone() int64 {
	if r.State == alias {
		return r.Deadline
	}
	return r.Expires
}

// due is the purge time in units of coarse: the first at whose begin the record is gone.
func due(gone int64) int64 { return gone/coarse + 1 }

// at tells what the record is at an instant.
func (r *record) at(now int64) state {
	switch {
	case !r.found || now >= r.gone():
		return nothing
	case r.State == alias && now >= r.Expires:
		return tombstone
	default:
		return r.State
	}
}

func (r *record) target() (key sessionstore.Key) {
	copy(key[:], r.Target)
	return key
}

func (r *record) session(key sessionstore.Key, payload []byte) sessionstore.Session {
	s := sessionstore.Session{
		Key:     key,
		Payload: payload,
		Version: r.Version,
		Created: time.UnixMilli(r.Created),
		Expires: time.UnixMilli(r.Expires),

		Namespace: r.Namespace,
		Encoding:  r.Encoding,
	}
	copy(s.Subject[:], r.Subject)
	if r.Deadline != 0 {
		s.Deadline = time.UnixMilli(r.Deadline)
	}
	return s
}

// write decides what a write makes of the record. stamp marks the version that it makes.
func (r record) write(w sessionstore.Write, now int64, stamp uint64) (record, error) {
	switch at := r.at(now); {
	case at == tombstone:
		return r, sessionstore.ErrDestroyed
	case at == live && w.IfVersion != r.Version && w.IfVersion != sessionstore.AnyVersion:
		return r, sessionstore.ErrConflict
	case at == nothing && w.IfVersion != 0 && w.IfVersion != sessionstore.AnyVersion:
		return r, sessionstore.ErrNotFound
	case at == nothing:
		r = r.begin(now, w.Absolute, w.Namespace)
	}
	r.Version++
	r.Stamp = stamp
	r.Chunks = chunksFor(len(w.Payload))
	r.Encoding = w.Encoding
	if w.Subject != (sessionstore.Key{}) {
		r.Subject = w.Subject[:]
	}
	return r.extend(now, w.Idle), nil
}

// isOf tells whether a write that names the subject, or none, leaves the record's as it is.
func (r *record) isOf(subject sessionstore.Key) bool {
	return subject == (sessionstore.Key{}) || bytes.Equal(r.Subject, subject[:])
}

// touch decides what a touch makes of the record.
func (r record) touch(t sessionstore.Touch, now int64, stamp uint64) (record, error) {
	switch at := r.at(now); {
	case at == tombstone:
		return r, sessionstore.ErrDestroyed
	case at == nothing && !t.Create:
		return r, sessionstore.ErrNotFound
	case at == nothing:
		r = r.begin(now, t.Absolute, t.Namespace)
		r.Version++
		r.Stamp = stamp
	case t.Within(r.Expires, r.wanted(now, t.Idle)):
		return r, nil
	}
	return r.extend(now, t.Idle), nil
}

// begin returns a session without a version. Remains bequeath theirs, so that a version never means two payloads.
func (r record) begin(now int64, absolute time.Duration, namespace string) record {
	next := record{State: live, Version: r.Version, Created: now, Namespace: namespace, found: true}
	if absolute != 0 {
		next.Deadline = now + absolute.Milliseconds()
	}
	return next
}

// extend sets the expiry to idle after now, but not past the deadline.
func (r record) extend(now int64, idle time.Duration) record {
	r.Expires = r.wanted(now, idle)
	return r
}

// wanted returns where extend sets the expiry.
func (r record) wanted(now int64, idle time.Duration) int64 {
	at := now + idle.Milliseconds()
	if r.Deadline != 0 {
		at = min(at, r.Deadline)
	}
	return at
}

// bury returns the tombstone of the record. It keeps version and stamp: the next session continues the one, and the
// write that left the other still recognises itself.
func (r record) bury(until int64) record {
	return record{State: tombstone, Version: r.Version, Stamp: r.Stamp, Expires: until, found: true}
}

// lead returns what is left under the old key of a regenerated session.
func (r record) lead(target sessionstore.Key, g sessionstore.Regenerate, now int64) record {
	if g.Grace == 0 {
		r = r.bury(now + g.Tombstone.Milliseconds())
	} else {
		end := now + g.Grace.Milliseconds()
		r = record{State: alias, Version: r.Version, Stamp: r.Stamp, Expires: end, Deadline: end + g.Tombstone.Milliseconds(), found: true}
	}
	r.Target = target[:]
	return r
}

// errHops says that a chain of aliases is too long.
var errHops = fmt.Errorf("%w: regenerated more than %d times within its grace time", sessionstore.ErrNotFound, sessionstore.MaxAliasHops)
