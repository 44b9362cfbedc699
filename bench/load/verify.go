package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

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
	// Corrupt: the payload is not the one that the visit before stored.
	Corrupt Kind = "corrupt"
	// LostUpdate: of several requests of one user at once, one undid what another had done.
	LostUpdate Kind = "lost_update"
	// Resurrected: a destroyed session came back.
	Resurrected Kind = "resurrected"
	// Fixated: a login left the session under the id that it had before.
	Fixated Kind = "fixated"
)

// Kinds are all kinds of violation.
var Kinds = []Kind{Lost, Over, Logout, Foreign, Corrupt, LostUpdate, Resurrected, Fixated}

// HistoryLength is how many of a user's last events a [Violation] shows.
const HistoryLength = 50

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
	// Amount is how many visits are missing (Lost, LostUpdate, Logout) or too many (Over); 0 for all others.
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
//
// A read must show the count of the last visit, a login another id, and no answer a session that was destroyed. What an
// answer tells of the payload must fit the count: [Payload] has the rule.
type Verifier struct {
	user   string
	dead   string // the name of the session before, if it was destroyed
	known  bool   // an answer was acknowledged: id and count are valid
	id     string
	count  int64
	size   int   // of the payload that the last acknowledged visit stored, -1 if that is not known
	fresh  int64 // requests of unknown outcome since the last answer of the user's session
	stale  int64 // earlier ones that the count has not shown yet
	landed int64 // those that it has shown
	late   int64 // those of them that were stale by then
	ring   []Event
	events int // ever put into ring

	sessions int // that had an acknowledged answer
}

// NewVerifier returns the verifier of a user with this name who has no session yet.
func NewVerifier(user string) *Verifier { return &Verifier{user: user, size: -1} }

// renew makes the verifier that of the user's next session, which has another name. dead is the name of the one before, if it was
// destroyed.
func (v *Verifier) renew(user, dead string) {
	v.user, v.dead = user, dead
	v.known, v.id, v.count, v.size = false, "", 0, -1
	v.fresh, v.stale = 0, 0
}

// Fail notes a visit without an acknowledged answer. mayCount tells that it may have been counted in the user's
// session: false if it never left, or if the user has no session.
func (v *Verifier) Fail(at Millis, class Class, mayCount bool) { v.fail(at, Visit, class, mayCount) }

// fail notes a request without an acknowledged answer; mayAct tells that it may have been carried out.
func (v *Verifier) fail(at Millis, action Action, class Class, mayAct bool) {
	v.note(Event{At: at, Class: class, Action: shown(action)})
	if mayAct && action.counts() {
		v.fresh++
		v.size = -1
	}
}

// shown is the action as an [Event] has it.
func shown(a Action) string {
	if a == Visit {
		return ""
	}
	return string(a)
}

// Ack checks an acknowledged answer to a visit. It returns nil if all is well.
func (v *Verifier) Ack(at Millis, a Answer) *Violation {
	return v.check(outcome{at, request{Visit, -1}, a}, Lost)
}

// outcome is an acknowledged answer and what it answers.
type outcome struct {
	at Millis
	request
	Answer
}

// burst checks the acknowledged answers of requests that were made at once, after those that failed. They may have been
// carried out in any order; their counts tell which.
func (v *Verifier) burst(answers []outcome) (found []*Violation) {
	slices.SortStableFunc(answers, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.Count, b.Count), -strings.Compare(string(a.action), string(b.action))) // a visit before what reads it
	})
	for _, a := range answers {
		if w := v.check(a, LostUpdate); w != nil {
			found = append(found, w)
		}
	}
	return found
}

// check checks an answer. lost is the kind of a count that is too low.
func (v *Verifier) check(a outcome, lost Kind) *Violation {
	v.share(&a.Answer)
	v.note(Event{At: a.at, Server: a.Server, ID: a.ID, Count: a.Count, User: a.User, Action: shown(a.action)})
	adds := int64(0)
	if a.action.counts() {
		adds = 1
	}
	switch {
	case a.User != v.user && a.User == v.dead:
		v.user, v.dead = v.dead, ""
		v.adopt(a)
		return v.violation(Resurrected, 0, "the session of %q is back after it was destroyed, with count %d", a.User, a.Count)
	case a.User != v.user:
		v.fresh += adds // this visit may have been counted in either session
		v.size = -1
		return v.violation(Foreign, 0, "got the session of user %q", a.User)
	case v.known && (a.ID != v.id && a.action != LogIn || a.Count == adds):
		return v.loggedOut(a)
	}
	kept := v.known && a.ID == v.id
	if w := v.checkCount(a, adds, lost); w != nil {
		return w
	}
	if kept && a.action == LogIn {
		return v.violation(Fixated, 0, "the login left the session under its id %s", a.ID)
	}
	return nil
}

// share makes the answer share the strings that the verifier has already.
func (v *Verifier) share(a *Answer) {
	if a.ID == v.id {
		a.ID = v.id
	}
	if a.User == v.user {
		a.User = v.user
	}
}

// loggedOut goes on with the session that the user was given instead of its own.
func (v *Verifier) loggedOut(a outcome) *Violation {
	id, count := v.id, v.count
	v.adopt(a)
	v.known = a.Count > 0
	if a.ID != id {
		v.fresh, v.stale = 0, 0 // whatever still lands, lands in the old session
	}
	if a.ID != id {
		return v.violation(Logout, count, "session %s with count %d became session %s with count %d", id, count, a.ID, a.Count)
	}
	return v.violation(Logout, count, "session %s was emptied: count %d after %d", a.ID, a.Count, count)
}

// checkCount checks the count of an answer from the user's own session, to which the request adds that much, and the payload
// if the count is right.
func (v *Verifier) checkCount(a outcome, adds int64, lost Kind) *Violation {
	before, size := v.count, v.size
	low := before + adds
	high := low + v.fresh + v.stale
	v.land(a.Count - low)
	v.adopt(a)
	switch {
	case a.Count < low:
		return v.violation(lost, low-a.Count, "count %d after %d, expected %s", a.Count, before, span(low, high))
	case a.Count > high:
		return v.violation(Over, a.Count-high, "count %d after %d, expected %s", a.Count, before, span(low, high))
	case a.Hash == "":
		return nil
	case low != high || before == 0:
		size = -1 // nobody knows which visit wrote last
	}
	return v.checkPayload(a, a.Count-adds, size)
}

// checkPayload checks what the request read, which the visit with this count wrote in this size; -1 if that is not known.
func (v *Verifier) checkPayload(a outcome, count int64, size int) *Violation {
	if count == 0 {
		size = 0
	}
	switch {
	case size >= 0 && a.Size != size:
		return v.violation(Corrupt, 0, "the payload has %d bytes, and the visit with count %d wrote %d", a.Size, count, size)
	case a.Hash != payloadHash(v.user, count, a.Size):
		return v.violation(Corrupt, 0, "the payload of %d bytes is not what the visit with count %d wrote", a.Size, count)
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

func (v *Verifier) adopt(a outcome) {
	if !v.known {
		v.sessions++
	}
	v.known, v.id, v.count = true, a.ID, a.Count
	switch {
	case a.action.counts():
		v.size = a.size
	case a.Hash != "":
		v.size = a.Size
	}
}

// Known tells whether any answer of the user's own session was acknowledged.
func (v *Verifier) Known() bool { return v.known }

// Landed returns how many requests of unknown outcome turned out to have been counted, and how many of these showed
// only after a later answer that did not have them yet: either the real server was so late, or a visit was counted twice
// and the unknown request hides it.
func (v *Verifier) Landed() (all, late int64) { return v.landed, v.late }

func (v *Verifier) note(e Event) {
	if len(v.ring) < HistoryLength {
		v.ring = append(v.ring, e)
	} else {
		v.ring[v.events%HistoryLength] = e
	}
	v.events++
}

func (v *Verifier) history() []Event {
	h := make([]Event, 0, len(v.ring))
	for i := v.events - len(v.ring); i < v.events; i++ {
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
