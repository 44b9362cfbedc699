package resp

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Bounds of locks.
const (
	maxLockSecret = 256  // bytes of what SET stores in a lock's key
	maxLocks      = 1024 // leases that one connection is known to have taken
)

// held is a lease that a connection took.
type held struct {
	at     sessionstore.Key // of the session
	token  uint64
	secret string
	until  time.Time
}

// holding returns the lease that this connection took by a key.
func (c *conn) holding(key sessionstore.Key) (held, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.leases[key]
	return h, ok
}

// token returns the fencing token of the lease that this connection took by a key, 0 if it took none. Its writes go
// under that token, so that one which comes after somebody else took the lease is refused.
func (c *conn) token(key sessionstore.Key) uint64 {
	h, _ := c.holding(key)
	return h.token
}

func (c *conn) hold(key sessionstore.Key, h held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leases == nil {
		c.leases = map[sessionstore.Key]held{}
	}
	c.leases[key] = h
}

func (c *conn) drop(key sessionstore.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.leases, key)
}

// room forgets leases that ended, if there are too many, and tells whether another one fits.
func (c *conn) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.leases) < maxLocks {
		return true
	}
	for key, h := range c.leases {
		if time.Now().After(h.until) {
			delete(c.leases, key)
		}
	}
	return len(c.leases) < maxLocks
}

// owner is the mark in the store of a lease with this secret, by which any sessiond knows who may release it.
func owner(secret string) uint64 {
	sum := sha256.Sum256([]byte(secret))
	return max(1, binary.BigEndian.Uint64(sum[:]))
}

// setLock is SET of a lock.
func (c *call) setLock(n name, o setOptions) error {
	if !o.nx || o.get || o.keep || o.timed && o.ttl <= 0 {
		return errLockOnly
	}
	got, err := c.takeLock(n, string(c.args[2]), o.ttl)
	switch {
	case err != nil:
		return err
	case got:
		c.ok()
	default:
		c.null()
	}
	return nil
}

// takeLock takes a lease, after waiting in line for as long as the options say. A ttl of 0 means the namespace's.
func (c *call) takeLock(n name, secret string, ttl time.Duration) (got bool, err error) {
	if len(secret) == 0 || len(secret) > maxLockSecret {
		return false, answer(fmt.Sprintf("ERR the value of a lock has 1 to %d bytes", maxLockSecret))
	}
	if !c.room() {
		return false, answer("ERR this connection holds too many locks")
	}
	if ttl == 0 {
		ttl = c.space.Policy().LockTTL
	}
	l := sessionstore.Lock{TTL: clamp(ttl), Owner: owner(secret)}
	for began := time.Now(); ; {
		at, err := c.lockedKey(n)
		if err != nil {
			return false, err
		}
		lease, waited, err := c.await(at, l, c.opts.LockWait-time.Since(began))
		if errors.Is(err, sessionstore.ErrLocked) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if waited { // the session may have got a new id meanwhile
			if now, err := c.lockedKey(n); err != nil || now != at {
				c.giveBack(at, lease.Token)
				if err != nil {
					return false, err
				}
				continue
			}
		}
		c.hold(n.key, held{at: at, token: lease.Token, secret: secret, until: lease.Until})
		return true, nil
	}
}

// await takes the lease at once or waits for it. If the client goes meanwhile, nobody gets it.
func (c *call) await(at sessionstore.Key, l sessionstore.Lock, wait time.Duration) (lease sessionstore.Lease, waited bool, err error) {
	lease, err = c.space.Lock(c.ctx, at, l, 0)
	if !errors.Is(err, sessionstore.ErrLocked) || wait <= 0 {
		return lease, false, err
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	end := func() {}
	if c.alone {
		end = c.watch(cancel)
	}
	lease, err = c.space.Lock(ctx, at, l, wait)
	end()
	if err == nil && ctx.Err() != nil {
		c.giveBack(at, lease.Token)
		return sessionstore.Lease{}, true, ctx.Err()
	}
	return lease, true, err
}

// giveBack releases a lease that nobody will use. If that fails it ends by itself.
func (c *call) giveBack(at sessionstore.Key, token uint64) {
	if err := c.space.Unlock(c.ctx, at, token); err != nil {
		c.opts.Logger.Warn("a lease was not released and will run out", "session", at, "error", err)
	}
}

// lockedKey returns the key whose lease a lock stands for: the session's own, which differs from the one that was named
// after it got a new id.
func (c *call) lockedKey(n name) (sessionstore.Key, error) {
	if n.of != session {
		return n.key, nil
	}
	s, err := c.space.Read(c.ctx, n.key)
	switch {
	case err == nil:
		return s.Key, nil
	case errors.Is(err, sessionstore.ErrNotFound):
		return n.key, nil
	}
	return n.key, err
}

// releaseLock ends the lease if it was taken with this secret, through whatever connection and sessiond. held tells
// whether there was any.
func (c *call) releaseLock(n name, secret string) (released, held bool, err error) {
	if h, ok := c.holding(n.key); ok && h.secret == secret {
		if err := c.space.Unlock(c.ctx, h.at, h.token); err != nil {
			return false, true, err
		}
		c.drop(n.key)
		live := time.Now().Before(h.until)
		return live, live, nil
	}
	at, lease, err := c.leased(n)
	if err != nil || lease.Token == 0 || lease.Owner != owner(secret) {
		return false, lease.Token != 0, err
	}
	return true, true, c.space.Unlock(c.ctx, at, lease.Token)
}

// leased returns the lease that a lock stands for, the zero lease if nobody holds it.
func (c *call) leased(n name) (at sessionstore.Key, lease sessionstore.Lease, err error) {
	if at, err = c.lockedKey(n); err != nil {
		return at, lease, err
	}
	lease, err = c.space.Leased(c.ctx, at)
	if errors.Is(err, sessionstore.ErrNotFound) {
		return at, sessionstore.Lease{}, nil
	}
	return at, lease, err
}

// breakLock is DEL of a lock, whoever holds it.
func (c *call) breakLock(n name) (bool, error) {
	at, lease, err := c.leased(n)
	if err != nil || lease.Token == 0 {
		return false, err
	}
	if c.token(n.key) == lease.Token {
		c.drop(n.key)
	}
	return true, c.space.Unlock(c.ctx, at, lease.Token)
}

// loadLock reads a lock as if it were a string: for the connection that took it the secret, so that it can make sure
// that it still has the lock; for everybody else something that is no secret.
func (c *call) loadLock(n name) (entry, error) {
	at, lease, err := c.leased(n)
	if err != nil || lease.Token == 0 {
		return entry{}, err
	}
	e := entry{value: value{typ: stringy}, left: max(time.Millisecond, time.Until(lease.Until)), at: at}
	if h, ok := c.holding(n.key); ok && h.token == lease.Token {
		e.str = []byte(h.secret)
	} else {
		e.str = fmt.Appendf(nil, "locked by %016x", lease.Owner)
	}
	return e, nil
}

func (c *call) getLock(n name) error {
	e, err := c.loadLock(n)
	if err == nil {
		c.value(e)
	}
	return err
}

// lost tells whether the lease that this connection took by a key is another's by now.
func (c *call) lost(key sessionstore.Key) bool {
	h, ok := c.holding(key)
	if !ok {
		return false
	}
	lease, err := c.space.Leased(c.ctx, h.at)
	return err == nil && lease.Token != h.token
}
