package service

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// Why [Service.Take] has no server.
var (
	// ErrNobody tells that there is no real server, or none of a weight above 0.
	ErrNobody = errors.New("no real server")
	// ErrBusy tells that every real server is at its threshold, or the service at its limit, and the queue is full.
	ErrBusy = errors.New("all real servers are busy")
	// ErrWaited tells that the queue's time-out has passed.
	ErrWaited = errors.New("all real servers were busy for too long")
	// ErrWaiting tells that the connection stands in the queue: Ready will be called.
	ErrWaiting = errors.New("waiting for a real server")
)

// Claim is what one connection wants of a service. A dataplane keeps one for each connection.
type Claim struct {
	Flow scheduler.Flow
	// Tried are the servers that could not be reached for this connection.
	Tried []*Server
	// Ready is called once, from any goroutine, when a connection has waited: with a server, as Take would have returned
	// it, or with [ErrWaited] or [ErrNobody]. It must return soon. nil means that this connection does not wait.
	Ready func(*Server, error)

	// Guarded by the service's lock.
	template *template     // held, or nil
	place    *list.Element // in the queue, or nil
	until    time.Time     // when the queue's time-out is over
}

// Take returns the server for a new connection, for which it has called Opening: the dataplane goes on with Failed,
// Canceled or Established. Further than [Service.Pick], it obeys maxconn, and queue and queuetimeout: with nobody free,
// the error is [ErrWaiting], and c.Ready is called when a server is free for this connection, in the order in which
// connections came. Otherwise the error is [ErrNobody] or [ErrBusy].
//
// A dataplane that could not reach the server calls Failed, adds it to c.Tried and calls Take again. Once a connection
// has ended in whatever way, it calls Leave: until then its client is remembered by persistence.
func (s *Service) Take(c *Claim) (*Server, error) {
	s.waiting.Add(1) // before looking, so that whoever frees a place from now on looks for us
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.Len() == 0 { // nobody is overtaken
		if server := s.serve(c); server != nil {
			s.waiting.Add(-1)
			return server, nil
		}
	}
	if err := s.enqueue(c); err != nil {
		s.waiting.Add(-1)
		return nil, err
	}
	return nil, ErrWaiting
}

// Leave ends a claim: its connection has ended, or waits no longer. It reports whether the connection stood in the queue.
// If it did not, because it just got a server or an answer, Ready was called or will be.
func (s *Service) Leave(c *Claim) (waited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(c)
	if c.place == nil {
		return false
	}
	s.dequeue(c)
	return true
}

// Wait is Take for a caller that has a goroutine for the connection: it waits until there is a server, or none to wait
// for, or ctx ends.
func (s *Service) Wait(ctx context.Context, c *Claim) (*Server, error) {
	type answer struct {
		server *Server
		err    error
	}
	ready := make(chan answer, 1)
	c.Ready = func(server *Server, err error) { ready <- answer{server, err} }
	server, err := s.Take(c)
	if !errors.Is(err, ErrWaiting) {
		return server, err
	}
	select {
	case a := <-ready:
		return a.server, a.err
	case <-ctx.Done():
	}
	if s.Leave(c) {
		return nil, ctx.Err()
	}
	a := <-ready // it came at the same moment
	return a.server, a.err
}

// serve gives a claim a server if one is free. The lock is held.
func (s *Service) serve(c *Claim) *Server {
	s.release(c)
	if s.full() {
		return nil
	}
	server, t := s.pick(c.Flow, c.Tried)
	if server == nil {
		return nil
	}
	server.Opening()
	if t != nil {
		t.held++
		c.template = t
	}
	return server
}

// release lets go of the template that a claim holds.
func (s *Service) release(c *Claim) {
	if c.template != nil {
		c.template.held--
		c.template = nil
	}
}

func (s *Service) enqueue(c *Claim) error {
	o := &s.spec.Own
	switch {
	case !s.busy(c):
		return ErrNobody
	case c.Ready == nil || o.QueueTimeout <= 0 || s.queue.Len() >= o.Queue:
		return ErrBusy
	}
	c.until = s.now().Add(o.QueueTimeout)
	c.place = s.queue.PushBack(c)
	if s.queue.Len() == 1 {
		s.arm(c)
	}
	return nil
}

// full reports whether the service is at its own limit.
func (s *Service) full() bool {
	most := s.spec.Own.MaxConns
	return most > 0 && s.total.Load() >= int64(most)
}

// busy reports whether a claim that was not served has something to wait for: the service's limit, or a server that only
// is at its threshold.
func (s *Service) busy(c *Claim) bool {
	full := s.full()
	return slices.ContainsFunc(s.table, func(server *Server) bool {
		return server.weight > 0 && (full || server.overloaded.Load()) && !slices.Contains(c.Tried, server)
	})
}

func (s *Service) dequeue(c *Claim) {
	s.queue.Remove(c.place)
	c.place = nil
	s.waiting.Add(-1)
}

// arm has the queue looked at when a claim's time-out is over.
func (s *Service) arm(c *Claim) {
	wait := max(c.until.Sub(s.now()), 0)
	if s.alarm == nil {
		s.alarm = time.AfterFunc(wait, s.freed)
		return
	}
	s.alarm.Reset(wait)
}

// freed is called, without the lock, whenever a server may have become free.
func (s *Service) freed() {
	if s.waiting.Load() > 0 {
		s.callWaiting()
	}
}

// lookahead bounds how many of those who wait are asked when a place is free: all but those whom their scheduler would
// send to a certain server can use any.
const lookahead = 64

// callWaiting gives servers to those who wait, in order, and sends away those who have waited for too long.
func (s *Service) callWaiting() {
	type call struct {
		claim  *Claim
		server *Server
		err    error
	}
	var calls []call
	s.mu.Lock()
	now := s.now()
	looked := 0
	for e := s.queue.Front(); e != nil && looked < lookahead; {
		c := e.Value.(*Claim)
		e = e.Next()
		server, err := s.serve(c), error(nil)
		switch {
		case server != nil:
		case !s.busy(c):
			err = ErrNobody
		case !now.Before(c.until):
			err = ErrWaited
		default:
			looked++
			continue
		}
		s.dequeue(c)
		calls = append(calls, call{c, server, err})
	}
	if front := s.queue.Front(); front != nil {
		s.arm(front.Value.(*Claim))
	} else if s.alarm != nil {
		s.alarm.Stop()
	}
	s.mu.Unlock()
	for _, c := range calls {
		c.claim.Ready(c.server, c.err)
	}
}
