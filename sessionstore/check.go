package sessionstore

import (
	"fmt"
	"time"
)

// Check reports whether a store can take the write at all: [ErrTooLarge] for its payload, [ErrInvalid] for a time-out
// out of range. Every store calls it first.
func (w Write) Check() error {
	if len(w.Payload) > MaxPayload {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(w.Payload), MaxPayload)
	}
	return checkTimeouts(w.Idle, w.Absolute)
}

// Check reports whether a store can take the touch at all: [ErrInvalid] for a time-out out of range.
func (t Touch) Check() error { return checkTimeouts(t.Idle, t.Absolute) }

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
