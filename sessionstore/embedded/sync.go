package embedded

import (
	"time"
)

// syncNow syncs what was acknowledged before it was on disk, now and then, until the store closes; what is left then
// goes to disk when the engine closes.
func (s *Store) syncNow(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		if err := s.broken(); err != nil {
			return
		}
		if err := s.journal.sync(); err != nil {
			s.log.Error("acknowledged changes could not be synced to disk", "error", s.fail(err))
			return // the store is of no more use
		}
	}
}
