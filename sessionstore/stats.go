package sessionstore

import (
	"sync"
	"time"
)

// Stats are a service's figures since its start.
type Stats struct {
	LockWaiters int // requests that wait for a lease now
	LocksHeld   int // leases taken through this service and not released

	GCRuns     uint64    // runs of collection, not counting those that another sessiond's kept away
	GCFailures uint64    // of them, those that ended with an error
	GCRemoved  uint64    // records collected
	GCLast     time.Time // when the last run without an error ended; zero for never
	GCBehind   bool      // whether the last run ended with more to collect
	GCDue      int       // then: records due for collection, MaxBacklog if there were as many or more
	GCOldest   time.Time // then: since when the first of them was due; zero for none
}

// Stats returns the service's figures.
func (s *Service) Stats() Stats {
	stats := s.collected.snapshot()
	stats.LockWaiters, stats.LocksHeld = s.queue.count()
	return stats
}

// collected counts what collection did.
type collected struct {
	mu    sync.Mutex
	stats Stats
}

func (c *collected) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// add notes a run that ended.
func (c *collected) add(removed int, behind bool, left Backlog, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.GCRuns++
	c.stats.GCRemoved += uint64(removed)
	c.stats.GCBehind = behind
	c.stats.GCDue, c.stats.GCOldest = left.Due, left.Oldest
	if err != nil {
		c.stats.GCFailures++
		return
	}
	c.stats.GCLast = time.Now()
}

// elsewhere notes that another sessiond collects, and tells what is left.
func (c *collected) elsewhere() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.GCBehind, c.stats.GCDue, c.stats.GCOldest = false, 0, time.Time{}
}
