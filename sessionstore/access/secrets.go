package access

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lvsession/lvsession/sessionstore"
)

// MaxSecret is the longest secret, in bytes.
const MaxSecret = 256

// Secrets are what clients of each namespace show. A namespace can have several, so that a new one can be handed out
// before an old one ends. The zero value has none: everything is open then. Once there is any, a namespace without one is
// open to nobody.
//
// A Secrets is not changed after it was given to a server. It keeps hashes only.
type Secrets struct {
	list []secret
}

type secret struct {
	namespace string
	hash      [sha256.Size]byte
}

// Add adds a secret of a namespace. The error never repeats the secret.
func (s *Secrets) Add(namespace, text string) error {
	if err := sessionstore.CheckNamespace(namespace); err != nil {
		return fmt.Errorf("secret of namespace %.64q: %w", namespace, err)
	}
	if len(text) == 0 || len(text) > MaxSecret {
		return fmt.Errorf("secret of namespace %s: it has %d bytes, want 1 to %d", namespace, len(text), MaxSecret)
	}
	s.list = append(s.list, secret{namespace, sha256.Sum256([]byte(text))})
	return nil
}

// AddPair adds a secret given as NAMESPACE=SECRET.
func (s *Secrets) AddPair(pair string) error {
	namespace, text, ok := strings.Cut(pair, "=")
	if !ok {
		return errors.New("a secret is given as NAMESPACE=SECRET")
	}
	return s.Add(strings.TrimSpace(namespace), strings.TrimSpace(text))
}

// Read adds the secrets of a file: lines of NAMESPACE = SECRET; # begins a comment line. Errors name the line.
func (s *Secrets) Read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.AddPair(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// Open tells that there are no secrets at all.
func (s *Secrets) Open() bool { return s == nil || len(s.list) == 0 }

// Guards tells whether the namespace has a secret.
func (s *Secrets) Guards(namespace string) bool {
	if s == nil {
		return false
	}
	for i := range s.list {
		if s.list[i].namespace == namespace {
			return true
		}
	}
	return false
}

// Allows reports whether a client that shows this secret may use the namespace. It takes the same time whatever is
// wrong with the secret.
func (s *Secrets) Allows(namespace string, shown []byte) bool {
	if s.Open() {
		return true
	}
	hash, found := sha256.Sum256(shown), 0
	for i := range s.list {
		if s.list[i].namespace == namespace {
			found |= subtle.ConstantTimeCompare(hash[:], s.list[i].hash[:])
		}
	}
	return found == 1
}

// Of returns the namespace that a secret is for: the first one added, if it is for several.
func (s *Secrets) Of(shown []byte) (namespace string, ok bool) {
	if s.Open() {
		return "", false
	}
	hash, found := sha256.Sum256(shown), -1
	for i := len(s.list) - 1; i >= 0; i-- {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], s.list[i].hash[:]), i, found)
	}
	if found < 0 {
		return "", false
	}
	return s.list[found].namespace, true
}
