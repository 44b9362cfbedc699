package ndb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/lvsession/lvsession/sessionstore"
)

const (
	maxTries    = 5                     // of one operation, over all nodes
	firstPause  = 20 * time.Millisecond // before a transaction is repeated; grows threefold each time
	acquireTime = 10 * time.Second      // for a connection from a pool
)

// attempt is one operation's state over its tries.
type attempt struct {
	// stamp marks what the operation writes. It is the same in every try, so that a repeated write recognises itself.
	stamp uint64
	// again is set once a try failed.
	again bool
	// uncertain is set once a try failed without telling whether it took effect.
	uncertain bool
}

// work is what an operation does on one connection. It must be repeatable.
type work[T any] func(ctx context.Context, conn *sqlx.Conn, a *attempt) (T, error)

// run does the work on a healthy node and repeats it, here or on another node, as far as errors and attempts allow.
//
// The work does not run under the caller's context: the driver would close the connection when that ends, and a
// wave of impatient callers would become a wave of reconnects. Instead the caller returns and the statement in progress
// ends by itself, at the latest by the connection's time-outs.
func run[T any](ctx context.Context, s *Store, op string, do work[T]) (T, error) {
	if !s.begin() {
		var none T
		return none, unavailable(op, 0, errClosed)
	}
	defer s.working.Done()
	return resume(ctx, s, op, &attempt{stamp: rand.Uint64()}, do)
}

// resume is [run] for an operation that has begun, and that may have had tries before. The attempt becomes its own.
func resume[T any](ctx context.Context, s *Store, op string, a *attempt, do work[T]) (T, error) {
	return leave(ctx, &s.working, func() (T, error) { return tries(ctx, s, op, a, do) })
}

// operations counts those of a store that are in progress, until it is closed.
type operations struct {
	mu      sync.Mutex
	closed  bool
	working sync.WaitGroup // operations, also those that their callers have left
}

// begin notes that an operation begins, unless the store is closed. It ends with working.Done.
func (o *operations) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.working.Add(1)
	return true
}

// end lets no further operation begin, waits for those in progress, and reports whether it is the first to do so; any other
// returns at once.
func (o *operations) end() bool {
	o.mu.Lock()
	first := !o.closed
	o.closed = true
	o.mu.Unlock()
	if first {
		o.working.Wait()
	}
	return first
}

// leave runs an operation that its caller leaves when the context ends. Then the operation goes on by itself, and counts as
// working.
func leave[T any](ctx context.Context, working *sync.WaitGroup, do func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if ctx.Done() == nil {
		return do()
	}
	done := make(chan outcome, 1)
	working.Go(func() {
		value, err := do()
		done <- outcome{value, err}
	})
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// errBusy says that the pool is exhausted: no fault of the node's, and more tries would only lengthen the queue.
var errBusy = fmt.Errorf("no connection became free within %v", acquireTime)

var errClosed = errors.New("the store is closed")

func unavailable(op string, retryAfter time.Duration, cause error) error {
	return &sessionstore.UnavailableError{Op: op, RetryAfter: retryAfter, Cause: cause}
}

// tries repeats the work until it is done or hopeless.
func tries[T any](ctx context.Context, s *Store, op string, a *attempt, do work[T]) (value T, err error) {
	tried := map[*node]bool{} // since the last pause
	pause := firstPause
	for try := 1; ; try++ {
		x := s.nodes.pick(tried)
		var c class
		value, c, err = once(ctx, x, x.db, a, do)
		if err == nil || isContract(err) {
			return value, err
		}
		if ctx.Err() != nil {
			return value, ctx.Err()
		}
		if errors.Is(err, errBusy) {
			return value, unavailable(op, time.Second, err)
		}
		a.again, a.uncertain = true, a.uncertain || c.uncertain()
		if c.suspect() {
			s.nodes.suspect(x, err)
			tried[x] = true
		}
		switch {
		case c == full:
			return value, unavailable(op, 10*time.Second, err)
		case c == broken:
			return value, unavailable(op, 5*time.Second, err)
		case try == maxTries:
			return value, unavailable(op, time.Second, err)
		case c.suspect() && len(tried) < len(s.nodes.list):
			continue // at once, on another node
		}
		clear(tried)
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return value, ctx.Err()
		}
		pause *= 3
	}
}

// once does the work on one node, by a connection of one of its pools.
func once[T any](ctx context.Context, x *node, pool *sqlx.DB, a *attempt, do work[T]) (value T, c class, err error) {
	x.busy.Add(1)
	defer x.busy.Add(-1)
	wait, cancel := context.WithTimeout(ctx, acquireTime)
	defer cancel()
	conn, err := pool.Connx(wait)
	if err != nil {
		if wait.Err() != nil {
			return value, rolledBack, fmt.Errorf("%s: %w", x.name, errBusy)
		}
		return value, elsewhere, fmt.Errorf("connect to %s: %w", x.name, err)
	}
	defer conn.Close()
	value, err = do(context.WithoutCancel(ctx), conn, a)
	if err == nil || isContract(err) {
		x.succeeded()
		return value, broken, err
	}
	return value, classify(err), fmt.Errorf("%s: %w", x.name, err)
}

// isContract tells whether an error is an answer of the store rather than a failure.
func isContract(err error) bool {
	for _, e := range []error{sessionstore.ErrNotFound, sessionstore.ErrConflict, sessionstore.ErrLocked, sessionstore.ErrDestroyed,
		sessionstore.ErrTooLarge, sessionstore.ErrInvalid, sessionstore.ErrUnavailable} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// inTransaction does the work in a transaction.
func inTransaction[T any](ctx context.Context, conn *sqlx.Conn, do func(statements) (T, error)) (value T, err error) {
	tx, err := conn.BeginTxx(ctx, nil)
	if err != nil {
		return value, err
	}
	if value, err = do(statements{tx}); err != nil {
		// The server also rolls back when the connection is gone, so an error here adds nothing.
		_ = tx.Rollback()
		return value, err
	}
	if err := tx.Commit(); err != nil {
		return value, &commitError{err}
	}
	return value, nil
}

// atomically does the work in a transaction on the connection that the statements run on.
func atomically[T any](ctx context.Context, s statements, do func(statements) (T, error)) (none T, err error) {
	conn, ok := s.q.(*sqlx.Conn)
	if !ok {
		return none, errBug // they run in a transaction already
	}
	return inTransaction(ctx, conn, do)
}

// errPartly takes a transaction back that did not find all rows as it expects them.
var errPartly = errors.New("a row is not as expected")

// wholly does the work in a transaction, which it takes back unless the work finds all rows as it expects them.
func wholly(ctx context.Context, s statements, do func(statements) (bool, error)) (bool, error) {
	ok, err := atomically(ctx, s, func(tx statements) (bool, error) {
		ok, err := do(tx)
		if err == nil && !ok {
			err = errPartly
		}
		return ok, err
	})
	if errors.Is(err, errPartly) {
		return false, nil
	}
	return ok, err
}
