package resp

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

const (
	// forever is how long a value lives that was given no end. A key with over endless left has no end, so clients see.
	forever = sessionstore.MaxDuration
	endless = 365 * 24 * time.Hour
	// removal is how long the remains of a removed plain key lie about.
	removal = time.Millisecond
	// tries is how often a command that reads, decides and writes begins again because the value changed meanwhile.
	tries = 24
)

// entry is what lies under a key now.
type entry struct {
	value          // typ is absent if there is nothing
	version uint64 // to write on: 0 if there is no record
	left    time.Duration
	at      sessionstore.Key // where it lies, which differs for a regenerated session
}

func (e *entry) exists() bool { return e.typ != absent }

// load reads what lies under a key.
func (c *call) load(n name) (entry, error) {
	s, err := c.space.Read(c.ctx, n.key)
	if errors.Is(err, sessionstore.ErrNotFound) {
		return entry{at: n.key, value: value{prefix: n.prefix}}, nil
	}
	if err != nil {
		return entry{}, err
	}
	e := entry{version: s.Version, left: max(time.Millisecond, time.Until(s.Expires)), at: s.Key}
	if n.kind == session {
		e.value = value{typ: stringy, str: s.Payload}
		return e, nil
	}
	e.value, err = decodeValue(s.Payload)
	return e, err
}

// loadString is load for a command on strings.
func (c *call) loadString(n name) (entry, error) {
	e, err := c.load(n)
	if err == nil && e.typ == hashy {
		err = errWrongType
	}
	return e, err
}

// save writes a value on a condition. An idle of 0 means that nobody gave the value an end: a session then gets its
// namespace's, anything else none.
func (c *call) save(n name, v value, idle time.Duration, ifVersion uint64) error {
	if err := c.mayCreate(n, ifVersion); err != nil {
		return err
	}
	w := sessionstore.WriteOptions{Payload: v.str, Idle: idle, IfVersion: ifVersion, Token: c.token(n.key)}
	if n.kind != session {
		if idle == 0 {
			w.Idle = forever
		}
		v.prefix = n.prefix
		w.Payload = v.encode()
	}
	version, err := c.space.Write(c.ctx, n.key, w)
	switch {
	case err == nil && version == 1:
		c.opts.Rate.Charge(c.addr)
	case w.Token != 0 && errors.Is(err, sessionstore.ErrConflict) && !errors.Is(err, sessionstore.ErrUnavailable) && c.lost(n.key):
		return errLostLock
	}
	return err
}

// mayCreate refuses a write that would create something, if the client's address has created too much.
func (c *call) mayCreate(n name, ifVersion uint64) error {
	if ifVersion != 0 && ifVersion != sessionstore.AnyVersion {
		return nil
	}
	if _, exhausted := c.opts.Rate.Exhausted(c.addr); !exhausted {
		return nil
	}
	e, err := c.load(n)
	if err == nil && !e.exists() {
		err = errCreation
	}
	return err
}

// change reads what lies under a key, lets f decide, and writes what f made of it, all in one step as others see it. f
// returns false to leave things as they are, and is called again if they changed meanwhile. A value that f made absent
// is removed. The end of what was there is kept unless f sets e.left; a new value's is e.left, or none if that is 0.
func (c *call) change(n name, f func(e *entry) (bool, error)) error {
	for try := range tries {
		e, err := c.load(n)
		if err != nil {
			return err
		}
		existed := e.exists()
		if !existed {
			e.left = 0
		}
		again := e.version
		write, err := f(&e)
		if err != nil || !write {
			return err
		}
		switch {
		case e.exists():
			err = c.save(n, e.value, keep(e.left), again)
		case existed:
			err = c.remove(n, again)
		}
		if !errors.Is(err, sessionstore.ErrConflict) && !errors.Is(err, sessionstore.ErrNotFound) {
			return err
		}
		if err := c.pause(try); err != nil {
			return err
		}
	}
	return errContended
}

// keep returns the idle time-out that leaves a value's end where it is.
func keep(left time.Duration) time.Duration {
	if left >= endless {
		return forever
	}
	return left
}

// pause waits for others to finish what they do to a key.
func (c *call) pause(try int) error {
	if try < 2 {
		return c.ctx.Err()
	}
	t := time.NewTimer(rand.N(time.Millisecond << min(try, 5)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// remove takes away what has this version under the key. A session leaves a tombstone, and no other version of it is
// spared: a session that is logged out is out.
func (c *call) remove(n name, version uint64) error {
	if n.kind == session {
		return c.space.Destroy(c.ctx, n.key)
	}
	gone := value{typ: absent, prefix: n.prefix}
	_, err := c.space.Write(c.ctx, n.key, sessionstore.WriteOptions{
		Payload: gone.encode(), Idle: removal, IfVersion: version, Token: c.token(n.key),
	})
	return err
}

// del removes whatever lies under a key and reports whether there was anything. A session id gets its tombstone also
// when nothing was written under it, since a request in flight may be about to.
func (c *call) del(n name) (was bool, err error) {
	switch n.kind {
	case leaseKey:
		return c.breakLock(n)
	case session:
		e, err := c.load(n)
		if err != nil {
			return false, err
		}
		return e.exists(), c.space.Destroy(c.ctx, n.key)
	}
	err = c.change(n, func(e *entry) (bool, error) {
		was = e.exists()
		e.value.typ = absent
		return was, nil
	})
	return was, err
}

// clamp makes a time-to-live of any size one that a store takes.
func clamp(d time.Duration) time.Duration { return min(max(d, time.Millisecond), forever) }
