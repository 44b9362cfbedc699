package sessionstore

import (
	"errors"
	"fmt"
	"time"
)

// Check reports whether a store can take the write at all: [ErrTooLarge] for its payload, [ErrInvalid] for a time-out or
// namespace out of range, or the release of no lease. Every store calls it first.
func (w Write) Check() error {
	if len(w.Payload) > MaxPayload {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(w.Payload), MaxPayload)
	}
	if w.Release && w.Token == 0 {
		return fmt.Errorf("%w: a write without a token has no lease to release", ErrInvalid)
	}
	return errors.Join(checkTimeouts(w.Idle, w.Absolute), checkNamespace(w.Namespace))
}

// Check reports whether a store can take the touch at all: [ErrInvalid] for a time-out or namespace out of range.
func (t Touch) Check() error {
	if err := errors.Join(checkTimeouts(t.Idle, t.Absolute), checkNamespace(t.Namespace)); err != nil {
		return err
	}
	if t.Coarse < 0 || t.Coarse > t.Idle/2 {
		return fmt.Errorf("%w: a touch coarse by %v is not within 0 and half of the idle time-out %v", ErrInvalid, t.Coarse, t.Idle)
	}
	return nil
}

// Within reports whether a session that expires at one instant need not be touched, because that is the wanted instant
// or no more than Coarse before it. Both are Unix milliseconds.
func (t Touch) Within(expires, wanted int64) bool {
	return expires <= wanted && expires >= wanted-t.Coarse.Milliseconds()
}

// Check reports whether a store can take the lock at all: [ErrInvalid] for a TTL out of range.
func (l Lock) Check() error { return CheckDuration("lease", l.TTL) }

// Check reports whether a store can take the pass at all: [ErrInvalid] for one of no lease, or of two changes, and what
// Check says of its change and of the next lock.
func (p Pass) Check() error {
	switch {
	case p.Token == 0:
		return fmt.Errorf("%w: a pass without a token", ErrInvalid)
	case p.Write != nil && p.Touch != nil:
		return fmt.Errorf("%w: a pass that writes and touches", ErrInvalid)
	}
	switch w, t := p.Change(); {
	case w != nil:
		return errors.Join(w.Check(), p.Next.Check())
	case t != nil:
		return errors.Join(t.Check(), p.Next.Check())
	}
	return p.Next.Check()
}

// Check reports whether a store can take the session as an import at all: [ErrTooLarge] for its payload, [ErrInvalid]
// for what no session can be. The time-outs are a store's to compare with its clock.
func (s Session) Check() error {
	switch {
	case len(s.Payload) > MaxPayload:
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(s.Payload), MaxPayload)
	case s.Key == Key{}:
		return fmt.Errorf("%w: a session without a key", ErrInvalid)
	case s.Version == 0 || s.Version >= AnyVersion-1:
		return fmt.Errorf("%w: version %d", ErrInvalid, s.Version)
	case !storable(s.Created) || !storable(s.Expires) || !s.Deadline.IsZero() && !storable(s.Deadline):
		return fmt.Errorf("%w: a time that is not within 1970 and 9999", ErrInvalid)
	case !s.Deadline.IsZero() && s.Deadline.UnixMilli() < s.Expires.UnixMilli():
		return fmt.Errorf("%w: a session that outlives its deadline", ErrInvalid)
	}
	return checkNamespace(s.Namespace)
}

// storable tells whether every store can hold a time.
func storable(t time.Time) bool { return t.UnixMilli() > 0 && t.Year() <= 9999 }

// checkNamespace is CheckNamespace for where a namespace may be left out.
func checkNamespace(name string) error {
	if name == "" {
		return nil
	}
	return CheckNamespace(name)
}

// Check reports whether a store can take the regeneration at all: [ErrInvalid] for a time out of range.
func (r Regenerate) Check() error {
	if r.Grace < 0 || r.Grace > MaxDuration {
		return fmt.Errorf("%w: grace time %v is not within 0 and %v", ErrInvalid, r.Grace, MaxDuration)
	}
	return CheckDuration("tombstone time", r.Tombstone)
}

// CheckDuration reports whether d is within 1 ms and [MaxDuration], the range of idle time-outs, tombstones and leases.
// The error wraps [ErrInvalid] and calls d by the given name.
func CheckDuration(name string, d time.Duration) error {
	if d < time.Millisecond || d > MaxDuration {
		return fmt.Errorf("%w: %s %v is not within 1ms and %v", ErrInvalid, name, d, MaxDuration)
	}
	return nil
}

func checkTimeouts(idle, absolute time.Duration) error {
	if absolute != 0 {
		if err := CheckDuration("absolute time-out", absolute); err != nil {
			return err
		}
	}
	return CheckDuration("idle time-out", idle)
}
