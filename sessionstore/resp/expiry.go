package resp

import (
	"errors"
	"math"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// ttlUnit is how a command gives a time-to-live: in what unit, and whether since 1970.
type ttlUnit struct {
	unit     time.Duration
	absolute bool
}

var ttlUnits = map[string]ttlUnit{
	"EX": {time.Second, false}, "PX": {time.Millisecond, false},
	"EXAT": {time.Second, true}, "PXAT": {time.Millisecond, true},
}

// in returns the time-to-live that a number stands for. It is not positive if the end has come already, and any that is
// too long for a store is as long as one takes. ok is false for a number that overflows Redis's clock.
func (u ttlUnit) in(n int64) (d time.Duration, ok bool) {
	if n > math.MaxInt64/int64(u.unit/time.Millisecond) || n < math.MinInt64/int64(u.unit/time.Millisecond) {
		return 0, false
	}
	ms := n * int64(u.unit/time.Millisecond)
	if u.absolute {
		ms -= time.Now().UnixMilli()
	}
	return time.Duration(min(max(ms, -1), forever.Milliseconds())) * time.Millisecond, true
}

// ttl reads the argument that gives a new value its time-to-live.
func (c *call) ttl(i int, u ttlUnit) (time.Duration, error) {
	n, err := c.number(i)
	if err != nil {
		return 0, err
	}
	d, ok := u.in(n)
	if n <= 0 || !ok {
		return 0, badExpire(c.cmd.name)
	}
	return d, nil
}

// expire is EXPIRE key n [NX|XX|GT|LT] and its kin.
func expire(u ttlUnit) func(*call) error {
	return func(c *call) error {
		n, err := c.number(2)
		if err != nil {
			return err
		}
		d, ok := u.in(n)
		if !ok {
			return badExpire(c.cmd.name)
		}
		var f expireFlags
		for i := 3; i < len(c.args); i++ {
			if err := f.set(c.option(i)); err != nil {
				return err
			}
		}
		done, err := c.expireIn(d, f)
		if err == nil {
			c.yes(done)
		}
		return err
	}
}

type expireFlags struct{ nx, xx, gt, lt bool }

func (f *expireFlags) set(option string) error {
	switch option {
	case "NX":
		f.nx = true
	case "XX":
		f.xx = true
	case "GT":
		f.gt = true
	case "LT":
		f.lt = true
	default:
		return answer("ERR Unsupported option " + option)
	}
	if f.nx && (f.xx || f.gt || f.lt) {
		return answer("ERR NX and XX, GT or LT options at the same time are not compatible")
	}
	if f.gt && f.lt {
		return answer("ERR GT and LT options at the same time are not compatible")
	}
	return nil
}

// allow tells whether the flags let a key that has this left get d. No end counts as the latest one.
func (f expireFlags) allow(left, d time.Duration) bool {
	none := left >= endless
	switch {
	case f.nx && !none, f.xx && none, f.gt && (none || d <= left), f.lt && !none && d >= left:
		return false
	}
	return true
}

func (c *call) expireIn(d time.Duration, f expireFlags) (done bool, err error) {
	n, err := c.key(1)
	if err != nil {
		return false, err
	}
	if n.kind == leaseKey {
		return false, errLockOnly
	}
	if n.kind != session || d <= 0 || f != (expireFlags{}) {
		e, err := c.load(n)
		if err != nil || !e.exists() || !f.allow(e.left, d) {
			return false, err
		}
	}
	if d <= 0 {
		return c.del(n)
	}
	return c.touch(n, d)
}

// touch moves the end of what lies under a key and reports whether there is anything.
func (c *call) touch(n name, d time.Duration) (bool, error) {
	err := c.space.Touch(c.ctx, n.key, sessionstore.TouchOptions{Idle: clamp(d)})
	if errors.Is(err, sessionstore.ErrNotFound) || errors.Is(err, sessionstore.ErrDestroyed) {
		return false, nil
	}
	return err == nil, err
}

func persist(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	if n.kind == leaseKey {
		return errLockOnly
	}
	e, err := c.load(n)
	if err != nil {
		return err
	}
	done := e.exists() && e.left < endless
	if done {
		done, err = c.touch(n, forever)
	}
	if err == nil {
		c.yes(done)
	}
	return err
}

// remaining is TTL and its kin: -2 for no key, -1 for no end.
func remaining(u ttlUnit) func(*call) error {
	return func(c *call) error {
		n, err := c.key(1)
		if err != nil {
			return err
		}
		e, err := c.loadAny(n)
		switch {
		case err != nil:
			return err
		case !e.exists():
			c.integer(-2)
		case e.left >= endless:
			c.integer(-1)
		default:
			ms := e.left.Milliseconds()
			if u.absolute {
				ms += time.Now().UnixMilli()
			}
			if u.unit == time.Second {
				ms = (ms + 500) / 1000
			}
			c.integer(ms)
		}
		return nil
	}
}

// loadAny is load that knows locks too.
func (c *call) loadAny(n name) (entry, error) {
	if n.kind == leaseKey {
		return c.loadLock(n)
	}
	return c.load(n)
}
