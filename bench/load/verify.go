package load

import "fmt"

// Kind is a promise that was broken.
type Kind string

// The kinds of violation.
const (
	// Lost: the count is lower than the acknowledged visits require. A stale answer shows as lost and, once the count
	// is right again, as over.
	Lost Kind = "lost"
	// Over: the count is higher than the visits made can explain; a visit was counted twice.
	Over Kind = "over"
	// Logout: an acknowledged session is gone; the user was given an empty or a different one.
	Logout Kind = "logout"
	// Foreign: the user was given a session that holds another user's name.
	Foreign Kind = "foreign"
)

// HistoryLength is how many of a user's last events a [Violation] shows.
const HistoryLength = 10

// Event is the outcome of one request, in a user's history: an answer, or an error.
type Event struct {
	At     Millis `json:"at_ms"` // since the start of the run
	Server string `json:"server,omitempty"`
	ID     string `json:"id,omitempty"`
	Count  int64  `json:"count,omitempty"`
	User   string `json:"user,omitempty"`
	Class  Class  `json:"error,omitempty"`  // empty for an answer
	Action string `json:"action,omitempty"` // what the request asked for; empty for a visit
}

// Violation is one broken promise.
type Violation struct {
	Kind Kind   `json:"kind"`
	User string `json:"user"`
	At   Millis `json:"at_ms"` // since the start of the run
	// Amount is how many visits are missing (Lost, Logout) or too many (Over); 0 for Foreign.
	Amount int64  `json:"amount"`
	Detail string `json:"detail"` // for people
	// History is the user's events, the offending answer last. Earlier tells how many before them are not kept.
	History []Event `json:"history"`
	Earlier int     `json:"history_earlier,omitempty"`
}

// Verifier checks the answers that one user gets, in the order of the requests. It does no I/O and knows no time.
// It is not safe for concurrent use, and a user has one request in flight at a time.
//
// Each acknowledged answer must raise the count by exactly one, within the same session and under the user's own name.
// A request without an acknowledged answer may have been counted or not, and the real server may even get to it after
// the user's next request; so from then on each such request may show in the count, once, at any later answer. A count
// below that range is Lost, one above it is Over. After a violation the verifier goes on from what the answer said, so
// that one fault is reported once.
//
// As long as no answer was acknowledged the session may change, since nobody promised yet to keep it.
type Verifier struct {
	user   string
	known  bool // an answer was acknowledged: id and count are valid
	id     string
	count  int64
	fresh  int64 // requests of unknown outcome since the last answer of the user's session
	stale  int64 // earlier ones that the count has not shown yet
	landed int64 // those that it has shown
	late   int64 // those of them that were stale by then
	ring   [HistoryLength]Event
	events int // ever put into ring
}

// NewVerifier returns the verifier of a user with this name who has no session yet.
func NewVerifier(user string) *Verifier { return &Verifier{user: user} }

// Fail notes a request without an acknowledged answer. mayCount tells that it may have been counted in the user's
// session: false if it never left, or if the user has no session.
func (v *Verifier) Fail(at Millis, class Class, mayCount bool) {
	v.note(Event{At: at, Class: class})
	if mayCount {
		v.fresh++
	}
}

// Ack checks an acknowledged answer. It returns nil if all is well.
func (v *Verifier) Ack(at Millis, a Answer) *Violation {
	v.note(Event{At: at, Server: a.Server, ID: a.ID, Count: a.Count, User: a.User})
	switch {
	case a.User != v.user:
		// This visit may have been counted in either session.
		v.fresh++
		return v.violation(Foreign, 0, "got the session of user %q", a.User)
	case v.known && a.ID != v.id:
		id, count := v.id, v.count
		v.adopt(a)
		v.fresh, v.stale = 0, 0 // whatever still lands, lands in the old session
		return v.violation(Logout, count, "session %s with count %d became session %s with count %d", id, count, a.ID, a.Count)
	case v.known && a.Count == 1:
		count := v.count
		v.adopt(a)
		return v.violation(Logout, count, "session %s was emptied: count 1 after %d", a.ID, count)
	}
	return v.checkCount(a)
}

// checkCount checks the count of an answer from the user's own session.
func (v *Verifier) checkCount(a Answer) *Violation {
	low := v.count + 1
	high := low + v.fresh + v.stale
	v.land(a.Count - low)
	v.adopt(a)
	switch {
	case a.Count < low:
		return v.violation(Lost, low-a.Count, "count %d after %d, expected %s", a.Count, low-1, span(low, high))
	case a.Count > high:
		return v.violation(Over, a.Count-high, "count %d after %d, expected %s", a.Count, low-1, span(low, high))
	}
	return nil
}

// land takes n visits too many, as far as possible, for requests of unknown outcome that were counted after all: first
// those since the last answer, then earlier ones. The rest of them may still land.
func (v *Verifier) land(n int64) {
	fresh := min(max(n, 0), v.fresh)
	stale := min(max(n, 0)-fresh, v.stale)
	v.landed += fresh + stale
	v.late += stale
	v.stale += v.fresh - fresh - stale
	v.fresh = 0
}

func (v *Verifier) adopt(a Answer) { v.known, v.id, v.count = true, a.ID, a.Count }

// Known tells whether any answer of the user's own session was acknowledged.
func (v *Verifier) Known() bool { return v.known }

// Landed returns how many requests of unknown outcome turned out to have been counted, and how many of these showed
// only after a later answer that did not have them yet: either the real server was so late, or a visit was counted twice
// and the unknown request hides it.
func (v *Verifier) Landed() (all, late int64) { return v.landed, v.late }

func (v *Verifier) note(e Event) {
	v.ring[v.events%HistoryLength] = e
	v.events++
}

func (v *Verifier) history() []Event {
	n := min(v.events, HistoryLength)
	h := make([]Event, 0, n)
	for i := v.events - n; i < v.events; i++ {
		h = append(h, v.ring[i%HistoryLength])
	}
	return h
}

func (v *Verifier) violation(k Kind, amount int64, format string, args ...any) *Violation {
	h := v.history()
	return &Violation{
		Kind: k, User: v.user, At: h[len(h)-1].At, Amount: amount,
		Detail: fmt.Sprintf(format, args...), History: h, Earlier: v.events - len(h),
	}
}

func span(low, high int64) string {
	if low == high {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}
