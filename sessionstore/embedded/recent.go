package embedded

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"github.com/lvsession/lvsession/sessionstore"
)

// recent holds the sessions that were changed or read last, so that most reads and changes ask the engine nothing at all.
// It is a table of a fixed size in which each key has a few places that it shares with others; the last ones to come stay.
// Payloads have a bound of their own.
//
// While a change is on its way into the engine its key is not in here: forget takes it out, remember puts it in again. So
// whoever finds it in the engine and whoever finds it here agree. A reader may fill a place with what it has read from the
// engine only if nothing was forgotten since it looked.
type recent struct {
	shards [recentShards]recentShard // of every so manieth row
	slots  []recentSlot              // row by row
	rows   uint64
}

const (
	recentShards = 256
	recentRow    = 4 // places of a key
)

type recentShard struct {
	mu      sync.Mutex
	changes uint32 // how often a key was forgotten
	pending uint32 // keys that are forgotten and not remembered yet
	hand    int    // the row whose payloads go next when there is no room for another one
	next    int    // the place of a full row that is taken next
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
	t := &recent{rows: uint64(max(1, records/int64(recentRow*unsafe.Sizeof(recentSlot{}))))}
	t.slots = make([]recentSlot, recentRow*t.rows)
	for i := range t.shards {
		t.shards[i].hand = i
		t.shards[i].room = int(payloads / recentShards)
		t.shards[i].most = t.shards[i].room / 4
	}
	return t
}

// slot returns where the key is, nil if it is nowhere, and its row, locked. Keys are hashes, so any part of them will do.
func (t *recent) slot(key *sessionstore.Key) (slot *recentSlot, row []recentSlot, shard *recentShard) {
	i := binary.BigEndian.Uint64(key[:]) % t.rows
	shard = &t.shards[i%recentShards]
	shard.mu.Lock()
	row = t.slots[recentRow*i : recentRow*(i+1)]
	for i := range row {
		if row[i].record.kind != nothing && row[i].key == *key {
			return &row[i], row, shard
		}
	}
	return nil, row, shard
}

// glance is what a reader saw of a key's place.
type glance struct {
	changes uint32
	quiet   bool // nothing was on its way into the engine
}

// get reads the record of a key into r, and returns its payload, if they are here. The payload must not be changed.
func (t *recent) get(key *sessionstore.Key, r *record) (payload []byte, ok bool, g glance) {
	slot, _, shard := t.slot(key)
	defer shard.mu.Unlock()
	g = glance{shard.changes, shard.pending == 0}
	if slot == nil {
		return nil, false, g
	}
	*r = slot.record
	return slot.payload, true, g
}

func (t *recent) has(key *sessionstore.Key) bool {
	slot, _, shard := t.slot(key)
	defer shard.mu.Unlock()
	return slot != nil
}

// fill notes what a reader found in the engine after that glance.
func (t *recent) fill(key *sessionstore.Key, r *record, payload []byte, g glance) {
	slot, row, shard := t.slot(key)
	defer shard.mu.Unlock()
	if g.quiet && shard.changes == g.changes && r.kind != nothing {
		t.put(slot, row, shard, recentSlot{*key, *r, payload})
	}
}

// forget takes a key out, for as long as a change of it is on its way, and returns the payload that was here.
func (t *recent) forget(key *sessionstore.Key) (payload []byte) {
	slot, _, shard := t.slot(key)
	defer shard.mu.Unlock()
	shard.changes++
	shard.pending++
	if slot != nil {
		payload = slot.payload
		shard.empty(slot)
		*slot = recentSlot{}
	}
	return payload
}

// remember notes the record of a key that was forgotten, and its payload or nil; the zero record, that there is none any
// more.
func (t *recent) remember(key *sessionstore.Key, r *record, payload []byte) {
	slot, row, shard := t.slot(key)
	defer shard.mu.Unlock()
	shard.pending--
	if r.kind != nothing {
		t.put(slot, row, shard, recentSlot{*key, *r, payload})
	}
}

// put puts an entry into the slot of its key, or into a row that has none.
func (t *recent) put(slot *recentSlot, row []recentSlot, shard *recentShard, entry recentSlot) {
	for i := range row {
		if slot == nil && row[i].record.kind == nothing {
			slot = &row[i]
		}
	}
	if slot == nil {
		shard.next++
		slot = &row[shard.next%recentRow]
	}
	shard.empty(slot)
	payload := entry.payload
	entry.payload = nil
	*slot = entry
	if cap(payload) == 0 || cap(payload) > shard.most {
		return
	}
	for n := uint64(0); shard.room < cap(payload) && n <= t.rows/recentShards; n++ {
		if shard.hand += recentShards; shard.hand >= int(t.rows) {
			shard.hand %= recentShards // the first one of the shard
		}
		for i := range recentRow {
			shard.empty(&t.slots[recentRow*shard.hand+i])
		}
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
