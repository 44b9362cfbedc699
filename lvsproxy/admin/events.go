package admin

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Event is a change of the table.
type Event struct {
	Time time.Time         `json:"time"`
	Kind service.EventKind `json:"kind"`
	// Virtual is the service, such as "tcp 172.16.1.11:80" or "fwm 3".
	Virtual string `json:"virtual"`
	// Server is the address of the real or fallback server; empty for events about the whole service.
	Server string `json:"server,omitempty"`
	// Reason says why, for people.
	Reason string `json:"reason,omitempty"`
}

// Limits of Events: how many are remembered, and how many may wait for a client that is slow.
const (
	remembered = 1000
	backlog    = 256
)

// Events remembers the latest events of a director and passes new ones on. Its methods may be called concurrently.
type Events struct {
	done chan struct{} // closed by Close

	mu        sync.Mutex
	past      []Event
	counts    map[service.EventKind]uint64
	followers map[chan Event]bool
	closed    bool
}

// NewEvents returns Events that remember nothing yet.
func NewEvents() *Events {
	return &Events{done: make(chan struct{}), counts: map[service.EventKind]uint64{}, followers: map[chan Event]bool{}}
}

// Publish takes an event of the director. It never waits: a follower that has not taken its last 256 events is cut off.
func (e *Events) Publish(s service.Event) {
	event := Event{Time: s.Time, Kind: s.Kind, Virtual: nameOf(s.Virtual), Reason: s.Reason}
	if s.Server.IsValid() {
		event.Server = s.Server.String()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts[s.Kind]++
	if len(e.past) == remembered {
		e.past = slices.Delete(e.past, 0, remembered/10)
	}
	e.past = append(e.past, event)
	for f := range e.followers {
		select {
		case f <- event:
		default:
			delete(e.followers, f)
			close(f)
		}
	}
}

// follow returns what is remembered and a channel of what comes, which is closed if the follower is cut off.
func (e *Events) follow() (past []Event, next <-chan Event, stop func()) {
	f := make(chan Event, backlog)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.followers[f] = true
	return slices.Clone(e.past), f, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.followers, f)
	}
}

// count returns how many events of each kind there were.
func (e *Events) count() map[service.EventKind]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	counts := make(map[service.EventKind]uint64, len(e.counts))
	for kind, n := range e.counts {
		counts[kind] = n
	}
	return counts
}

// Close ends all requests that follow the events.
func (e *Events) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		close(e.done)
	}
}

// nameOf returns a service's identity as text.
func nameOf(id config.VirtualID) string {
	switch {
	case id.Protocol != config.FWM:
		return fmt.Sprintf("%s %s", id.Protocol, id.Addr)
	case id.IPv6:
		return fmt.Sprintf("fwm6 %d", id.FWMark)
	}
	return fmt.Sprintf("fwm %d", id.FWMark)
}
