package embedded

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

var errClosed = errors.New("the store is closed")

// How long to wait before trying again makes sense.
const (
	retrySoon = time.Second
	retryRoom = 5 * time.Second // a disk does not empty itself at once
)

// answers are the errors that a caller gets as they are.
var answers = []error{
	sessionstore.ErrNotFound, sessionstore.ErrConflict, sessionstore.ErrLocked, sessionstore.ErrDestroyed,
	sessionstore.ErrTooLarge, sessionstore.ErrInvalid, sessionstore.ErrUnavailable,
	context.Canceled, context.DeadlineExceeded,
}

// unavailable makes an error of the engine an [sessionstore.UnavailableError]; any error of the contract stays as it is.
func (s *Store) unavailable(op string, err error) error {
	if err == nil {
		return nil
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return err
		}
	}
	retry := retrySoon
	if errors.Is(err, syscall.ENOSPC) {
		retry = retryRoom
	}
	return &sessionstore.UnavailableError{Op: op, RetryAfter: retry, Cause: err}
}

// fail notes that the engine has failed for good and returns what every operation gets from now on.
func (s *Store) fail(cause error) error {
	err := s.unavailable("commit", cause)
	if s.failure.CompareAndSwap(nil, &err) {
		s.log.Error("session store failed, restart to recover", "dir", s.dir, "error", cause)
	}
	return *s.failure.Load()
}

// broken returns the error of an engine that has failed, or nil.
func (s *Store) broken() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}
