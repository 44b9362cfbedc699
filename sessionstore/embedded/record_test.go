package embedded

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
)

func anyKey(t *rapid.T) (key sessionstore.Key) {
	copy(key[:], rapid.SliceOfN(rapid.Byte(), len(key), len(key)).Draw(t, "key"))
	key[0] |= 1 // not the zero key, which names nothing
	return key
}

// anyRecord draws a record as the store could have written it.
func anyRecord(t *rapid.T) record {
	at := rapid.Int64Range(1, 1<<50)
	r := record{
		kind:    rapid.SampledFrom([]kind{live, alias, tombstone}).Draw(t, "kind"),
		version: rapid.Uint64Range(1, math.MaxUint64).Draw(t, "version"),
		purge:   at.Draw(t, "purge"),
	}
	r.indexed = rapid.Int64Range(1, r.purge).Draw(t, "indexed")
	switch r.kind {
	case live:
		r.created, r.expires = at.Draw(t, "created"), r.purge
		r.size = rapid.Uint32Range(0, sessionstore.MaxPayload).Draw(t, "size")
		r.encoding = rapid.SampledFrom([]sessionstore.Encoding{sessionstore.Plain, sessionstore.Zstd}).Draw(t, "encoding")
		r.namespace = rapid.StringMatching("[a-z0-9][a-z0-9_.-]{0,63}|").Draw(t, "namespace")
		if rapid.Bool().Draw(t, "has a subject") {
			r.subject = anyKey(t)
		}
		if rapid.Bool().Draw(t, "absolute") {
			r.deadline = r.expires + at.Draw(t, "rest")
		}
	case alias:
		r.expires, r.target = at.Draw(t, "expires"), anyKey(t)
	}
	return r
}

func TestRecordCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyRecord(t)
		b := want.append(nil)
		var got record
		if err := got.decode(b); err != nil || got != want {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
		if err := got.decode(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatalf("%+v: a part of it decodes, to %+v", want, got)
		}
		if err := got.decode(append(b, 0)); err == nil {
			t.Fatalf("%+v: more than it decodes, to %+v", want, got)
		}
	})
}

func TestLeaseCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		until := rapid.Int64Range(0, 1<<50).Draw(t, "until")
		want := lease{token: rapid.Uint64Range(1, math.MaxUint64).Draw(t, "token"), owner: rapid.Uint64().Draw(t, "owner"), until: until}
		want.indexed = rapid.Int64Range(0, until).Draw(t, "indexed")
		var got lease
		if err := got.decode(want.append(nil)); err != nil || got != want {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
	})
}

// TestIndexOrder: entries are ordered by time, whatever the key, and a bound lies before all entries of its time.
func TestIndexOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		if a > b {
			a, b = b, a
		}
		ka, kb := anyKey(t), anyKey(t)
		ea, eb := makeIndexKey(sessionIndexPrefix, a, ka), makeIndexKey(sessionIndexPrefix, b, kb)
		if a < b && bytes.Compare(ea[:], eb[:]) >= 0 {
			t.Fatalf("the entry at %d is not before that at %d", a, b)
		}
		if bytes.Compare(indexBound(sessionIndexPrefix, a), ea[:]) >= 0 {
			t.Fatalf("the bound at %d is not before the entry", a)
		}
		if at, key, ok := splitIndexKey(ea[:]); !ok || at != a || key != ka {
			t.Fatalf("%d, %v came back as %d, %v, %v", a, ka, at, key, ok)
		}
	})
}

// TestStamp: a record owns only the payload that was stamped for it.
func TestStamp(t *testing.T) {
	r := record{kind: live, version: 3, created: 1000, size: 5}
	payload := newPayload([]byte("hello"))
	r.stamp(payload)
	if !r.owns(payload) || string(trim(payload)) != "hello" {
		t.Fatalf("%q", payload)
	}
	for name, other := range map[string]record{
		"version":  {kind: live, version: 4, created: 1000, size: 5},
		"creation": {kind: live, version: 3, created: 1001, size: 5},
		"size":     {kind: live, version: 3, created: 1000, size: 4},
	} {
		if other.owns(payload) {
			t.Errorf("a record of another %s owns the payload", name)
		}
	}
}

// FuzzRecord: whatever decodes is a record that encodes to the same bytes.
func FuzzRecord(f *testing.F) {
	r := record{kind: alias, version: 1, expires: 5, purge: 9, indexed: 9, target: testKey(1)}
	f.Add(r.append(nil))
	r = record{kind: live, version: 1, expires: 9, purge: 9, indexed: 9, namespace: "shop", subject: testKey(2), encoding: 1}
	f.Add(r.append(nil))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1}, recordSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		if r.decode(b) == nil && !bytes.Equal(r.append(nil), b) {
			t.Errorf("%x decodes to %+v, which encodes to %x", b, r, r.append(nil))
		}
		var l lease
		if l.decode(b) == nil && !bytes.Equal(l.append(nil), b) {
			t.Errorf("%x decodes to %+v, which encodes to %x", b, l, l.append(nil))
		}
	})
}

// TestRecent: what the table holds is what was remembered last, also if readers fill it with what they have read before,
// and payloads keep to their bound.
func TestRecent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const room = 100
		table := newRecent(int64(rapid.IntRange(0, 2000).Draw(t, "bytes")), recentShards*room)
		model := map[sessionstore.Key]record{} // what is in the engine
		type seen struct {
			key    sessionstore.Key
			record record
			glance glance
		}
		var readers []seen
		payload := func(r record) []byte { return bytes.Repeat([]byte{byte(r.version)}, int(r.version%(room/2))) }
		for i := range 100 {
			key := testKey(rapid.IntRange(0, 20).Draw(t, "key"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0: // a change
				r := record{kind: live, version: uint64(i)}
				if rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
					r = record{}
				}
				table.forget(&key)
				if rapid.Bool().Draw(t, "read meanwhile") {
					var got record
					_, ok, g := table.get(&key, &got)
					if ok {
						t.Fatal("found while its change is on its way")
					}
					readers = append(readers, seen{key, model[key], g})
				}
				model[key] = r
				table.remember(&key, &r, payload(r))
			case 1: // a reader looks, and finds nothing, so it reads from the engine
				var got record
				if _, ok, g := table.get(&key, &got); !ok {
					readers = append(readers, seen{key, model[key], g})
				}
			case 2: // a reader is done with that
				if len(readers) > 0 {
					r := readers[0]
					readers = readers[1:]
					table.fill(&r.key, &r.record, payload(r.record), r.glance)
				}
			}
			for key, want := range model {
				var got record
				bytesOf, ok, _ := table.get(&key, &got)
				if ok && (got != want || bytesOf != nil && !bytes.Equal(bytesOf, payload(want))) {
					t.Fatalf("%v: got %+v, last put %+v", key, got, want)
				}
			}
			for i := range table.shards {
				if table.shards[i].room < 0 {
					t.Fatal("more payloads than there is room for")
				}
			}
		}
	})
}
