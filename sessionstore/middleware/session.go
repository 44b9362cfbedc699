package middleware

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

// ErrCommitted is the error of a change to a session that has been stored already, because the answer has begun.
var ErrCommitted = errors.New("session is stored already: the answer has begun")

// Session is one request's session: named values, each encoded as JSON on its own, or as PHP does it if [Options].Format
// says so, or bytes of the application's own making. Its methods may be called concurrently.
type Session struct {
	mu        sync.Mutex
	id        string
	isNew     bool
	format    phpsession.Format // of the values; "" for JSON
	loaded    []byte            // the payload as it was
	payload   []byte            // as it is now, unless values is set
	values    values            // once a value was asked for
	destroyed bool
	fresh     bool // wants a new id
	committed bool
}

// ID returns the session's id. It is a secret: whoever knows it has the session. That of a new session becomes good, and
// that of a regenerated one changes, when the answer begins.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// IsNew reports whether the session did not exist before this request.
func (s *Session) IsNew() bool { return s.isNew }

// Get decodes the value of that name into the variable that into points to. It reports whether there is one; if not,
// the variable stays as it is. It fails if the value is not of the variable's type, or the payload is not of values.
func (s *Session) Get(name string, into any) (found bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.decode(); err != nil {
		return false, err
	}
	found, err = s.values.get(name, into)
	if err != nil {
		return found, fmt.Errorf("decode session value %q: %w", name, err)
	}
	return found, nil
}

// Set encodes a value under the name. If that fails, or the payload is not of values, the session stays as it is.
func (s *Session) Set(name string, value any) error {
	return s.change(func() error {
		if err := s.decode(); err != nil {
			return err
		}
		if err := s.values.set(name, value); err != nil {
			return fmt.Errorf("encode session value %q: %w", name, err)
		}
		return nil
	})
}

// Delete removes the value of that name, if there is one.
func (s *Session) Delete(name string) error {
	return s.change(func() error {
		if err := s.decode(); err != nil {
			return err
		}
		s.values.delete(name)
		return nil
	})
}

// Names returns the names of all values, sorted.
func (s *Session) Names() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.decode(); err != nil {
		return nil, err
	}
	return s.values.names(), nil
}

// PHP calls f with the values of a session in a PHP format, to be read and changed in every way that package phpsession
// offers: nested, in order, with objects. The array is f's until it returns. The error is f's, or [ErrCommitted], or says
// that the payload or [Options].Format is not PHP's.
func (s *Session) PHP(f func(values *phpsession.Array) error) error {
	return s.change(func() error {
		if err := s.decode(); err != nil {
			return err
		}
		php, ok := s.values.(*phpValues)
		if !ok {
			return fmt.Errorf("%w: the sessions are not in a format of PHP's", phpsession.ErrUnsupported)
		}
		php.changed = true
		return f(php.array)
	})
}

// Bytes returns the payload as it stands, nil if it cannot be encoded: the answer fails then. The caller owns it.
func (s *Session) Bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	payload, err := s.encode()
	if err != nil {
		return nil
	}
	return bytes.Clone(payload)
}

// SetBytes replaces the payload, and with it all values.
func (s *Session) SetBytes(payload []byte) error {
	return s.change(func() error {
		s.payload, s.values = bytes.Clone(payload), nil
		return nil
	})
}

// Destroy has the session destroyed and its cookie deleted when the answer begins.
func (s *Session) Destroy() error {
	return s.change(func() error {
		s.destroyed = true
		return nil
	})
}

// Regenerate gives the session a new id when the answer begins, and destroys the old one. Call it when a visitor logs
// in or gains rights in another way: whoever planted or knows the old id then has nothing. The old id is dead at once,
// without the grace time of [sessionstore.Sessions].Regenerate, for it would lead to the rights as well.
func (s *Session) Regenerate() error {
	return s.change(func() error {
		s.fresh = true
		return nil
	})
}

func (s *Session) change(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		return ErrCommitted
	}
	return f()
}

// decode makes values of the payload.
func (s *Session) decode() error {
	if s.values != nil {
		return nil
	}
	v, err := decodeValues(s.format, s.payload)
	if err != nil {
		return err
	}
	s.values = v
	return nil
}

// encode makes a payload of the values.
func (s *Session) encode() ([]byte, error) {
	if s.values == nil {
		return s.payload, nil
	}
	payload, err := s.values.encode()
	if err != nil {
		return nil, fmt.Errorf("encode session: %w", err)
	}
	return payload, nil
}
