package embedded

import (
	"context"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// Lock implements [sessionstore.Store]. A crash may take the lease back, if nothing was put on disk since: then the session
// is as if another had taken it, and a write under its token is refused. So no lock waits for the disk, and whatever is
// written under one is on disk only together with it.
func (s *Store) Lock(ctx context.Context, key sessionstore.Key, l sessionstore.Lock) (sessionstore.Lease, error) {
	if err := l.Check(); err != nil {
		return sessionstore.Lease{}, err
	}
	var lease sessionstore.Lease
	err := s.submit(ctx, &operation{
		name: "lock", grows: true, lazy: true,
		evaluate: func(v *view, now int64) (err error) {
			lease, err = s.grant(v, key, l, now)
			return err
		},
	})
	if err != nil {
		return sessionstore.Lease{}, err
	}
	return lease, nil
}

func (s *Store) grant(v *view, key sessionstore.Key, l sessionstore.Lock, now int64) (sessionstore.Lease, error) {
	c, err := v.lease(key)
	if err != nil {
		return sessionstore.Lease{}, err
	}
	if now < c.until {
		return sessionstore.Lease{}, &sessionstore.LockedError{Until: time.UnixMilli(c.until)}
	}
	c.token = s.nextToken(c.token, now)
	c.owner = l.Owner
	c.until = now + l.TTL.Milliseconds()
	v.putLease(c)
	return c.granted(), nil
}

// Leased implements [sessionstore.Store]. It takes its turn among the changes, so that what it tells is on disk.
func (s *Store) Leased(ctx context.Context, key sessionstore.Key) (sessionstore.Lease, error) {
	var lease sessionstore.Lease
	err := s.submit(ctx, &operation{
		name: "leased",
		evaluate: func(v *view, now int64) error {
			c, err := v.lease(key)
			if err != nil {
				return err
			}
			if c.token == 0 || now >= c.until {
				return sessionstore.ErrNotFound
			}
			lease = c.granted()
			return nil
		},
	})
	if err != nil {
		return sessionstore.Lease{}, err
	}
	return lease, nil
}

// nextToken returns a fencing token that no earlier lease of the key has had: above the previous one as long as that is
// known, and not below the time in microseconds, which has passed all tokens of a lease that was collected since. Only
// the committer calls it.
func (s *Store) nextToken(previous uint64, now int64) uint64 {
	s.token = max(s.token+1, previous+1, uint64(max(0, now))*1000)
	return s.token
}

// Unlock implements [sessionstore.Store]. A crash may bring the lease back, if nothing was put on disk since; it then ends
// by itself, as that of a holder who crashed.
func (s *Store) Unlock(ctx context.Context, key sessionstore.Key, token uint64) error {
	return s.submit(ctx, &operation{
		name: "unlock", lazy: true,
		evaluate: func(v *view, now int64) error { return v.release(key, token, now) },
	})
}

// release ends the key's lease if that has this token, which 0 is never.
func (v *view) release(key sessionstore.Key, token uint64, now int64) error {
	if token == 0 {
		return nil
	}
	c, err := v.lease(key)
	if err != nil || !c.holds(token, now) {
		return err
	}
	c.until = 0
	v.putLease(c)
	return nil
}

// moveLease gives the lease that a session was regenerated under to its new key; the old key's ends. A token of 0 moves
// nothing.
func (v *view) moveLease(old, new sessionstore.Key, token uint64) error {
	if token == 0 {
		return nil
	}
	from, err := v.lease(old)
	if err != nil {
		return err
	}
	to, err := v.lease(new)
	if err != nil {
		return err
	}
	to.token, to.owner, to.until = from.token, from.owner, from.until
	v.putLease(to)
	from.until = 0
	v.putLease(from)
	return nil
}
