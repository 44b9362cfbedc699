package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"

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
	answered chan struct{} // of length 1

	// Under the line's lock.
	taken bool // into a group
	left  bool // its caller waits no longer
}

// answerChannels are those that nobody holds any more.
var answerChannels = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

// Limits of a group of operations that go to disk in one commit.
const (
	groupOperations = 1024
	groupBytes      = 4 << 20
)

// line is where operations wait for the committer.
type line struct {
	mu      sync.Mutex
	waiting []*operation
	busy    bool          // the committer is at work and will look here again
	wake    chan struct{} // of length 1
}

// enter puts an operation in line.
func (l *line) enter(op *operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, op)
	if !l.busy {
		l.busy = true
		l.wake <- struct{}{}
	}
}

// take appends whatever waits to an empty group, up to its limits. If nothing does, enter wakes the committer next time.
func (l *line) take(group []*operation) []*operation {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 0
	for ; n < len(l.waiting) && len(group) < groupOperations && size < groupBytes; n++ {
		if op := l.waiting[n]; !op.left {
			op.taken = true
			group = append(group, op)
			size += op.size
		}
	}
	rest := copy(l.waiting, l.waiting[n:])
	clear(l.waiting[rest:])
	l.waiting = l.waiting[:rest]
	l.busy = len(group) > 0
	return group
}

// leave notes that the operation's caller waits no longer.
func (l *line) leave(op *operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	op.left = true
}

// isTaken tells whether an operation is in a group.
func (l *line) isTaken(op *operation) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return op.taken
}

// submit has the committer run an operation and waits for its answer. It leaves early when the caller does, or when the
// disk is full, which may last.
func (s *Store) submit(ctx context.Context, op *operation) error {
	leave, err := s.enter(ctx, op.name)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.warm(op.key); err != nil {
		return s.unavailable(op.name, err)
	}
	full := s.disk.fullNow()
	select {
	case <-s.closing:
		return s.unavailable(op.name, errClosed)
	case <-full:
		return s.unavailable(op.name, errDiskFull)
	default:
	}
	op.ctx, op.answered = ctx, answerChannels.Get().(chan struct{})
	s.line.enter(op)
	closing := s.closing
	for {
		select {
		case <-op.answered:
			answerChannels.Put(op.answered)
			return op.err
		case <-ctx.Done():
			err = ctx.Err()
		case <-full:
			err = s.unavailable(op.name, errDiskFull)
		case <-closing:
			if s.line.isTaken(op) {
				closing = nil // it will be answered
				continue
			}
			err = s.unavailable(op.name, errClosed)
		}
		s.line.leave(op)
		return err
	}
}

// commit runs until the store closes: take what waits, evaluate it, put it on disk, answer, again.
func (s *Store) commit() {
	defer close(s.committerDone)
	var group []*operation
	for {
		select {
		case <-s.line.wake:
		case <-s.closing:
			return
		}
		for group = s.line.take(group[:0]); len(group) > 0; group = s.line.take(group[:0]) {
			s.run(group)
			clear(group)
		}
	}
}

// warm has the engine fetch what the committer is going to need from disk, so that only this caller waits for it.
func (s *Store) warm(key *sessionstore.Key) error {
	if key == nil || s.recent.has(key) {
		return nil
	}
	var r record
	return readRecord(s.db, *key, &r)
}

// run takes a group from evaluation to its answers.
func (s *Store) run(group []*operation) {
	v := s.view
	v.reset()
	sync := false
	for _, op := range group {
		if op.err = s.evaluate(op, v); op.err == nil && !op.lazy && !s.late {
			sync = true
		}
	}
	var err error
	if v.changed > 0 {
		err = s.write(v, sync)
	}
	for _, op := range group {
		if err != nil {
			op.err = err // even a refusal may rest on what is lost now
		}
		op.answered <- struct{}{}
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

// write puts a view's changes into the journal, on disk if sync asks for that, and then into the engine, where readers see
// them. Without room on disk nothing has happened. When the disk or the engine fails otherwise, what is on disk is unknown
// and the store is of no more use.
func (s *Store) write(v *view, sync bool) (err error) {
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
	var done [8]byte
	binary.BigEndian.PutUint64(done[:], s.journal.next)
	if err := b.Set(journalKey, done[:], nil); err != nil {
		return s.fail(err)
	}
	switch err := s.record(b.Repr(), sync); {
	case errors.Is(err, syscall.ENOSPC):
		s.due.reset() // a collection that was refused has moved it
		s.disk.refused.Store(true)
		return errors.Join(s.unavailable("commit", err), b.Close())
	case err != nil:
		return s.fail(err)
	}
	v.forget() // between here and remember readers ask the engine, where all changes at one instant
	if err := b.Commit(pebble.NoSync); err != nil {
		return s.fail(err)
	}
	v.remember()
	return b.Close() // not after a failure: the engine may still be using it
}

// record appends a record to the journal.
func (s *Store) record(content []byte, sync bool) error {
	if switched, err := s.journal.room(len(content), s.tables.durable()); err != nil {
		return err
	} else if switched {
		if err := s.tables.flush(s.db, s.journal.next-1); err != nil {
			return err
		}
	}
	if err := s.journal.append(content); err != nil {
		return err
	}
	if s.disk.refused.Load() {
		s.disk.refused.Store(false)
	}
	if !sync {
		return nil
	}
	return s.journal.sync()
}

// tables knows how far the engine has written what the journal holds to its tables. It is the committer's.
type tables struct {
	done    uint64 // sequence number of the journal's last record that is in them
	flushes []flush
}

// flush is one that was begun.
type flush struct {
	done  uint64
	ended <-chan struct{}
}

// maxFlushes is how many may be at work: with more of them the engine would make the committer wait. What is left out
// is in the next one, and until then the journal keeps more.
const maxFlushes = 2

// flush has the engine write all that it holds, which goes up to the record done, to its tables, and does not wait.
func (t *tables) flush(db *pebble.DB, done uint64) error {
	if len(t.flushes) >= maxFlushes {
		return nil
	}
	ended, err := db.AsyncFlush()
	if err == nil {
		t.flushes = append(t.flushes, flush{done, ended})
	}
	return err
}

// durable returns the sequence number of the last record that the journal need not keep.
func (t *tables) durable() uint64 {
	for len(t.flushes) > 0 {
		select {
		case <-t.flushes[0].ended:
			t.done, t.flushes = t.flushes[0].done, t.flushes[1:]
			continue
		default:
		}
		break
	}
	return t.done
}
