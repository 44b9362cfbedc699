package sessionstore

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"
)

// latencies counts how long operations took, in microseconds, in buckets an eighth of an octave wide, so that a
// percentile is exact to an eighth. Any number of goroutines may note at once.
type latencies struct{ buckets [8 * 40]atomic.Uint32 }

// bucketOf returns the bucket of a duration.
func bucketOf(d time.Duration) int {
	us := uint64(max(1, d.Microseconds()))
	octave := bits.Len64(us) - 1
	return min(8*octave+int(us<<3>>octave&7), 8*40-1)
}

// boundOf returns the shortest duration of a bucket.
func boundOf(bucket int) time.Duration {
	return time.Duration(uint64(8+bucket%8)<<(bucket/8)>>3) * time.Microsecond
}

func (l *latencies) note(d time.Duration) { l.buckets[bucketOf(d)].Add(1) }

// percentile returns the duration that a part of the operations took at most, and how many there were.
func (l *latencies) percentile(part float64) (d time.Duration, n int) {
	for i := range l.buckets {
		n += int(l.buckets[i].Load())
	}
	rest := float64(n) * (1 - part) // operations that may have taken longer
	for i := len(l.buckets) - 1; i >= 0; i-- {
		if rest -= float64(l.buckets[i].Load()); rest < 0 {
			return boundOf(i), n
		}
	}
	return 0, n
}

// fade makes what was counted count a share of one over by.
func (l *latencies) fade(by uint32) {
	for i := range l.buckets {
		l.buckets[i].Store(l.buckets[i].Load() / by) // what comes in between is not worth a lock
	}
}

func (l *latencies) clear() {
	for i := range l.buckets {
		l.buckets[i].Store(0)
	}
}

// timed is a store that notes how long users' operations take, so that collection can see what it does to them.
type timed struct {
	Store
	usual      latencies    // while nothing is collected here
	during     latencies    // during the present run of collection, since they were judged last
	collecting atomic.Int32 // runs of collection
}

func (t *timed) since(began time.Time) {
	if t.collecting.Load() > 0 {
		t.during.note(time.Since(began))
		return
	}
	t.usual.note(time.Since(began))
}

// begin notes that a run of collection begins, end that it is over.
func (t *timed) begin() {
	t.during.clear()
	t.collecting.Add(1)
}

func (t *timed) end() {
	t.usual.fade(2) // what was usual an hour ago need not be so now
	t.collecting.Add(-1)
}

// Read implements [Store].
func (t *timed) Read(ctx context.Context, key Key) (Session, error) {
	defer t.since(time.Now())
	return t.Store.Read(ctx, key)
}

// Write implements [Store].
func (t *timed) Write(ctx context.Context, key Key, w Write) (uint64, error) {
	defer t.since(time.Now())
	return t.Store.Write(ctx, key, w)
}

// Touch implements [Store].
func (t *timed) Touch(ctx context.Context, key Key, o Touch) error {
	defer t.since(time.Now())
	return t.Store.Touch(ctx, key, o)
}

// Destroy implements [Store].
func (t *timed) Destroy(ctx context.Context, key Key, tombstone time.Duration) error {
	defer t.since(time.Now())
	return t.Store.Destroy(ctx, key, tombstone)
}

// Regenerate implements [Store].
func (t *timed) Regenerate(ctx context.Context, old, new Key, r Regenerate) (Session, error) {
	defer t.since(time.Now())
	return t.Store.Regenerate(ctx, old, new, r)
}

// passes tells whether the store is a [Passer].
func (t *timed) passes() bool { _, ok := t.Store.(Passer); return ok }

// pass is [Passer].Pass of the store, which must be one.
func (t *timed) pass(ctx context.Context, key Key, p Pass) (Passed, error) {
	if p.Write != nil || p.Touch != nil {
		defer t.since(time.Now())
	}
	return t.Store.(Passer).Pass(ctx, key, p)
}
