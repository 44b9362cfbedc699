package sessionstore

import (
	"context"
	"fmt"
	"time"
)

// Bounds of a page of [Walker].
const (
	MaxPage      = 1000    // sessions
	MaxPageBytes = 4 << 20 // payloads, but for a single larger one
)

// Walker is a [Store] that can show all its live sessions, page by page. Every store of this module is one.
type Walker interface {
	// Walk returns the next page. A session that lives from the first page to the last and keeps its key is shown at
	// least once; one that is touched, created or regenerated meanwhile may be shown twice, or not at all if its key
	// is new. What is shown is each session as of some instant during the call. Aliases, tombstones and leases are not
	// shown.
	//
	// A page can be short, even empty, and not the last: that is one whose Next is "". A call takes a bounded time
	// whatever the filter.
	//
	// Errors: [ErrInvalid] for a Limit out of range or a cursor that is none of this store's.
	Walk(ctx context.Context, w Walk) (Page, error)
}

// Walk says which page to return.
type Walk struct {
	// After is the Next of the page before; "" for the first page.
	After Cursor
	// Limit is how many sessions the page has at most, 1 to MaxPage.
	Limit int
	// Namespace, if not "", leaves only the sessions created in it.
	Namespace string
	// Subject, if not zero, leaves only the sessions of one user. It is looked up in an index.
	Subject Key
	// Payload asks for the payloads too. Without it they are nil.
	Payload bool
}

// Page is a part of a store's live sessions.
type Page struct {
	Sessions []Session
	Next     Cursor // "" if this was the last page
}

// Cursor is a place in a walk. Its form is the store's own.
type Cursor string

// Check reports whether there can be such a page: [ErrInvalid] for a limit out of range.
func (w Walk) Check() error {
	if w.Limit < 1 || w.Limit > MaxPage {
		return fmt.Errorf("%w: a page has 1 to %d sessions, not %d", ErrInvalid, MaxPage, w.Limit)
	}
	return nil
}

// Shows reports whether a session passes the filters of the walk.
func (w Walk) Shows(namespace string, subject Key) bool {
	return (w.Namespace == "" || w.Namespace == namespace) && (w.Subject == Key{} || w.Subject == subject)
}

// SubjectStore is a [Store] that can end all sessions of one user. Every store of this module is one.
type SubjectStore interface {
	// DestroySubject destroys, in bounded steps, every live session that has the subject, as [Store].Destroy does, and
	// returns how many. It is no single instant: a session that becomes the subject's meanwhile may survive. Calling it
	// again finishes what an error interrupted.
	//
	// Errors: [ErrInvalid] for a zero subject or a tombstone time out of range.
	DestroySubject(ctx context.Context, subject Key, tombstone time.Duration) (n int, err error)
}

// CheckSubject reports whether a subject can be looked for: [ErrInvalid] if it is zero.
func CheckSubject(subject Key) error {
	if subject == (Key{}) {
		return fmt.Errorf("%w: no subject", ErrInvalid)
	}
	return nil
}

// Importer is a [Store] that takes sessions as another store had them. Every store of this module is one.
type Importer interface {
	// Import stores a session exactly as it is, under exactly its key: payload, version, times, namespace, subject. The
	// lease of the key, if any, stays.
	//
	// Errors: [ErrConflict] if there is a session under the key, unless replace is set and s.Version is higher than that
	// session's; also if the remains of an expired one there have s.Version or a higher one, so that a version never
	// means two payloads, and if there is an alias. [ErrDestroyed] if there is a tombstone. [ErrNotFound] if s has
	// expired. [ErrTooLarge]; [ErrInvalid] for what no session can be.
	Import(ctx context.Context, s Session, replace bool) error
}
