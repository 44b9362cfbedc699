package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// How often the first waiter asks the store for a lease that it was not woken for.
const (
	pollElsewhere = 5 * time.Millisecond   // at first, and whenever the lease has changed hands elsewhere; doubles
	pollAtMost    = 80 * time.Millisecond  // up to this, while one request of another sessiond holds it
	pollHere      = 250 * time.Millisecond // while a request of this one does: it may have closed through another
)

// queue lets the requests of one process wait for leases in order of arrival. A waiter is woken when the lease is
// released here; the first one, and only that one, asks the store now and then, for leases that are held or released
// through another sessiond. Among sessionds turns are fair by [streak].
type queue struct {
	store Store

	mu    sync.Mutex
	lines map[Key]*line
}

// line is who holds and who waits for one key's lease. It exists while there is anyone.
type line struct {
	holder  uint64      // token of the lease taken here, 0 if there is none
	expiry  *time.Timer // ends the holder's turn with its lease
	waiters []*waiter
	streak  streak
}

// waiter is a request in a line. Its channel is signalled when it may have become its turn.
type waiter struct{ turn chan struct{} }

func newQueue(store Store) *queue { return &queue{store: store, lines: map[Key]*line{}} }

// acquire takes the key's lease, after waiting for at most wait. At most limit requests wait for one key.
func (q *queue) acquire(ctx context.Context, key Key, l Lock, wait time.Duration, limit int) (Lease, error) {
	if wait <= 0 {
		return q.try(ctx, key, l)
	}
	w, err := q.enter(key, limit)
	if err != nil {
		return Lease{}, err
	}
	lease, err := q.await(ctx, key, w, l, wait)
	q.mu.Lock()
	defer q.mu.Unlock()
	line := q.lines[key]
	first := line.remove(w)
	if err == nil {
		q.begin(key, line, lease.Token, l.TTL)
	}
	if first {
		line.wake()
	}
	q.tidy(key, line)
	return lease, err
}

// try takes the lease if nobody has it or waits for it.
func (q *queue) try(ctx context.Context, key Key, l Lock) (Lease, error) {
	if q.state(key).waiting {
		return Lease{}, ErrLocked
	}
	lease, err := q.store.Lock(ctx, key, l)
	if err == nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.begin(key, q.line(key), lease.Token, l.TTL)
	}
	return lease, err
}

// release gives the lease back and wakes the next waiter.
func (q *queue) release(ctx context.Context, key Key, token uint64) error {
	err := q.store.Unlock(ctx, key, token)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(key, token)
	return err
}

// move follows a lease that Regenerate moved to another key, where it ends ttl from now at the latest.
func (q *queue) move(old, new Key, token uint64, ttl time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lines[old]; l == nil || l.holder != token {
		return
	}
	q.end(old, token)
	q.begin(new, q.line(new), token, ttl)
}

func (q *queue) enter(key Key, limit int) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lines[key]; l != nil && len(l.waiters) >= limit {
		return nil, fmt.Errorf("%w, and %d requests wait for it already", ErrLocked, limit)
	}
	l := q.line(key)
	w := &waiter{turn: make(chan struct{}, 1)}
	l.waiters = append(l.waiters, w)
	if l.waiters[0] == w {
		w.turn <- struct{}{}
	}
	return w, nil
}

// await returns once w is first in its line and has taken the lease from the store.
func (q *queue) await(ctx context.Context, key Key, w *waiter, l Lock, wait time.Duration) (Lease, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	poll := time.NewTimer(wait)
	defer poll.Stop()
	elsewhere := elsewhere{since: time.Now()}
	var locked error = ErrLocked
	for {
		select {
		case <-w.turn:
			if q.state(key).held {
				poll.Reset(pollHere)
				continue
			}
			if q.giveWay(ctx, key) {
				poll.Reset(2 * pollElsewhere)
				continue
			}
		case <-poll.C:
		case <-over.C:
			return Lease{}, locked
		case <-ctx.Done():
			return Lease{}, ctx.Err()
		}
		lease, err := q.store.Lock(ctx, key, l)
		if !errors.Is(err, ErrLocked) {
			elsewhere.withdraw(ctx, q.store, key)
			return lease, err
		}
		locked = err
		if q.state(key).held {
			poll.Reset(pollHere)
			continue
		}
		elsewhere.ask(ctx, q.store, key)
		poll.Reset(elsewhere.pause(err))
	}
}

// begin notes who holds the lease, and for how long at most.
func (q *queue) begin(key Key, l *line, token uint64, ttl time.Duration) {
	if l.expiry != nil {
		l.expiry.Stop()
	}
	l.holder = token
	l.streak.begin()
	l.expiry = time.AfterFunc(ttl, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.end(key, token)
	})
}

// end ends the turn of the lease with this token, if it is still the one.
func (q *queue) end(key Key, token uint64) {
	l := q.lines[key]
	if l == nil || token == 0 || l.holder != token {
		return
	}
	l.expiry.Stop()
	l.holder, l.expiry = 0, nil
	l.wake()
	q.tidy(key, l)
}

func (q *queue) line(key Key) *line {
	l := q.lines[key]
	if l == nil {
		l = &line{}
		q.lines[key] = l
	}
	return l
}

func (q *queue) tidy(key Key, l *line) {
	if l.holder == 0 && len(l.waiters) == 0 {
		delete(q.lines, key)
	}
}

// holds tells whether the token is of the lease that was taken here.
func (q *queue) holds(key Key, token uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	return l != nil && l.holder == token && token != 0
}

// lineState is what a line looks like from outside.
type lineState struct{ held, waiting bool }

func (q *queue) state(key Key) lineState {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	if l == nil {
		return lineState{}
	}
	return lineState{held: l.holder != 0, waiting: len(l.waiters) > 0}
}

// count returns how many requests wait and how many leases are held.
func (q *queue) count() (waiting, held int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lines {
		waiting += len(l.waiters)
		if l.holder != 0 {
			held++
		}
	}
	return waiting, held
}

// wake signals the first waiter.
func (l *line) wake() {
	if len(l.waiters) > 0 {
		select {
		case l.waiters[0].turn <- struct{}{}:
		default: // it has a signal that it has not seen yet
		}
	}
}

// remove takes w out and reports whether it was the first.
func (l *line) remove(w *waiter) bool {
	i := slices.Index(l.waiters, w)
	l.waiters = slices.Delete(l.waiters, i, i+1)
	return i == 0
}
