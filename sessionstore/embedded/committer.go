package embedded

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lvsession/lvsession/sessionstore"
)

// operation is one change that waits for its turn. The committer evaluates it, in order with all others; its answer goes
// out once it and all that it saw is on disk.
type operation struct {
	ctx  context.Context
	name string            // for errors
	key  *sessionstore.Key // the session that it changes, if that is known
	// evaluate makes the change in the view. If it returns an error it has changed nothing.
	evaluate func(v *view, now int64) error
	size     int  // bytes of payload
	grows    bool // needs room on disk
	lazy     bool // need not be on disk when it is answered: to lose it in a crash does no harm
	err      error
	done     chan struct{}
}

// Limits of a group of operations that go to disk in one commit.
const (
	groupOperations = 1024
	groupBytes      = 4 << 20
)

// queueLength is how many operations can wait; more of them wait outside.
const queueLength = 1024

// group is a set of operations that go to disk together.
type group struct {
	operations []*operation
	view       *view
	done       chan struct{} // closed when the group is on disk or has failed
	err        error         // why it failed; set before done is closed
}

// submit has the committer run an operation and waits for its answer.
func (s *Store) submit(ctx context.Context, op *operation) error {
	leave, err := s.enter(ctx, op.name)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.warm(op.key); err != nil {
		return s.unavailable(op.name, err)
	}
	op.ctx, op.done = ctx, make(chan struct{})
	full := s.disk.fullNow()
	select {
	case s.queue <- op:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return s.unavailable(op.name, errClosed)
	case <-full:
		return s.unavailable(op.name, errDiskFull)
	}
	return s.await(ctx, op.name, op.done, func() error { return op.err })
}

// warm has the engine fetch what the committer is going to need from disk, so that only this caller waits for it.
func (s *Store) warm(key *sessionstore.Key) error {
	if key == nil {
		return nil
	}
	if _, ok := s.recent.get(*key); ok {
		return nil
	}
	var r record
	return readRecord(s.db, *key, &r)
}

// await waits until done is closed and returns what result says then. It leaves early when the caller does, or when
// the disk is full, which may last.
func (s *Store) await(ctx context.Context, name string, done <-chan struct{}, result func() error) error {
	select {
	case <-done:
		return result()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.disk.fullNow():
		return s.unavailable(name, errDiskFull)
	case <-s.committerDone:
	}
	select {
	case <-done: // both at the same time
		return result()
	default:
		return s.unavailable(name, errClosed)
	}
}

// commit runs until the store closes: take what waits, evaluate it, put it on disk, answer, again.
func (s *Store) commit() {
	defer close(s.committerDone)
	for {
		select {
		case op := <-s.queue:
			s.run(s.gather(op))
		case <-s.closing:
			return
		}
	}
}

// gather takes whatever waits, up to the limits of a group.
func (s *Store) gather(first *operation) *group {
	g := &group{operations: []*operation{first}, view: newView(s.db, s.recent), done: make(chan struct{})}
	for size := first.size; len(g.operations) < groupOperations && size < groupBytes; {
		select {
		case op := <-s.queue:
			g.operations = append(g.operations, op)
			size += op.size
		default:
			return g
		}
	}
	return g
}

// run takes a group from evaluation to its answers.
func (s *Store) run(g *group) {
	sync := pebble.NoSync
	for _, op := range g.operations {
		if op.err = s.evaluate(op, g.view); op.err == nil && !op.lazy && !s.late {
			sync = pebble.Sync
		}
	}
	if g.view.changed > 0 {
		s.flight.Store(g)
		if g.err = s.write(g.view, sync); g.err == nil {
			g.view.remember()
			if s.late {
				s.unsynced.Store(true) // after the write: a sync that began before may have missed it
			}
		}
		s.flight.Store(nil)
	}
	close(g.done)
	for _, op := range g.operations {
		if g.err != nil {
			op.err = g.err // even a refusal may rest on what is lost now
		}
		close(op.done)
	}
}

func (s *Store) evaluate(op *operation, v *view) error {
	if err := op.ctx.Err(); err != nil {
		return err // the caller has left
	}
	if op.grows {
		if err := s.disk.room(op.size); err != nil {
			return s.unavailable(op.name, err)
		}
	}
	return s.unavailable(op.name, op.evaluate(v, s.now().UnixMilli()))
}

// write puts a view's changes on disk, or on their way there. When the engine fails in doing so, what is on disk is unknown and the store is
// of no more use.
func (s *Store) write(v *view, sync *pebble.WriteOptions) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.fail(fmt.Errorf("commit: %v", p))
		}
	}()
	if err := s.broken(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	if err := v.flush(b, s.due.entered); err != nil {
		return s.fail(err)
	}
	if err := b.Commit(sync); err != nil {
		return s.fail(err)
	}
	return b.Close() // not after a failure: the engine may still be using it
}
