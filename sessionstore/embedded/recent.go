package embedded

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"github.com/lvsession/lvsession/sessionstore"
)

// recent holds the sessions that were changed or read last, so that most reads and changes ask the engine nothing at all.
// It is a table of a fixed size in which each key has one place; the last one to come stays. Payloads have a bound of their
// own.
//
// While a change is on its way into the engine its key is not in here: forget takes it out, remember puts it in again. So
// whoever finds it in the engine and whoever finds it here agree. A reader may fill a place with what it has read from the
// engine only if nothing was forgotten since it looked.
type recent struct {
	shards [recentShards]recentShard // of every so manieth slot
	slots  []recentSlot
}

const recentShards = 256

type recentShard struct {
	mu      sync.Mutex
	changes uint32 // how often a key was forgotten
	pending uint32 // keys that are forgotten and not remembered yet
	hand    int    // of the slots that lose their payload when there is no room for another one
	room    int    // bytes for payloads
	most    int    // bytes of the largest payload that is kept
}

type recentSlot struct {
	key     sessionstore.Key
	record  record // the zero record if the slot is empty
	payload []byte // with its stamp; nil if it is not here. Never changed: readers copy from it without a lock
}

// newRecent returns a table of about so many bytes for records, and as many as are given for payloads.
func newRecent(records, payloads int64) *recent {
	t := &recent{slots: make([]recentSlot, max(1, records/int64(unsafe.Sizeof(recentSlot{}))))}
	for i := range t.shards {
		t.shards[i].hand = i
		t.shards[i].room = int(payloads / recentShards)
		t.shards[i].most = t.shards[i].room / 4
	}
	return t
}

// slot returns the key's place, locked. Keys are hashes, so any part of them will do.
func (t *recent) slot(key *sessionstore.Key) (*recentSlot, *recentShard) {
	i := binary.BigEndian.Uint64(key[:]) % uint64(len(t.slots))
	shard := &t.shards[i%recentShards]
	shard.mu.Lock()
	return &t.slots[i], shard
}

// glance is what a reader saw of a key's place.
type glance struct {
	changes uint32
	quiet   bool // nothing was on its way into the engine
}

// get reads the record of a key into r, and returns its payload, if they are here. The payload must not be changed.
func (t *recent) get(key *sessionstore.Key, r *record) (payload []byte, ok bool, g glance) {
	slot, shard := t.slot(key)
	defer shard.mu.Unlock()
	g = glance{shard.changes, shard.pending == 0}
	if slot.record.kind == nothing || slot.key != *key {
		return nil, false, g
	}
	*r = slot.record
	return slot.payload, true, g
}

func (t *recent) has(key *sessionstore.Key) bool {
	slot, shard := t.slot(key)
	defer shard.mu.Unlock()
	return slot.record.kind != nothing && slot.key == *key
}

// fill notes what a reader found in the engine after that glance.
func (t *recent) fill(key *sessionstore.Key, r *record, payload []byte, g glance) {
	slot, shard := t.slot(key)
	defer shard.mu.Unlock()
	if g.quiet && shard.changes == g.changes && r.kind != nothing {
		t.put(slot, shard, key, r, payload)
	}
}

// forget takes a key out, for as long as a change of it is on its way, and returns the payload that was here.
func (t *recent) forget(key *sessionstore.Key) (payload []byte) {
	slot, shard := t.slot(key)
	defer shard.mu.Unlock()
	shard.changes++
	shard.pending++
	if slot.key == *key {
		payload = slot.payload
		shard.empty(slot)
		*slot = recentSlot{}
	}
	return payload
}

// remember notes the record of a key that was forgotten, and its payload or nil; the zero record, that there is none any
// more.
func (t *recent) remember(key *sessionstore.Key, r *record, payload []byte) {
	slot, shard := t.slot(key)
	defer shard.mu.Unlock()
	shard.pending--
	if r.kind != nothing {
		t.put(slot, shard, key, r, payload)
	}
}

func (t *recent) put(slot *recentSlot, shard *recentShard, key *sessionstore.Key, r *record, payload []byte) {
	shard.empty(slot)
	slot.key, slot.record = *key, *r
	if cap(payload) == 0 || cap(payload) > shard.most {
		return
	}
	for n := 0; shard.room < cap(payload) && n <= len(t.slots)/recentShards; n++ {
		if shard.hand += recentShards; shard.hand >= len(t.slots) {
			shard.hand %= recentShards // the first one of the shard
		}
		shard.empty(&t.slots[shard.hand])
	}
	if shard.room >= cap(payload) {
		slot.payload = payload
		shard.room -= cap(payload)
	}
}

// empty drops a slot's payload.
func (s *recentShard) empty(slot *recentSlot) {
	s.room += cap(slot.payload)
	slot.payload = nil
}
