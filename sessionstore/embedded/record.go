package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unique"

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

// record is what lies under a key. Times are Unix milliseconds. The zero record stands for none.
type record struct {
	kind     kind
	version  uint64
	created  int64
	expires  int64 // end of a session, or of an alias's grace time
	deadline int64 // absolute time-out, 0 for none
	purge    int64 // when nothing of it can be seen any more
	indexed  int64 // the time of its index entry, never after purge
	size     uint32
	target   sessionstore.Key // of an alias

	// Of a session.
	namespace string
	subject   sessionstore.Key // zero for none
	encoding  sessionstore.Encoding
}

// at tells what the record is at an instant.
func (r *record) at(now int64) kind {
	switch {
	case r.kind == nothing || now >= r.purge:
		return nothing
	case r.kind == alias && now >= r.expires:
		return tombstone
	default:
		return r.kind
	}
}

// session is the session that the record describes. It takes the payload as its own.
func (r *record) session(key sessionstore.Key, payload []byte) sessionstore.Session {
	s := sessionstore.Session{
		Key:     key,
		Payload: payload,
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

// create begins a session without a version. Remains bequeath their version.
func (r *record) create(now int64, absolute time.Duration, namespace string) {
	*r = record{kind: live, version: r.version, created: now, indexed: r.indexed, namespace: namespace}
	if absolute != 0 {
		r.deadline = now + absolute.Milliseconds()
	}
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

// bury turns the record into a tombstone that stands until the given time.
func (r *record) bury(until int64) {
	*r = record{kind: tombstone, version: r.version, purge: until, indexed: r.indexed}
}

// check reports what cannot be in a record.
func (r *record) check() error {
	switch {
	case r.kind < live || r.kind > tombstone:
		return fmt.Errorf("a record of kind %d", r.kind)
	case r.kind == live && r.version == 0:
		return errors.New("a session without a version")
	case r.kind == live && r.deadline != 0 && r.expires > r.deadline:
		return errors.New("a session that outlives its deadline")
	case r.kind == live && r.purge != r.expires:
		return errors.New("a session that is not collected when it expires")
	case r.kind != live && r.size > 0:
		return errors.New("a payload without a session")
	case r.kind == alias && r.target == sessionstore.Key{}:
		return errors.New("an alias of nothing")
	case r.kind != live && (r.namespace != "" || r.subject != sessionstore.Key{} || r.encoding != 0):
		return errors.New("a subject without a session")
	case len(r.namespace) > sessionstore.MaxNamespaceLength:
		return fmt.Errorf("a namespace of %d bytes", len(r.namespace))
	case r.kind != alias && r.target != sessionstore.Key{}:
		return errors.New("a target without an alias")
	case r.indexed > r.purge:
		return errors.New("an index entry after the time of collection")
	}
	return nil
}

// recordSize is the length of the part that every record has; maxRecordSize, of the longest record.
const (
	recordSize    = 1 + 6*8 + 4 + 1 + 1
	maxRecordSize = recordSize + sessionstore.MaxNamespaceLength + len(sessionstore.Key{})
)

// withSubject is set in the length of a record's namespace if a subject follows.
const withSubject = 0x80

// append appends the record's encoding: numbers of fixed width, the length of the namespace, the namespace, then one
// key, that of an alias's target or a session's subject, if there is one.
func (r *record) append(b []byte) []byte {
	b = append(b, byte(r.kind))
	for _, v := range [...]uint64{r.version, uint64(r.created), uint64(r.expires), uint64(r.deadline), uint64(r.purge), uint64(r.indexed)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, r.size)
	if r.subject != (sessionstore.Key{}) {
		b = append(b, byte(r.encoding), byte(len(r.namespace))|withSubject)
		b = append(b, r.namespace...)
		return append(b, r.subject[:]...)
	}
	b = append(b, byte(r.encoding), byte(len(r.namespace)))
	b = append(b, r.namespace...)
	if r.kind == alias {
		b = append(b, r.target[:]...)
	}
	return b
}

// decode undoes append. A record that could not have been written is an error.
func (r *record) decode(b []byte) error {
	if len(b) < recordSize {
		return fmt.Errorf("a record of %d bytes", len(b))
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[1+8*i:])) }
	*r = record{
		kind:    kind(b[0]),
		version: uint64(at(0)), created: at(1), expires: at(2), deadline: at(3), purge: at(4), indexed: at(5),
		size:     binary.BigEndian.Uint32(b[1+6*8:]),
		encoding: sessionstore.Encoding(b[recordSize-2]),
	}
	length, rest := b[recordSize-1], b[recordSize:]
	key := (*sessionstore.Key)(nil)
	switch {
	case length&withSubject != 0:
		key = &r.subject
	case r.kind == alias:
		key = &r.target
	}
	n := int(length &^ withSubject)
	size := n
	if key != nil {
		size += len(key)
	}
	if len(rest) != size {
		return fmt.Errorf("a record of kind %d with %d bytes", r.kind, len(b))
	}
	if n > 0 {
		r.namespace = unique.Make(string(rest[:n])).Value() // there are few, and many records
	}
	if key != nil {
		if copy(key[:], rest[n:]); *key == (sessionstore.Key{}) {
			return errors.New("a key of zeros")
		}
	}
	return r.check()
}

// stampSize is the length of what precedes a payload on disk: the version and creation of the session that it belongs
// to. A reader that meets a payload of another stamp knows that the session changed between its two reads.
const stampSize = 16

// newPayload returns a copy of a payload with room for the stamp.
func newPayload(payload []byte) []byte {
	b := make([]byte, stampSize+len(payload))
	copy(b[stampSize:], payload)
	return b
}

func (r *record) stamp(payload []byte) {
	binary.BigEndian.PutUint64(payload, r.version)
	binary.BigEndian.PutUint64(payload[8:], uint64(r.created))
}

// owns reports whether a payload as it lies on disk is the record's.
func (r *record) owns(payload []byte) bool {
	return len(payload) == stampSize+int(r.size) &&
		binary.BigEndian.Uint64(payload) == r.version &&
		binary.BigEndian.Uint64(payload[8:]) == uint64(r.created)
}
