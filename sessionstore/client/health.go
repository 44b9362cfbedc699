package client

import (
	"sync"
	"time"
)

// condition is what a client knows of an endpoint.
type condition int

const (
	good condition = iota
	poor           // it answered 503: avoided while there are better ones
	away           // it did not answer: tried by one request at a time
)

// health is an endpoint's condition, as far as the last answers tell.
type health struct {
	avoid time.Duration // after one failure

	mu    sync.Mutex
	state condition
	until time.Time // when to try again
	fails int       // in a row
	trial bool      // a request is trying whether it is back
}

// maxDoublings bounds how long an endpoint is avoided, to 16 times the first time.
const maxDoublings = 4

// admit reports whether a request may go to the endpoint that settles for the given condition. Of requests for an
// endpoint that is away only one is admitted until its outcome is reported.
func (h *health) admit(now time.Time, least condition) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	state := h.state
	if state != good && !now.Before(h.until) && !h.trial {
		state = good // due for a trial
	}
	if state > least || (h.state == away && h.trial) {
		return false
	}
	if h.state != good {
		h.trial = true
	}
	return true
}

// well reports that the endpoint answered.
func (h *health) well() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.fails, h.trial = good, 0, false
}

// ill reports that the endpoint failed, and into which condition that puts it.
func (h *health) ill(now time.Time, state condition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.trial = state, false
	h.until = now.Add(h.avoid << min(h.fails, maxDoublings))
	h.fails++
}

// spare reports that nothing was learnt.
func (h *health) spare() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trial = false
}

// wait returns how long it is until the endpoint is due.
func (h *health) wait(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == good {
		return 0
	}
	return max(0, h.until.Sub(now))
}
