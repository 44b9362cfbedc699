package sessionstore

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPaceFollowsUsers: it slows down while they suffer, speeds up when they do not, and stays within its bounds.
func TestPaceFollowsUsers(t *testing.T) {
	const took = 10 * time.Millisecond
	p := newPace(false)
	for range 20 {
		p.next(took, suffering)
	}
	if got := p.next(took, unknown); got != maxPause*took {
		t.Errorf("a pause of %v while users suffer, want %v", got, maxPause*took)
	}
	for range 60 {
		p.next(took, calm)
	}
	if got := p.next(took, unknown); got != minPause*took {
		t.Errorf("a pause of %v while nobody minds, want %v", got, minPause*took)
	}
	late := newPace(true)
	for range 20 {
		if got := late.next(took, suffering); got > latePause*took {
			t.Errorf("a pause of %v when it must get on", got)
		}
	}
}

func TestPaceFollowsItsBatches(t *testing.T) {
	p := newPace(false)
	for range 20 {
		p.next(batchShort/2, unknown)
	}
	if p.batch != maxBatch {
		t.Errorf("short batches lead to %d records", p.batch)
	}
	for range 20 {
		p.next(2*batchLong, unknown)
	}
	if p.batch != minBatch {
		t.Errorf("long batches lead to %d records", p.batch)
	}
}

func TestFeeling(t *testing.T) {
	noted := func(n int, d time.Duration) *latencies {
		l := &latencies{}
		for range n {
			l.note(d)
		}
		return l
	}
	usual := noted(enough, time.Millisecond)
	for _, c := range []struct {
		name   string
		during *latencies
		usual  *latencies
		since  time.Duration
		want   mood
	}{
		{"as usual", noted(enough, time.Millisecond), usual, 0, calm},
		{"slower", noted(enough, 2*time.Millisecond), usual, 0, suffering},
		{"faster", noted(enough, time.Millisecond/2), usual, 0, calm},
		{"too few", noted(enough-1, 2*time.Millisecond), usual, time.Minute, unknown},
		{"nobody", &latencies{}, usual, time.Minute, calm},
		{"nobody yet", &latencies{}, usual, 0, unknown},
		{"nothing to compare with", noted(enough, time.Second), &latencies{}, time.Minute, unknown},
	} {
		if got := feeling(c.during, c.usual, c.since); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if _, n := c.during.percentile(0.99); c.name == "slower" && n != 0 {
			t.Errorf("%s: %d operations are judged twice", c.name, n)
		}
	}
}

// TestLatencies: a percentile is exact to an eighth, whatever the latency, and buckets are in order.
func TestLatencies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slow := time.Duration(rapid.Int64Range(1, int64(time.Hour/time.Microsecond)).Draw(t, "us")) * time.Microsecond
		l := &latencies{}
		for range 98 {
			l.note(min(slow, time.Microsecond))
		}
		l.note(slow)
		l.note(slow)
		if got, n := l.percentile(0.99); n != 100 || got > slow || float64(got) < float64(slow)*8/9-1000 {
			t.Fatalf("of %d, the slowest hundredth takes %v, want %v", n, got, slow)
		}
		if got, _ := l.percentile(0.5); got > time.Microsecond {
			t.Fatalf("half of them take %v", got)
		}
		l.fade(2)
		if _, n := l.percentile(0.5); n != 50 {
			t.Fatalf("%d are left of 100 after fading by half", n)
		}
	})
}
