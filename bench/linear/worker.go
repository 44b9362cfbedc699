package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// worker does one operation after the other, each through one of the sessiond, and records it.
type worker struct {
	number   int
	rand     *rand.Rand
	history  *History
	stage    *stage
	sessions []sessionstore.Sessions
	payloads *atomic.Uint64
	answered *atomic.Int64

	leases map[*subject]uint64 // that it holds
}

// patience is how long a worker waits for an answer, most of the time.
const patience = 30 * time.Second

// work does one operation. An error is one that no operation may have.
func (w *worker) work(ctx context.Context) error {
	limit := patience
	if w.rand.IntN(25) == 0 { // some callers leave before the answer
		limit = time.Duration(w.rand.Int64N(int64(3 * time.Millisecond)))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s := w.stage.pick(w.rand)
	at := w.sessions[w.rand.IntN(len(w.sessions))]
	o := w.choose(s)
	id := s.id(w.rand)
	call := w.history.now()
	var got Outcome
	var err error
	if o.Kind == Lock {
		return w.lock(ctx, s, at, id, o, call)
	}
	got, err = perform(ctx, at, id, o, s.named)
	if err == nil && (o.Release || o.Kind == Touch) && o.Token == w.leases[s] {
		delete(w.leases, s)
	}
	return w.record(s, o, got, err, call)
}

// choose decides what to do to a session.
func (w *worker) choose(s *subject) Operation {
	o := Operation{Session: s.name}
	version, token := s.known()
	own := w.leases[s]
	switch n := w.rand.IntN(100); {
	case n < 28:
		o.Kind = Read
	case n < 40: // last writer wins
		o.Kind, o.IfVersion = Write, sessionstore.AnyVersion
	case n < 60: // compare and set; now and then with a version that is over, or not yet
		o.Kind, o.IfVersion = Write, version
		if w.rand.IntN(4) == 0 {
			o.IfVersion = version + uint64(w.rand.IntN(4)) - min(version, 2)
		}
	case n < 66:
		o.Kind, o.IfVersion = Write, 0
	case n < 74:
		o.Kind, o.Create = Touch, w.rand.IntN(2) == 0
	case n < 75:
		o.Kind = Destroy
	case n < 78 && s.regenerate():
		o.Kind = Regenerate
	case own == 0 && version != 0:
		o.Kind, o.Strict = Lock, s.mode == strict
	case w.rand.IntN(2) == 0 && own != 0:
		o.Kind = Unlock
	default:
		o.Kind, o.IfVersion = Write, sessionstore.AnyVersion
	}
	return w.fill(s, o, own, token)
}

// fill adds a payload, and the token of the worker's own lease or, now and then, of another's.
func (w *worker) fill(s *subject, o Operation, own, latest uint64) Operation {
	if o.Kind == Write {
		o.Payload = w.payloads.Add(1)
	}
	switch o.Kind {
	case Write, Regenerate:
		switch n := w.rand.IntN(10); {
		case n < 6:
			o.Token = own
		case n == 6:
			o.Token = latest
		}
		o.Release = o.Kind == Write && o.Token != 0 && w.rand.IntN(2) == 0
	case Touch:
		if w.rand.IntN(2) == 0 {
			o.Token = own
		}
	case Unlock:
		o.Token = own
		delete(w.leases, s)
	}
	return o
}

// record adds what came of an operation to the history.
func (w *worker) record(s *subject, o Operation, got Outcome, err error, call time.Duration) error {
	back := w.history.now()
	class, known := classify(err)
	if !known {
		return fmt.Errorf("%s: %w", o, err)
	}
	if class != OK {
		got = Outcome{Class: class}
	}
	if class != Unknown {
		w.answered.Add(1)
	}
	s.learn(o, got)
	w.history.add(Entry{Operation: o, Outcome: got, Worker: w.number, Call: call, Return: back})
	return nil
}

// lock opens the session for the sake of its lease. That is more than one operation: the lease is taken, and the session
// read, at different instants.
func (w *worker) lock(ctx context.Context, s *subject, at sessionstore.Sessions, id string, o Operation, call time.Duration) error {
	opened, err := at.Open(ctx, id, sessionstore.OpenOptions{Lock: true, LockWait: s.lockWait()})
	read := Operation{Kind: Read, Session: s.name}
	switch class, _ := classify(err); {
	case class == Unknown:
		return w.lockUnknown(s, o, err, call, never)
	case err == nil && opened.New:
		// The session may have ended while its lease was had.
		if err := w.lockUnknown(s, o, nil, call, w.history.now()); err != nil {
			return err
		}
		return w.record(s, read, Outcome{}, sessionstore.ErrNotFound, call)
	case err == nil:
		seen := Outcome{Version: opened.Session.Version, Payload: numberOf(opened.Session.Payload)}
		if err := w.record(s, read, seen, nil, call); err != nil {
			return err
		}
		w.leases[s] = opened.Lease.Token
	}
	return w.record(s, o, Outcome{Token: opened.Lease.Token}, err, call)
}

// lockUnknown records a lease that may have been taken and may have been given back, by the service or by the client.
// Both are over at the given time; that they did not happen at all is the same as one right after the other.
func (w *worker) lockUnknown(s *subject, o Operation, err error, call, over time.Duration) error {
	token := w.history.unknown()
	back := Operation{Kind: Unlock, Session: s.name, Token: token}
	w.history.add(Entry{Operation: o, Outcome: Outcome{Class: Unknown, Token: token}, Worker: w.number, Call: call, Return: over})
	w.history.add(Entry{Operation: back, Outcome: Outcome{Class: Unknown}, Worker: w.number, Call: call, Return: over})
	if err != nil {
		s.learn(o, Outcome{Class: Unknown})
		s.learn(back, Outcome{Class: Unknown})
	}
	return nil
}

// perform does an operation other than a lock.
func perform(ctx context.Context, at sessionstore.Sessions, id string, o Operation, named func(id string)) (got Outcome, err error) {
	switch o.Kind {
	case Read:
		var s sessionstore.Session
		s, err = at.Read(ctx, id)
		got.Version, got.Payload = s.Version, numberOf(s.Payload)
	case Write:
		w := sessionstore.WriteOptions{Payload: payloadFor(o.Payload), IfVersion: o.IfVersion, Token: o.Token, Release: o.Release}
		got.Version, err = at.Write(ctx, id, w)
	case Touch:
		err = at.Touch(ctx, id, sessionstore.TouchOptions{Create: o.Create, Release: o.Token})
	case Destroy:
		err = at.Destroy(ctx, id)
	case Unlock:
		err = at.Close(ctx, id, o.Token)
	case Regenerate:
		var s sessionstore.Session
		var next string
		next, s, err = at.Regenerate(ctx, id, sessionstore.RegenerateOptions{Token: o.Token})
		got.Version, got.Payload = s.Version, numberOf(s.Payload)
		if err == nil {
			named(next)
		}
	default:
		err = fmt.Errorf("%w: operation %v", sessionstore.ErrInvalid, o.Kind)
	}
	return got, err
}

// classify tells what an error says about an operation. known is false for one that no operation of a run may have.
func classify(err error) (class Class, known bool) {
	switch {
	case err == nil:
		return OK, true
	// First, because an outcome may be unknown for the very reason that something else was found.
	case errors.Is(err, sessionstore.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Unknown, true
	}
	for class, known := range map[Class]error{
		NotFound: sessionstore.ErrNotFound, Conflict: sessionstore.ErrConflict, Locked: sessionstore.ErrLocked, Destroyed: sessionstore.ErrDestroyed,
	} {
		if errors.Is(err, known) {
			return class, true
		}
	}
	return Unknown, false
}
