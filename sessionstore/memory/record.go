package memory

import (
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// kind is what a record was made as. What it is now also depends on the time: see record.at.
type kind uint8

const (
	nothing   kind = iota // no record, or only the remains of one
	live                  // a session
	alias                 // leads to the key that a regenerated session lives under now
	tombstone             // a destroyed session
)

// record is what lies under a key. Times are Unix milliseconds.
type record struct {
	kind     kind
	payload  []byte
	version  uint64
	created  int64
	expires  int64 // end of a session, or of an alias's grace time
	deadline int64 // absolute time-out, 0 for none
	target   sessionstore.Key

	namespace string
	subject   sessionstore.Key
	encoding  sessionstore.Encoding

	purge   int64 // when nothing of it can be seen any more
	indexed int64 // the purge time that the index holds for it, never after purge
}

// at tells what the record is at an instant.
func (r *record) at(now int64) kind {
	switch {
	case r == nil || now >= r.purge:
		return nothing
	case r.kind == alias && now >= r.expires:
		return tombstone
	default:
		return r.kind
	}
}

func (r *record) session(key sessionstore.Key) sessionstore.Session {
	s := sessionstore.Session{
		Key:     key,
		Payload: append([]byte(nil), r.payload...),
		Version: r.version,
		Created: time.UnixMilli(r.created),
		Expires: time.UnixMilli(r.expires),

		Namespace: r.namespace,
		Subject:   r.subject,
		Encoding:  r.encoding,
	}
	if r.deadline != 0 {
		s.Deadline = time.UnixMilli(r.deadline)
	}
	return s
}

// extend sets the expiry to idle after now, but not past the deadline.
func (r *record) extend(now int64, idle time.Duration) {
	r.expires = r.wanted(now, idle)
	r.purge = r.expires
}

// wanted returns where extend sets the expiry.
func (r *record) wanted(now int64, idle time.Duration) int64 {
	if at := now + idle.Milliseconds(); r.deadline == 0 || at < r.deadline {
		return at
	}
	return r.deadline
}

// lease is the latest lock of a key. An end of 0 means that it was released.
type lease struct {
	token uint64
	owner uint64
	until int64
}

func (l lease) granted() sessionstore.Lease {
	return sessionstore.Lease{Token: l.token, Owner: l.owner, Until: time.UnixMilli(l.until)}
}
