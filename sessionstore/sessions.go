package sessionstore

import (
	"context"
	"time"
)

// Sessions is an application's view of the sessions of one namespace. A [Service] gives one for any store, package
// client one for a remote sessiond. All methods may be called concurrently; errors are the package's variables.
//
// The order of a request is that of PHP: Open or Read, then Write, Touch or Destroy, then Close.
type Sessions interface {
	// Open begins a request's use of a session. An id that the store knows is read, and locked if o.Lock asks for it.
	// Any other, the empty one among them, is never adopted (strict mode): Opened.New is set, Opened.ID is a fresh id,
	// and nothing is stored until the first Write.
	//
	// Errors: [ErrInvalid] if id is neither empty nor well-formed; [ErrLocked] if the lease could not be had within
	// the wait, or too many wait already, unless o.OnLocked or the policy has Open go on without it.
	Open(ctx context.Context, id string, o OpenOptions) (Opened, error)

	// Read returns the session without locking it. Errors: [ErrInvalid], [ErrNotFound].
	Read(ctx context.Context, id string) (Session, error)

	// Write stores the payload and returns the session's new version. Errors as for [Store].Write.
	Write(ctx context.Context, id string, w WriteOptions) (version uint64, err error)

	// Touch moves the session's expiry. Errors as for [Store].Touch.
	Touch(ctx context.Context, id string, o TouchOptions) error

	// Destroy ends the session. It is idempotent. Errors: [ErrInvalid].
	Destroy(ctx context.Context, id string) error

	// Regenerate gives the session a new id and returns it. The old id stays good for the policy's grace time, unless
	// o.Drop ends it. A lease moves along to the new id. Errors as for [Store].Regenerate.
	Regenerate(ctx context.Context, id string, o RegenerateOptions) (newID string, s Session, err error)

	// Close releases the lease that Open took, unless the Write or Touch before it has; a token of 0 is fine and does
	// nothing. Errors: [ErrInvalid].
	Close(ctx context.Context, id string, token uint64) error

	// GC collects what has expired, in one bounded run, and returns how many records it removed. A sessiond collects by
	// itself, so no application needs to call it.
	GC(ctx context.Context) (removed int, err error)
}

// OpenOptions say how to open a session. The zero value asks for no lock.
type OpenOptions struct {
	// Lock takes the session's lease.
	Lock bool
	// LockTTL is when the lease ends by itself if Close does not end it; 0 means the policy's.
	LockTTL time.Duration
	// LockWait is how long to wait for someone else's lease; 0 means the policy's, a negative value not at all.
	LockWait time.Duration
	// OnLocked is what to do when the lease cannot be had in time; "" means the policy's.
	OnLocked OnLocked
}

// Opened is a session in use by one request.
type Opened struct {
	// ID is the session's id: the one asked for, or a fresh one if New is set.
	ID string
	// New tells that there is nothing in the store under ID yet. Session is zero then.
	New bool
	// Session is as [Store].Read gives it.
	Session Session
	// Lease is what Open took; its Token is 0 without a lock, as in a namespace whose policy gives none. Write,
	// Regenerate and Close want the token.
	Lease Lease
	// ReadOnly tells that the lease could not be had in time and that the session is there to be read only.
	ReadOnly bool
}

// WriteOptions are [Write] with the time-outs left to the policy.
type WriteOptions struct {
	Payload   []byte
	IfVersion uint64        // the version that was read, 0 for a new session, or [AnyVersion]
	Token     uint64        // of the lease that Open took, or 0
	Release   bool          // ends the lease in Token in the same step: Close comes after it for nothing
	Idle      time.Duration // idle time-out for this session; 0 means the policy's
	// Subject is whose session it is from now on: whatever the application calls its user by, 1 to MaxSubjectLength
	// bytes. "" leaves that as it is. Only a hash of it is stored, and nobody but an operator can ask for it: to end
	// all sessions of one user.
	Subject string
}

// RegenerateOptions say how a session gets its new id.
type RegenerateOptions struct {
	// Drop ends the old id at once, without a grace time. It is what a login wants: whoever planted or knows the old id
	// must not come along into the rights that the session gets.
	Drop bool
	// Token is of the lease that Open took, or 0.
	Token uint64
}

// TouchOptions are [Touch] with the time-outs left to the policy.
type TouchOptions struct {
	Create  bool
	Idle    time.Duration // 0 means the policy's
	Release uint64        // token of the lease that Open took, which ends in the same step; or 0
}
