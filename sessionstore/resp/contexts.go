package resp

import (
	"context"
	"sync/atomic"
	"time"
)

// contexts gives commands the contexts that bound how long they take. Those that begin within a short while share one: a
// context of its own, with its timer, costs a command more than looking a session up.
type contexts struct {
	parent  context.Context
	timeout time.Duration
	current atomic.Pointer[sharedContext]
}

// sharedContext is the context of commands that begin before until.
type sharedContext struct {
	context.Context
	cancel context.CancelFunc // never called: it ends by itself, or with its parent
	until  time.Time
}

// sharing is the part of the time-out, one over it, for which commands share a context.
const sharing = 16

// at returns a context for a command that begins now. It ends after the time-out, or a sixteenth of that later.
func (c *contexts) at(now time.Time) context.Context {
	if s := c.current.Load(); s != nil && now.Before(s.until) {
		return s
	}
	more := c.timeout / sharing
	s := &sharedContext{until: now.Add(more)}
	s.Context, s.cancel = context.WithDeadline(c.parent, now.Add(c.timeout+more))
	c.current.Store(s)
	return s
}
