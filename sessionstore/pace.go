package sessionstore

import "time"

// Bounds of the pace of collection.
const (
	minBatch, firstBatch, maxBatch = 32, 128, 1024

	// A batch is what one operation of a user may have to wait for.
	batchLong  = 20 * time.Millisecond // from here on batches get smaller
	batchShort = 5 * time.Millisecond  // below, larger

	// The pause after a batch, in times the batch took: collection has a half of a store that nobody else wants, and a
	// seventeenth of one whose users suffer. When the oldest record has been due for gcLate, it takes a fifth
	// whatever users feel: a store that fills up serves them worse.
	minPause, firstPause, maxPause = 1, 4, 16
	latePause                      = 4

	// Users suffer when the slowest of their operations take this many times what they take without collection.
	suffer = 1.2

	// enough operations to tell how long the slowest in a hundred take.
	enough = 300
)

// pace is how fast collection goes: how many records make a batch, and how long the pause after it is.
type pace struct {
	batch int
	pause float64 // in times that the batch took
	late  bool    // it must get on
}

func newPace(late bool) *pace { return &pace{batch: firstBatch, pause: firstPause, late: late} }

// mood is what users' operations tell of collection.
type mood int

const (
	unknown   mood = iota // too few of them as yet
	calm                  // they take no longer than without it, or there are none
	suffering             // they do
)

// next takes in how long a batch took and what users felt of it, and returns the pause to make now.
func (p *pace) next(took time.Duration, users mood) time.Duration {
	switch {
	case took > batchLong:
		p.batch = max(minBatch, p.batch/2)
	case took < batchShort:
		p.batch = min(maxBatch, p.batch+p.batch/4)
	}
	switch users {
	case suffering:
		p.pause = min(maxPause, 2*p.pause)
	case calm:
		p.pause = max(minPause, 0.8*p.pause)
	}
	pause := p.pause
	if p.late {
		pause = min(pause, latePause)
	}
	return time.Duration(pause * float64(took))
}

// feeling compares users' operations during a run of collection with those outside of one. What it judges it forgets.
func feeling(during, usual *latencies, since time.Duration) mood {
	now, n := during.percentile(0.99)
	before, m := usual.percentile(0.99)
	switch {
	case n >= enough && m >= enough:
		during.clear()
		if float64(now) > suffer*float64(before) {
			return suffering
		}
		return calm
	case since > time.Second && n < enough/10:
		return calm // nobody there to suffer
	}
	return unknown
}
