package linear

import (
	"slices"
	"sync"
	"time"
)

// History is what happened in a run, session by session.
type History struct {
	Seed uint64

	began time.Time

	mu       sync.Mutex
	entries  map[string][]Entry // by session
	unknowns uint64
}

func newHistory(seed uint64) *History {
	return &History{Seed: seed, began: time.Now(), entries: map[string][]Entry{}}
}

// now is the time of the history's clock, which is monotonic.
func (h *History) now() time.Duration { return time.Since(h.began) }

func (h *History) add(e Entry) {
	if e.Class == Unknown {
		e.Return = never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries[e.Session] = append(h.entries[e.Session], e)
}

// unknown returns the name of a lease that may have been taken.
func (h *History) unknown() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unknowns++
	return unknownToken(h.unknowns)
}

// Sessions returns the names of the sessions, sorted.
func (h *History) Sessions() (names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Of returns the entries of one session, ordered by their calls.
func (h *History) Of(session string) []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.Clone(h.entries[session])
	slices.SortStableFunc(list, func(a, b Entry) int { return int(a.Call - b.Call) })
	return list
}

// Counts returns how many operations there are in the history, and how many of each kind came to each class.
func (h *History) Counts() (total int, by map[Kind]map[Class]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	by = map[Kind]map[Class]int{}
	for _, list := range h.entries {
		total += len(list)
		for _, e := range list {
			if by[e.Kind] == nil {
				by[e.Kind] = map[Class]int{}
			}
			by[e.Kind][e.Class]++
		}
	}
	return total, by
}
