package embedded

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// syncNow syncs what was acknowledged before it was on disk, now and then, until the store closes; the engine syncs the
// rest when it closes.
func (s *Store) syncNow(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		if !s.unsynced.Swap(false) {
			continue
		}
		if err := s.syncLog(); err != nil {
			s.log.Error("acknowledged changes could not be synced to disk", "error", err)
			return // the store is of no more use
		}
	}
}

// syncLog syncs the engine's log with all that was written to it.
func (s *Store) syncLog() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.fail(fmt.Errorf("sync: %v", p))
		}
	}()
	if err := s.broken(); err != nil {
		return err
	}
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return s.fail(err)
	}
	return nil
}
