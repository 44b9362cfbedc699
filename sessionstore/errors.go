package sessionstore

import (
	"errors"
	"fmt"
	"time"
)

// Every error of a [Store] or of [Sessions] wraps exactly one of these, or is the error of a cancelled context.
// Transports map each to their own idiom.
var (
	// ErrNotFound: there is no such session: never written, expired, or collected.
	ErrNotFound = errors.New("session not found")
	// ErrConflict: the session is not at the version that the write expected, or the lease it was made under is no
	// longer the caller's. Nothing was changed.
	ErrConflict = errors.New("session changed meanwhile")
	// ErrLocked: someone else holds the session's lease. A [LockedError] tells until when.
	ErrLocked = errors.New("session is locked")
	// ErrDestroyed: the session was destroyed a short while ago, and a write would resurrect it.
	ErrDestroyed = errors.New("session was destroyed")
	// ErrTooLarge: the payload is over the limit.
	ErrTooLarge = errors.New("session payload is too large")
	// ErrInvalid: the request makes no sense whatever the store holds: a malformed id, a negative time-out.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable: the store cannot answer now. An [UnavailableError] tells when to try again. Whether a write took
	// effect is unknown, unless the error says so.
	ErrUnavailable = errors.New("session store is unavailable")
)

// LockedError is an [ErrLocked] that knows when the present lease ends.
type LockedError struct {
	Until time.Time
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%v until %s", ErrLocked, e.Until.UTC().Format("15:04:05.000"))
}

// Unwrap makes the error an [ErrLocked].
func (e *LockedError) Unwrap() error { return ErrLocked }

// UnavailableError is an [ErrUnavailable] with its cause.
type UnavailableError struct {
	// Op is what was being done, for people: "read", "apply schema".
	Op string
	// RetryAfter is how long to wait before trying again makes sense; 0 means that the caller may choose.
	RetryAfter time.Duration
	// Cause is the error of the engine or of the network.
	Cause error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s: %v: %v", e.Op, ErrUnavailable, e.Cause)
}

// Unwrap makes the error an [ErrUnavailable] and leaves its cause in reach of [errors.Is].
func (e *UnavailableError) Unwrap() []error { return []error{ErrUnavailable, e.Cause} }
