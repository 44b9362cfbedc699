package sessionstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"time"
)

// Turns among sessionds. A sessiond wakes its own waiters, so one with many could hand a lease on among them for ever,
// while the first waiter of another never finds it free. Hence a waiter that finds the lease held elsewhere leaves a
// mark in the store, a short lease of a key derived from the session's; and a sessiond whose requests had the lease
// without a break for a while looks for such a mark before it goes on, and gives way where it finds one.
const (
	streakAtMost = 100 * time.Millisecond // after which a sessiond looks for the mark
	markTTL      = 500 * time.Millisecond
)

// markKey is what a session's mark is a lease of. No session has that key: a namespace is never empty.
func markKey(key Key) Key { return Key(sha256.Sum256(append([]byte("\x00wanted"), key[:]...))) }

// streak is since when requests of this process have had a lease one after the other; zero if they have not.
type streak struct {
	since   time.Time
	gaveWay bool // it ended for another sessiond, and the first waiter is to let that come first
}

func (s *streak) begin() {
	if s.since.IsZero() {
		s.since = time.Now()
	}
}

// giveWay tells whether the process has had the lease for long and another waits for it.
func (q *queue) giveWay(ctx context.Context, key Key) bool {
	long, gave := q.endStreak(key)
	if gave || !long {
		return gave
	}
	_, err := q.store.Leased(ctx, markKey(key))
	return err == nil
}

// endStreak ends the key's streak if it is long enough, and tells whether it was, or had ended for another sessiond.
func (q *queue) endStreak(key Key) (long, gaveWay bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	if l == nil {
		return false, false
	}
	gaveWay = l.streak.gaveWay
	long = !l.streak.since.IsZero() && time.Since(l.streak.since) >= streakAtMost
	if gaveWay || long {
		l.streak = streak{}
	}
	return long, gaveWay
}

// elsewhere is what the first waiter of a line knows and does about a lease that is held through another sessiond.
type elsewhere struct {
	since time.Time     // when it began to wait
	until time.Time     // end of the lease that it met last
	last  time.Duration // its last pause
	mark  Lease         // that it left
}

// ask leaves the mark, or renews it once it has ended. Most waits are over before that is of any use.
func (e *elsewhere) ask(ctx context.Context, store Store, key Key) {
	now := time.Now()
	if now.Before(e.mark.Until) || now.Sub(e.since) < streakAtMost/2 {
		return
	}
	// Locked: there is one already. That the store is away shows when it is asked for the lease.
	e.mark, _ = store.Lock(ctx, markKey(key), Lock{TTL: markTTL})
}

// withdraw takes the mark back, so that it does not make this process give way to itself.
func (e *elsewhere) withdraw(ctx context.Context, store Store, key Key) {
	if e.mark.Token != 0 && time.Now().Before(e.mark.Until) {
		_ = store.Unlock(ctx, markKey(key), e.mark.Token) // or else it ends by itself
	}
}

// pause returns how long to wait before the store is asked again: little while the lease changes hands, more and more
// while one holder keeps it.
func (e *elsewhere) pause(locked error) time.Duration {
	var by *LockedError
	if errors.As(locked, &by) && !by.Until.Equal(e.until) || e.last == 0 {
		e.last = pollElsewhere / 2
	}
	if by != nil {
		e.until = by.Until
	}
	e.last = min(2*e.last, pollAtMost)
	return e.last/2 + rand.N(e.last)
}
