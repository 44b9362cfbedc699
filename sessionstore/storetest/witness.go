package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// witness passes every call on and remembers what it saw, to tell at the end of a test whether all of it fits together.
type witness struct {
	sessionstore.Store
	log *testimony
}

// testimony is what the witnesses of one test saw, over all handles on the store.
type testimony struct {
	mu       sync.Mutex
	keys     map[sessionstore.Key]bool
	payloads map[occurrence][sha256.Size]byte
	broken   []string
}

// occurrence names one state of one session. A creation that happens to repeat a version, after GC took the remains of
// the session before, starts at another time.
type occurrence struct {
	key     sessionstore.Key
	created int64
	version uint64
}

func newTestimony() *testimony {
	return &testimony{keys: map[sessionstore.Key]bool{}, payloads: map[occurrence][sha256.Size]byte{}}
}

// saw records a read; the same version of the same session must always have the same payload.
func (w *testimony) saw(s sessionstore.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := occurrence{s.Key, s.Created.UnixMilli(), s.Version}
	sum := sha256.Sum256(s.Payload)
	if before, ok := w.payloads[at]; ok && before != sum {
		w.broken = append(w.broken, fmt.Sprintf("%v: version %d has had two payloads", s.Key, s.Version))
	}
	w.payloads[at] = sum
	if !s.Deadline.IsZero() && s.Expires.After(s.Deadline) {
		w.broken = append(w.broken, fmt.Sprintf("%v: expires after its deadline", s.Key))
	}
	if s.Version == 0 {
		w.broken = append(w.broken, fmt.Sprintf("%v: read at version 0", s.Key))
	}
}

// begins forgets what was seen under a key that another session moves to: it brings along its creation and its version,
// and both may be those of a session that was there before.
func (w *testimony) begins(key sessionstore.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at := range w.payloads {
		if at.key == key {
			delete(w.payloads, at)
		}
	}
}

func (w *testimony) used(keys ...sessionstore.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range keys {
		w.keys[k] = true
	}
}

func (w *witness) Read(ctx context.Context, key sessionstore.Key) (sessionstore.Session, error) {
	w.log.used(key)
	s, err := w.Store.Read(ctx, key)
	if err == nil {
		w.log.saw(s)
	}
	return s, err
}

func (w *witness) Write(ctx context.Context, key sessionstore.Key, x sessionstore.Write) (uint64, error) {
	w.log.used(key)
	return w.Store.Write(ctx, key, x)
}

func (w *witness) Touch(ctx context.Context, key sessionstore.Key, t sessionstore.Touch) error {
	w.log.used(key)
	return w.Store.Touch(ctx, key, t)
}

func (w *witness) Destroy(ctx context.Context, key sessionstore.Key, tombstone time.Duration) error {
	w.log.used(key)
	return w.Store.Destroy(ctx, key, tombstone)
}

func (w *witness) Regenerate(ctx context.Context, old, new sessionstore.Key, r sessionstore.Regenerate) (sessionstore.Session, error) {
	w.log.used(old, new)
	s, err := w.Store.Regenerate(ctx, old, new, r)
	if err == nil {
		w.log.begins(new)
		w.log.saw(s)
	}
	return s, err
}
