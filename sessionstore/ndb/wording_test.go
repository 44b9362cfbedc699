package ndb

import (
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// A statement must have as many arguments as it has marks, for every number of rows, and name each row.
func TestWording(t *testing.T) {
	for n := 1; n <= maxBatch; n++ {
		var list []change
		for i := range n {
			key := sessionstore.NewKey("x", strings.Repeat("k", 22)+string(rune('a'+i)))
			w := &sessionstore.Write{Payload: []byte{byte(i)}}
			if i%3 == 0 {
				w.Subject = sessionstore.NewSubject("x", "alice")
			}
			list = append(list, change{key: key, write: w, base: uint64(i)})
		}
		w := word(list)
		text := w.ids() + w.arg(1) + each(w, false, func(c change) int64 { return 1 }) + each(w, true, func(c change) int64 { return int64(c.base) }) +
			w.expiry(true, func(c change) int64 { return int64(c.base) }) + w.cases("ver = ?", func(c change) any { return c.base }, uint64(0)) + w.tokens() + w.ofSubjects()
		if marks := strings.Count(text, "?"); marks != len(w.args) || strings.Count(text, "(") != strings.Count(text, ")") {
			t.Errorf("%d rows: %d arguments for %d marks", n, len(w.args), marks)
		}
		if w.rows < n || w.rows > 2*n {
			t.Errorf("%d rows are worded for %d", n, w.rows)
		}
		for i, c := range list {
			if got, ok := w.args[i].([]byte); !ok || sessionstore.Key(got) != c.key {
				t.Errorf("%d rows: row %d is not named", n, i)
			}
		}
	}
}

func TestLargestBatch(t *testing.T) {
	if last := sizes[len(sizes)-1]; last != maxBatch {
		t.Errorf("statements are worded for %d rows, batches have %d", last, maxBatch)
	}
}

func TestDiffer(t *testing.T) {
	idle := func(c change) time.Duration { return c.tombstone }
	for want, list := range map[bool][]change{
		false: {{tombstone: 1}, {tombstone: 1}, {tombstone: 1}},
		true:  {{tombstone: 1}, {tombstone: 1}, {tombstone: 2}},
	} {
		if got := differ(list, idle); got != want {
			t.Errorf("differ: %v, want %v", got, want)
		}
	}
}
