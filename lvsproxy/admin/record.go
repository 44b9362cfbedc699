package admin

import (
	"slices"
	"sync"
	"time"

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
	// OldWeight and Weight are the server's weights in the table before and after; 0 also where it was not, or is no
	// longer, in the table.
	OldWeight int `json:"old_weight,omitempty"`
	Weight    int `json:"weight,omitempty"`
	// Reason says why, for people.
	Reason string `json:"reason,omitempty"`
}

// Limits of a Record: how many events are remembered, and how many may wait for a client that is slow.
const (
	remembered = 1000
	backlog    = 256
)

// Record is what a director has said: its latest events, which it passes on to those who follow them, and the last check of
// each server. Its methods may be called concurrently.
type Record struct {
	done chan struct{} // closed by Close

	mu        sync.Mutex
	past      []Event
	counts    map[service.EventKind]uint64
	followers map[chan Event]bool
	closed    bool
	servers   map[serverKey]*serverRecord
}

// NewRecord returns a Record of nothing.
func NewRecord() *Record {
	return &Record{done: make(chan struct{}), counts: map[service.EventKind]uint64{}, followers: map[chan Event]bool{}, servers: map[serverKey]*serverRecord{}}
}

// Event takes an event of the director: it is a [lvsproxy.Options].OnEvent. It never waits: a follower that has not taken its last 256 events is cut off.
func (rec *Record) Event(s service.Event) {
	event := Event{Time: s.Time, Kind: s.Kind, Virtual: s.Virtual.Name(), Reason: s.Reason}
	if s.Server.IsValid() {
		event.Server, event.OldWeight, event.Weight = s.Server.String(), s.OldWeight, s.Weight
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.counts[s.Kind]++
	if s.Kind == service.ServerUp || s.Kind == service.ServerDown {
		rec.server(serverKey{s.Virtual, s.Server}).since = s.Time
	}
	if len(rec.past) == remembered {
		rec.past = slices.Delete(rec.past, 0, remembered/10)
	}
	rec.past = append(rec.past, event)
	for f := range rec.followers {
		select {
		case f <- event:
		default:
			delete(rec.followers, f)
			close(f)
		}
	}
}

// follow returns what is remembered and a channel of what comes, which is closed if the follower is cut off.
func (rec *Record) follow() (past []Event, next <-chan Event, stop func()) {
	f := make(chan Event, backlog)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.followers[f] = true
	return slices.Clone(rec.past), f, func() {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		delete(rec.followers, f)
	}
}

// count returns how many events of each kind there were.
func (rec *Record) count() map[service.EventKind]uint64 {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	counts := make(map[service.EventKind]uint64, len(rec.counts))
	for kind, n := range rec.counts {
		counts[kind] = n
	}
	return counts
}

// Close ends all requests that follow the events.
func (rec *Record) Close() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.closed {
		rec.closed = true
		close(rec.done)
	}
}
