package sessionstore

import (
	"bytes"
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

// queue lets the requests of one process wait for leases in order of arrival. When a holder's turn ends here the store
// gives the lease to the first waiter, if it is a [Passer], or that waiter is woken to take it. The first one, and only
// that one, asks the store now and then, for leases that are held or released through another sessiond. Among sessionds
// turns are fair by [streak].
type queue struct {
	store *timed

	mu    sync.Mutex
	lines map[Key]*line
}

// line is who holds and who waits for one key's lease. It exists while there is anyone.
type line struct {
	holder  uint64      // token of the lease taken here, 0 if there is none
	expiry  *time.Timer // ends the holder's turn with its lease
	waiters []*waiter
	streak  streak
	seen    *Session // what the holder read under its lease, without the payload; nil if that is not known
}

// waiter is a request in a line.
type waiter struct {
	lock  Lock
	turn  chan struct{} // is signalled when it may have become its turn
	given chan turn     // brings the lease of the holder before, which is its own then
}

// turn is a lease, with the session as it was at the instant that the lease was given, if that is known.
type turn struct {
	lease   Lease
	session *Session
}

func newQueue(store *timed) *queue { return &queue{store: store, lines: map[Key]*line{}} }

// acquire takes the key's lease, after waiting for at most wait. At most limit requests wait for one key.
func (q *queue) acquire(ctx context.Context, key Key, l Lock, wait time.Duration, limit int) (turn, error) {
	if wait <= 0 {
		return q.try(ctx, key, l)
	}
	w, err := q.enter(key, l, limit)
	if err != nil {
		return turn{}, err
	}
	got, err := q.await(ctx, key, w, wait)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		select {
		case got = <-w.given: // while it left
			err = nil
		default:
		}
	}
	line := q.lines[key]
	first := line.remove(w)
	if err == nil && line.holder != got.lease.Token {
		q.begin(key, line, got.lease.Token, l.TTL)
	}
	if first {
		line.wake()
	}
	q.tidy(key, line)
	return got, err
}

// try takes the lease if nobody has it or waits for it.
func (q *queue) try(ctx context.Context, key Key, l Lock) (turn, error) {
	if q.state(key).waiting {
		return turn{}, ErrLocked
	}
	lease, err := q.store.Lock(ctx, key, l)
	if err == nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.begin(key, q.line(key), lease.Token, l.TTL)
	}
	return turn{lease: lease}, err
}

// saw notes what the holder of a lease read under it.
func (q *queue) saw(key Key, token uint64, s Session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lines[key]; l != nil && l.holder == token {
		s.Payload = nil
		l.seen = &s
	}
}

// release gives the lease back.
func (q *queue) release(ctx context.Context, key Key, token uint64) error {
	_, err := q.finish(ctx, key, Pass{Token: token})
	return err
}

// finish ends the turn of a lease with the holder's last change, if there is one to make. The first waiter gets the lease
// or is woken. If the change is refused the turn goes on.
func (q *queue) finish(ctx context.Context, key Key, p Pass) (version uint64, err error) {
	if w := q.next(ctx, key, p.Token); w != nil {
		return q.pass(ctx, key, p, w)
	}
	switch write, touch := p.Change(); {
	case write != nil:
		version, err = q.store.Write(ctx, key, *write)
	case touch != nil:
		err = q.store.Touch(ctx, key, *touch)
	default:
		err = q.store.Unlock(ctx, key, p.Token)
	}
	q.over(key, p, err)
	return version, err
}

// over ends a turn after the attempt to finish it, unless that left the lease as it was. If an Unlock failed, the first
// waiter sees for itself what became of the lease.
func (q *queue) over(key Key, p Pass, err error) {
	if err != nil && (p.Write != nil || p.Touch != nil) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(key, p.Token)
}

// next returns the waiter that the store can give the holder's lease to. It returns none if it is another sessiond's turn.
func (q *queue) next(ctx context.Context, key Key, token uint64) *waiter {
	if !q.store.passes() || q.first(key, token) == nil {
		return nil
	}
	if q.giveWay(ctx, key) {
		q.mu.Lock()
		defer q.mu.Unlock()
		if l := q.lines[key]; l != nil {
			l.streak.gaveWay = true
		}
		return nil
	}
	return q.first(key, token)
}

// first returns the first waiter behind the lease with this token.
func (q *queue) first(key Key, token uint64) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lines[key]; l != nil && l.holder == token && len(l.waiters) > 0 {
		return l.waiters[0]
	}
	return nil
}

// pass gives the lease to a waiter in the step that ends the holder's turn. That is not given up when the context ends:
// nobody would know of the waiter's lease.
func (q *queue) pass(ctx context.Context, key Key, p Pass, w *waiter) (version uint64, err error) {
	p.Next = w.lock
	if p.Write != nil {
		own := *p.Write
		own.Payload = bytes.Clone(own.Payload) // the caller may leave first
		p.Write = &own
	}
	type outcome struct {
		version uint64
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		through := context.WithoutCancel(ctx)
		passed, err := q.store.pass(through, key, p)
		q.handOver(through, key, p, w, passed, err)
		done <- outcome{passed.Version, err}
	}()
	select {
	case o := <-done:
		return o.version, o.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// handOver lets the waiter have the lease that the store gave it. If it has left meanwhile, the next one comes.
func (q *queue) handOver(ctx context.Context, key Key, p Pass, w *waiter, passed Passed, err error) {
	lease := passed.Next
	if err != nil || lease.Token == 0 {
		q.over(key, p, err)
		return
	}
	q.mu.Lock()
	l := q.line(key)
	session := l.left(p, passed)
	q.begin(key, l, lease.Token, w.lock.TTL)
	waits := slices.Contains(l.waiters, w)
	if waits {
		w.given <- turn{lease, session}
	}
	q.mu.Unlock()
	if !waits {
		_ = q.release(ctx, key, lease.Token) // or else it ends by itself
	}
}

// left returns the session as a holder's last write left it, if that is known: if the write was on the version that the
// holder had read under its lease. The payload is the write's.
func (l *line) left(p Pass, passed Passed) *Session {
	if l.seen == nil || l.holder != p.Token || p.Write == nil || p.Write.IfVersion != l.seen.Version {
		return nil
	}
	s := *l.seen
	s.Payload, s.Encoding, s.Version, s.Expires = p.Write.Payload, p.Write.Encoding, passed.Version, passed.Expires
	if !s.Deadline.IsZero() && s.Deadline.Before(s.Expires) {
		s.Expires = s.Deadline
	}
	if p.Write.Subject != (Key{}) {
		s.Subject = p.Write.Subject
	}
	return &s
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

func (q *queue) enter(key Key, lock Lock, limit int) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lines[key]; l != nil && len(l.waiters) >= limit {
		return nil, fmt.Errorf("%w, and %d requests wait for it already", ErrLocked, limit)
	}
	l := q.line(key)
	w := &waiter{lock: lock, turn: make(chan struct{}, 1), given: make(chan turn, 1)}
	l.waiters = append(l.waiters, w)
	if l.waiters[0] == w {
		w.turn <- struct{}{}
	}
	return w, nil
}

// await returns once w is first in its line and has taken the lease from the store, or was given it.
func (q *queue) await(ctx context.Context, key Key, w *waiter, wait time.Duration) (turn, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	poll := time.NewTimer(wait)
	defer poll.Stop()
	elsewhere := elsewhere{since: time.Now()}
	var locked error = ErrLocked
	for {
		take := q.store.Lock
		select {
		case got := <-w.given:
			elsewhere.withdraw(ctx, q.store, key)
			return got, nil
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
			take = q.lookAndLock
		case <-over.C:
			return turn{}, locked
		case <-ctx.Done():
			return turn{}, ctx.Err()
		}
		lease, err := take(ctx, key, w.lock)
		if !errors.Is(err, ErrLocked) {
			elsewhere.withdraw(ctx, q.store, key)
			return turn{lease: lease}, err
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

// lookAndLock takes the lease if it looks free: to look costs a store less than to be refused, and hinders nobody.
func (q *queue) lookAndLock(ctx context.Context, key Key, l Lock) (Lease, error) {
	held, err := q.store.Leased(ctx, key)
	switch {
	case err == nil:
		return Lease{}, &LockedError{Until: held.Until}
	case !errors.Is(err, ErrNotFound):
		return Lease{}, err
	}
	return q.store.Lock(ctx, key, l)
}

// begin notes who holds the lease, and for how long at most.
func (q *queue) begin(key Key, l *line, token uint64, ttl time.Duration) {
	if l.expiry != nil {
		l.expiry.Stop()
	}
	l.holder, l.seen = token, nil
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
	l.holder, l.expiry, l.seen = 0, nil, nil
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
