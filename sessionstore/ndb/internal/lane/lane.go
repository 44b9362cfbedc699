// Package lane gathers operations on keys into batches. What waits while a batch is in flight goes out as the next one:
// there is no timer, so an idle store adds no latency, and the busier it is the larger its batches are.
//
// A key belongs to one lane, by its hash, and a lane has one batch in flight. So no two batches of one process meet on a
// row, where they could wait for each other in a circle.
//
// The package knows nothing of what a batch does, nor of SQL: see [Executor].
package lane

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/lvsession/lvsession/sessionstore"
)

// Outcome is what became of one operation of a batch.
type Outcome[R any] struct {
	Value R
	Err   error
}

// Executor runs a batch of at least one operation and returns one outcome for each, in their order. It must end by itself,
// and it must keep an operation that fails from failing its neighbours.
type Executor[O, R any] func(batch []O) []Outcome[R]

// Options say how to gather.
type Options struct {
	Lanes    int  // how many batches can be in flight; at least 1
	MaxBatch int  // operations in a batch; at least 1
	MaxBytes int  // of the operations' sizes in a batch; one operation may exceed it alone
	Repeat   bool // whether a batch may hold a key more than once; if not, the second waits for the next batch
}

// Lanes run operations in batches. All methods may be called concurrently.
type Lanes[O, R any] struct {
	options Options
	execute Executor[O, R]
	lanes   []line[O, R]
	running sync.WaitGroup // of goroutines, one for each lane that is not idle
	spare   sync.Pool      // of *waiter, whose channels are empty
}

// line is one lane.
type line[O, R any] struct {
	mu   sync.Mutex
	ends waiter[O, R] // of the ring of those that wait, first come, first served
	busy bool         // a goroutine takes batches from it
}

// waiter is an operation that waits for its batch, or is in it.
type waiter[O, R any] struct {
	key  sessionstore.Key
	size int
	op   O
	done chan Outcome[R] // has room for the outcome

	before, behind *waiter[O, R] // in the line; nil once a batch has it
}

// New returns lanes that the executor serves.
func New[O, R any](o Options, execute Executor[O, R]) *Lanes[O, R] {
	l := &Lanes[O, R]{options: o, execute: execute, lanes: make([]line[O, R], o.Lanes)}
	l.spare.New = func() any { return &waiter[O, R]{done: make(chan Outcome[R], 1)} }
	for i := range l.lanes {
		ends := &l.lanes[i].ends
		ends.before, ends.behind = ends, ends
	}
	return l
}

// Do runs an operation of the given size in bytes in the next batch of its key's lane, and returns its outcome. If the context
// ends first, Do returns its error at once; an operation that was still waiting then never runs.
func (l *Lanes[O, R]) Do(ctx context.Context, key sessionstore.Key, size int, op O) (R, error) {
	if err := ctx.Err(); err != nil {
		var none R
		return none, err
	}
	w := l.spare.Get().(*waiter[O, R])
	w.key, w.size, w.op = key, size, op
	q := &l.lanes[binary.BigEndian.Uint64(key[:8])%uint64(len(l.lanes))]
	l.join(q, w)
	select {
	case o := <-w.done:
		var none O
		w.op = none
		l.spare.Put(w)
		return o.Value, o.Err
	case <-ctx.Done():
		q.mu.Lock()
		w.leave() // does nothing once a batch has it, which will tell it the outcome: so it is not used again
		q.mu.Unlock()
		var none R
		return none, ctx.Err()
	}
}

// Wait waits until all batches are over. Nothing may call Do any more; operations that their callers left may be under way.
func (l *Lanes[O, R]) Wait() { l.running.Wait() }

// join queues an operation and makes sure that the lane runs.
func (l *Lanes[O, R]) join(q *line[O, R], w *waiter[O, R]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w.before, w.behind = q.ends.before, &q.ends
	w.before.behind, w.behind.before = w, w
	if !q.busy {
		q.busy = true
		l.running.Go(func() { l.run(q) })
	}
}

// run runs one batch after the other until nobody waits.
func (l *Lanes[O, R]) run(q *line[O, R]) {
	for {
		batch := q.take(l.options)
		if len(batch) == 0 {
			return
		}
		ops := make([]O, len(batch))
		for i, w := range batch {
			ops[i] = w.op
		}
		outcomes := l.execute(ops)
		for i, w := range batch {
			w.done <- outcomes[i]
		}
		// Let those callers run who will come again at once, and join the next batch.
		runtime.Gosched()
	}
}

// take removes the next batch from the queue. If nobody waits it makes the lane idle and returns nothing.
func (q *line[O, R]) take(o Options) (batch []*waiter[O, R]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.ends.behind
	q.busy = first != &q.ends
	if q.busy && first.behind == &q.ends {
		first.leave()
		return append(batch, first)
	}
	var held map[sessionstore.Key]bool
	if q.busy && !o.Repeat {
		held = make(map[sessionstore.Key]bool, o.MaxBatch)
	}
	size := 0
	for w := first; w != &q.ends && len(batch) < o.MaxBatch; {
		next := w.behind
		switch {
		case len(batch) > 0 && size+w.size > o.MaxBytes:
			return batch
		case o.Repeat || !held[w.key]:
			if !o.Repeat {
				held[w.key] = true
			}
			size += w.size
			w.leave()
			batch = append(batch, w)
		}
		w = next
	}
	return batch
}

// leave takes the waiter out of its line, in which it may not be any more.
func (w *waiter[O, R]) leave() {
	if w.behind == nil {
		return
	}
	w.before.behind, w.behind.before = w.behind, w.before
	w.before, w.behind = nil, nil
}
