package gorilla

import (
	"runtime"
	"sync"
	"weak"

	"github.com/gorilla/sessions"
)

// origin is what the store knows of a session that a handler has: where it was loaded from, or why it was not.
type origin struct {
	id      string // under which it was loaded or last saved
	version uint64
	unread  string // id of a stored session whose values could not be decoded
	failure error  // the store could not be reached: what is there must not be overwritten
}

// attached keeps something with every session for as long as the session lives. A [sessions.Session] has no field for it,
// and everything that it does have belongs to the handler.
type attached[T any] struct {
	mu sync.Mutex
	to map[weak.Pointer[sessions.Session]]T
}

func (a *attached[T]) get(s *sessions.Session) T {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.to[weak.Make(s)]
}

func (a *attached[T]) set(s *sessions.Session, what T) {
	key := weak.Make(s)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.to == nil {
		a.to = map[weak.Pointer[sessions.Session]]T{}
	}
	if _, known := a.to[key]; !known {
		runtime.AddCleanup(s, a.forget, key)
	}
	a.to[key] = what
}

func (a *attached[T]) forget(key weak.Pointer[sessions.Session]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.to, key)
}
