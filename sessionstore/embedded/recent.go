package embedded

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"github.com/lvsession/lvsession/sessionstore"
)

// recent holds the records that were changed last, as they are on disk, so that most reads look up only the payload and
// most changes nothing at all. It is a table of a fixed size in which each key has one place; the last one to come
// stays.
//
// Only the committer puts records in, after they are on disk and before anyone else may have seen them. So whatever is
// found here is on disk, and is the latest that is.
type recent struct {
	locks [256]sync.Mutex // of every 256th slot
	slots []recentSlot
}

type recentSlot struct {
	key    sessionstore.Key
	record record // the zero record if the slot is empty
}

// newRecent returns a table of about so many bytes.
func newRecent(bytes int64) *recent {
	return &recent{slots: make([]recentSlot, max(1, bytes/int64(unsafe.Sizeof(recentSlot{}))))}
}

// slot returns the key's place, locked. Keys are hashes, so any part of them will do.
func (t *recent) slot(key sessionstore.Key) (*recentSlot, *sync.Mutex) {
	i := binary.BigEndian.Uint64(key[:]) % uint64(len(t.slots))
	mu := &t.locks[i%uint64(len(t.locks))]
	mu.Lock()
	return &t.slots[i], mu
}

// get returns the record of a key if it is here.
func (t *recent) get(key sessionstore.Key) (r record, ok bool) {
	slot, mu := t.slot(key)
	defer mu.Unlock()
	if slot.record.kind == nothing || slot.key != key {
		return record{}, false
	}
	return slot.record, true
}

// put notes the record of a key; the zero record, that there is none any more.
func (t *recent) put(key sessionstore.Key, r record) {
	slot, mu := t.slot(key)
	defer mu.Unlock()
	if r.kind != nothing || slot.key == key {
		*slot = recentSlot{key, r}
	}
}
