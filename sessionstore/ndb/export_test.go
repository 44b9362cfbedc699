package ndb

import (
	"context"
	"errors"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb/internal/lane"
)

// Healthy returns how many SQL nodes are in service.
func Healthy(s *Store) (n int) {
	for _, x := range s.nodes.list {
		if !x.down.Load() {
			n++
		}
	}
	return n
}

// Connections returns how many connections are open.
func Connections(s *Store) (n int) {
	for _, x := range s.nodes.list {
		n += x.db.Stats().OpenConnections + x.wide.Stats().OpenConnections
	}
	return n
}

// Change is a change that a test puts into a batch.
type Change struct {
	Key       sessionstore.Key
	Write     *sessionstore.Write
	Touch     *sessionstore.Touch
	Tombstone time.Duration
}

// Together makes changes in one batch, and alone those that it does not decide. Decided tells of each whether the batch
// decided it.
func Together(s *Store, list []Change) (outcomes []lane.Outcome[uint64], decided []bool) {
	batch := make([]change, len(list))
	for i, c := range list {
		batch[i] = change{key: c.Key, write: c.Write, touch: c.Touch, tombstone: c.Tombstone}
		switch {
		case c.Write != nil:
			batch[i].alone = s.writeAlone(c.Key, *c.Write)
		case c.Touch != nil:
			batch[i].alone = s.touchAlone(c.Key, *c.Touch)
		default:
			batch[i].alone = s.destroyAlone(c.Key, c.Tombstone)
		}
	}
	outcomes = s.changeBatch(batch)
	decided = make([]bool, len(list))
	for i := range outcomes {
		u := (*undecided)(nil)
		if decided[i] = !errors.As(outcomes[i].Err, &u); !decided[i] {
			a := u.attempt
			outcomes[i].Value, outcomes[i].Err = tries(context.Background(), s, "test", &a, batch[i].alone)
		}
	}
	return outcomes, decided
}
