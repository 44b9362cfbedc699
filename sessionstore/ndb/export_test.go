package ndb

import (
	"context"
	"errors"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
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
	Lock      *sessionstore.Lock
	Unlock    uint64
}

// Outcome is what became of a change.
type Outcome struct {
	Version uint64
	Lease   sessionstore.Lease
	Err     error
	Decided bool // by the batch
}

// Together makes changes in one batch, and alone those that it does not decide.
func Together(s *Store, list []Change) (outcomes []Outcome) {
	batch := make([]change, len(list))
	for i, c := range list {
		batch[i] = change{key: c.Key, write: c.Write, touch: c.Touch, tombstone: c.Tombstone, lock: c.Lock, unlock: c.Unlock}
		switch {
		case c.Write != nil:
			batch[i].alone = s.writeAlone(c.Key, *c.Write)
		case c.Touch != nil:
			batch[i].alone = s.touchAlone(c.Key, *c.Touch)
		case c.Lock != nil:
			batch[i].alone = s.lockAlone(c.Key, *c.Lock)
		case c.Unlock != 0:
			batch[i].alone = s.unlockAlone(c.Key, c.Unlock)
		default:
			batch[i].alone = s.destroyAlone(c.Key, c.Tombstone)
		}
	}
	for i, o := range s.changeBatch(batch) {
		u := (*undecided)(nil)
		decided := !errors.As(o.Err, &u)
		if !decided {
			a := u.attempt
			o.Value, o.Err = tries(context.Background(), s, "test", &a, batch[i].alone)
		}
		outcomes = append(outcomes, Outcome{o.Value.version, o.Value.lease, o.Err, decided})
	}
	return outcomes
}
