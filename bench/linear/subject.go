package linear

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// When a session is replaced by a fresh one.
const (
	maxOperations    = 200
	maxUnknown       = 8  // each one doubles, at worst, what the checker has to try
	afterDestruction = 25 // operations that look for a resurrection
	maxRegenerations = 4  // well below sessionstore.MaxAliasHops, also when their outcomes are unknown
)

// mode says what else is done to a session.
type mode int

const (
	strict       mode = iota // nobody waits for its lease
	waited                   // requests wait for its lease
	regenerating             // it gets new ids
	modes
)

// subject is one session that is operated on, and what the workers know about it together: enough to ask for the
// version that is there, or was a moment ago.
type subject struct {
	name string
	mode mode

	mu            sync.Mutex
	ids           []string // the first one is the oldest
	version       uint64   // the latest that anybody saw
	token         uint64   // of the latest lease
	operations    int
	unknown       int
	regenerations int
	destroyed     bool
}

// lockWait is how long a lock waits for the lease.
func (s *subject) lockWait() time.Duration {
	if s.mode == waited {
		return 100 * time.Millisecond
	}
	return -1
}

// id returns one of the session's ids.
func (s *subject) id(r *rand.Rand) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[r.IntN(len(s.ids))]
}

// known returns the latest version and token.
func (s *subject) known() (version, token uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version, s.token
}

// regenerate reports whether the session may be regenerated once more, and counts it.
func (s *subject) regenerate() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode != regenerating || s.regenerations == maxRegenerations {
		return false
	}
	s.regenerations++
	return true
}

// learn takes in what an operation came to.
func (s *subject) learn(o Operation, got Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case got.Class == Unknown:
		s.unknown++
	case got.Class != OK:
	case o.Kind == Destroy && !s.destroyed:
		s.destroyed = true
		s.operations = max(s.operations, maxOperations-afterDestruction)
	case o.Kind == Lock:
		s.token = got.Token
	}
	s.version = max(s.version, got.Version)
}

// named adds an id.
func (s *subject) named(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, id)
}

// use counts an operation, and reports false once there were enough of them.
func (s *subject) use() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operations++
	return s.operations <= maxOperations && s.unknown < maxUnknown
}

// stage is the sessions of a run: a few at a time.
type stage struct {
	mu   sync.Mutex
	now  []*subject
	past []*subject
}

func newStage(size int) *stage {
	g := &stage{now: make([]*subject, size)}
	for i := range g.now {
		g.now[i] = g.fresh(i)
	}
	return g
}

func (g *stage) fresh(slot int) *subject {
	return &subject{
		name: fmt.Sprintf("session %d.%d", slot, len(g.past)),
		mode: mode(slot % int(modes)),
		ids:  []string{sessionstore.NewID()},
	}
}

// pick returns one of the present sessions for one operation.
func (g *stage) pick(r *rand.Rand) *subject {
	g.mu.Lock()
	defer g.mu.Unlock()
	slot := r.IntN(len(g.now))
	if !g.now[slot].use() {
		g.past = append(g.past, g.now[slot])
		g.now[slot] = g.fresh(slot)
	}
	return g.now[slot]
}

// all returns every session that there was.
func (g *stage) all() []*subject {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Concat(g.past, g.now)
}
