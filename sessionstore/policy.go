package sessionstore

import (
	"errors"
	"fmt"
	"time"
)

// Policy is what a [Service] decides for its sessions.
type Policy struct {
	// Idle is how long a session lives without being written or touched. PHP calls it session.gc_maxlifetime.
	Idle time.Duration
	// Absolute is how long a session lives at most; 0 means for ever.
	Absolute time.Duration
	// TouchCoarse is how much earlier than Idle says a session may end, so that a touch soon after another need not be
	// written: of the touches of a busy visitor one in every TouchCoarse reaches the store's disk. 0, the default, is
	// exact; a minute suits an idle time-out of half an hour. No touch is coarser than by half of its idle time-out.
	TouchCoarse time.Duration
	// Grace is how long the old id of a regenerated session stays good, for requests that are on their way; 0: not at all.
	Grace time.Duration
	// Tombstone is how long a destroyed session cannot be written again. It must outlast the longest request.
	Tombstone time.Duration
	// LockTTL is when a lease ends by itself. It must outlast the longest request that locks.
	LockTTL time.Duration
	// LockWait is how long a request waits for a lease.
	LockWait time.Duration
	// MaxWaiters is how many requests may wait for one session's lease in one process; more are refused at once.
	MaxWaiters int
	// MaxPayload is the largest payload, in bytes.
	MaxPayload int
	// Compress is from what size on a payload is stored compressed, if that makes it smaller, in bytes; 0, the default,
	// compresses none. What is stored already can be read whatever Compress is now.
	Compress int
	// Locking is who may write a session when; "" means LockingClient.
	Locking Locking
	// OnLocked is what becomes of an open whose lease could not be had in time; "" means OnLockedFail.
	OnLocked OnLocked
}

// Locking is a namespace's rule about leases and versions.
type Locking string

// Rules of Locking.
const (
	// LockingClient leaves it to each request whether it takes the lease and whether it names a version.
	LockingClient Locking = "client"
	// LockingLease has every open take the lease, asked or not. A write without one is refused with [ErrConflict],
	// except the first write of a new session, and any write where OnLockedGoOn lets an open go on without its lease.
	LockingLease Locking = "lease"
	// LockingOptimistic gives no leases, and refuses a write that names no version with [ErrInvalid].
	LockingOptimistic Locking = "optimistic"
	// LockingNone gives no leases: the last writer wins, unless it names a version.
	LockingNone Locking = "none"
)

// OnLocked is what becomes of an open whose lease could not be had in time.
type OnLocked string

// Values of OnLocked.
const (
	// OnLockedFail ends it with [ErrLocked].
	OnLockedFail OnLocked = "fail"
	// OnLockedReadOnly opens the session without its lease, for reading: [Opened].ReadOnly is set.
	OnLockedReadOnly OnLocked = "read-only"
	// OnLockedGoOn opens the session without its lease, to be written all the same.
	OnLockedGoOn OnLocked = "go-on"
)

// Check reports whether there is such a rule. The error wraps [ErrInvalid].
func (l Locking) Check() error {
	switch l {
	case "", LockingClient, LockingLease, LockingOptimistic, LockingNone:
		return nil
	}
	return fmt.Errorf("%w: locking %.20q: there are client, lease, optimistic and none", ErrInvalid, string(l))
}

// Check reports whether there is such a value. The error wraps [ErrInvalid].
func (o OnLocked) Check() error {
	switch o {
	case "", OnLockedFail, OnLockedReadOnly, OnLockedGoOn:
		return nil
	}
	return fmt.Errorf("%w: on-locked %.20q: there are fail, read-only and go-on", ErrInvalid, string(o))
}

// NamespacePolicy is the policy of one namespace, where it differs from the others'.
type NamespacePolicy struct {
	Namespace string
	Policy    Policy
}

// DefaultPolicy returns what suits a PHP or Go site that has said nothing else.
func DefaultPolicy() Policy {
	return Policy{
		Idle:       24 * time.Minute, // PHP's default
		Grace:      30 * time.Second,
		Tombstone:  10 * time.Minute,
		LockTTL:    30 * time.Second,
		LockWait:   40 * time.Second, // longer than a lease: a crashed holder costs a wait, not an error
		MaxWaiters: 128,
		MaxPayload: MaxPayload,
		Locking:    LockingClient,
		OnLocked:   OnLockedFail,
	}
}

// Check reports the first setting that makes no sense. The error wraps [ErrInvalid] and names it.
func (p Policy) Check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		zero  bool
	}{
		{"idle time-out", p.Idle, false}, {"absolute time-out", p.Absolute, true}, {"touch coarseness", p.TouchCoarse, true}, {"grace time", p.Grace, true},
		{"tombstone time", p.Tombstone, false}, {"lock ttl", p.LockTTL, false}, {"lock wait", p.LockWait, true},
	} {
		if d.zero && d.value == 0 {
			continue
		}
		if err := CheckDuration(d.name, d.value); err != nil {
			return err
		}
	}
	if p.Absolute != 0 && p.Absolute < p.Idle {
		return fmt.Errorf("%w: the absolute time-out %v is shorter than the idle time-out %v", ErrInvalid, p.Absolute, p.Idle)
	}
	if p.TouchCoarse > p.Idle/2 {
		return fmt.Errorf("%w: the touch coarseness %v is over half of the idle time-out %v", ErrInvalid, p.TouchCoarse, p.Idle)
	}
	if p.MaxWaiters < 0 {
		return fmt.Errorf("%w: max waiters %d is negative", ErrInvalid, p.MaxWaiters)
	}
	if err := errors.Join(p.Locking.Check(), p.OnLocked.Check()); err != nil {
		return err
	}
	if p.Compress < 0 || p.Compress > MaxPayload {
		return fmt.Errorf("%w: compress from %d bytes on is not within 0 and %d", ErrInvalid, p.Compress, MaxPayload)
	}
	if p.MaxPayload < 1 || p.MaxPayload > MaxPayload {
		return fmt.Errorf("%w: max payload %d is not within 1 and %d bytes", ErrInvalid, p.MaxPayload, MaxPayload)
	}
	return nil
}
