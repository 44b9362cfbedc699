package resp

import (
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// held is a lease that a connection took.
type held struct {
	token  uint64
	secret string
	until  time.Time
}

// token returns the fencing token of the lease that this connection took of a key, 0 if it took none. Its writes go under
// that token, so that one which comes after somebody else took the lease is refused.
func (c *conn) token(key sessionstore.Key) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leases[key].token
}

// lost tells whether a conflict is that of a lease which is no longer the connection's.
func (c *call) lost(key sessionstore.Key) bool { return false }

func (c *call) breakLock(n name) (bool, error) { return false, errLockOnly }

func (c *call) getLock(n name) error               { return errLockOnly }
func (c *call) setLock(n name, o setOptions) error { return errLockOnly }
func (c *call) takeLock(n name, secret string, ttl time.Duration) (bool, error) {
	return false, errLockOnly
}
func (c *call) loadLock(n name) (entry, error) { return entry{}, errLockOnly }
