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

// origins keeps the origin of every session for as long as the session lives. A [sessions.Session] has no field for it,
// and everything that it does have belongs to the handler.
type origins struct {
	mu sync.Mutex
	of map[weak.Pointer[sessions.Session]]origin
}

func (o *origins) get(s *sessions.Session) origin {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of[weak.Make(s)]
}

func (o *origins) set(s *sessions.Session, from origin) {
	key := weak.Make(s)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = map[weak.Pointer[sessions.Session]]origin{}
	}
	if _, known := o.of[key]; !known {
		runtime.AddCleanup(s, o.forget, key)
	}
	o.of[key] = from
}

func (o *origins) forget(key weak.Pointer[sessions.Session]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.of, key)
}
