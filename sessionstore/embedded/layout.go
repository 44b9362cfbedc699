package embedded

import (
	"encoding/binary"

	"github.com/lvsession/lvsession/sessionstore"
)

// Every key in the engine begins with one of these bytes. The order matters to nothing but the scans of an index, which
// run up to the following byte.
const (
	formatPrefix       = 'f' // the version of this layout
	journalPrefix      = 'j' // the sequence number of the journal's record that was applied last
	sessionPrefix      = 's' // + key: a record
	payloadPrefix      = 'p' // + key: a payload
	sessionIndexPrefix = 't' // + time + key: when to look at a record for collection
	subjectPrefix      = 'u' // + subject + key: a session of that subject
	leasePrefix        = 'l' // + key: a lease
	leaseIndexPrefix   = 'm' // + time + key: when to look at a lease for collection
)

// format is the version of this layout. A store with a higher one is refused, one with a lower one brought to it: format 1
// had the engine's own log in place of the journal.
const format = 2

var (
	formatKey  = []byte{formatPrefix}
	journalKey = []byte{journalPrefix}
)

const keySize = 1 + len(sessionstore.Key{})

// engineKey is a prefix and a session's key.
type engineKey [keySize]byte

func makeKey(prefix byte, key sessionstore.Key) (k engineKey) {
	k[0] = prefix
	copy(k[1:], key[:])
	return k
}

const subjectKeySize = 1 + 2*len(sessionstore.Key{})

// subjectKey is a prefix, a subject and a session's key.
type subjectKey [subjectKeySize]byte

func makeSubjectKey(subject, key sessionstore.Key) (k subjectKey) {
	k[0] = subjectPrefix
	copy(k[1:], subject[:])
	copy(k[1+len(subject):], key[:])
	return k
}

// splitSubjectKey undoes makeSubjectKey.
func splitSubjectKey(k []byte) (subject, key sessionstore.Key, ok bool) {
	if len(k) != subjectKeySize {
		return subject, key, false
	}
	copy(subject[:], k[1:])
	copy(key[:], k[1+len(subject):])
	return subject, key, true
}

const indexKeySize = 1 + 8 + len(sessionstore.Key{})

// indexKey is a prefix, a time in Unix milliseconds and a session's key, ordered by time.
type indexKey [indexKeySize]byte

func makeIndexKey(prefix byte, at int64, key sessionstore.Key) (k indexKey) {
	k[0] = prefix
	binary.BigEndian.PutUint64(k[1:9], orderedTime(at))
	copy(k[9:], key[:])
	return k
}

// indexBound is the first possible index key at a time.
func indexBound(prefix byte, at int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, orderedTime(at))
}

// orderedTime maps times to numbers of the same order; times before 1970 come first.
func orderedTime(at int64) uint64 { return uint64(at) ^ 1<<63 }

// splitIndexKey undoes makeIndexKey.
func splitIndexKey(k []byte) (at int64, key sessionstore.Key, ok bool) {
	if len(k) != indexKeySize {
		return 0, key, false
	}
	copy(key[:], k[9:])
	return int64(binary.BigEndian.Uint64(k[1:9]) ^ 1<<63), key, true
}
