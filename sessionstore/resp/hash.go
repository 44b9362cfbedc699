package resp

import (
	"math"
	"slices"
	"strconv"
)

// hashKey returns what the first argument names, if that may hold a hash.
func (c *call) hashKey() (name, error) {
	n, err := c.key(1)
	switch {
	case err != nil:
		return name{}, err
	case n.kind == leaseKey:
		return name{}, errWrongType
	}
	return n, nil
}

// loadHash reads a hash; what is absent is an empty one.
func (c *call) loadHash() (entry, error) {
	n, err := c.hashKey()
	if err != nil {
		return entry{}, err
	}
	e, err := c.load(n)
	if err == nil && e.typ == stringy {
		err = errWrongType
	}
	return e, err
}

// changeHash changes a hash; one that has no field left is removed.
func (c *call) changeHash(f func(e *entry) (bool, error)) error {
	n, err := c.hashKey()
	if err != nil {
		return err
	}
	return c.change(n, func(e *entry) (bool, error) {
		if e.typ == stringy {
			return false, errWrongType
		}
		if n.kind == session {
			return false, errSession
		}
		write, err := f(e)
		e.typ = hashy
		if len(e.hash) == 0 {
			e.typ = absent
		}
		return write, err
	})
}

// hset is HSET and HMSET key field value ….
func hset(c *call) error {
	if len(c.args)%2 != 0 {
		return wrongNumber(c.cmd.name)
	}
	added := 0
	err := c.changeHash(func(e *entry) (bool, error) {
		added = 0
		for i := 2; i < len(c.args); i += 2 {
			if e.set(c.args[i], c.args[i+1]) {
				added++
			}
		}
		return true, nil
	})
	switch {
	case err != nil:
		return err
	case c.cmd.name == "hmset":
		c.ok()
	default:
		c.integer(int64(added))
	}
	return nil
}

func hsetnx(c *call) error {
	added := false
	err := c.changeHash(func(e *entry) (bool, error) {
		if added = e.find(c.args[2]) < 0; added {
			e.set(c.args[2], c.args[3])
		}
		return added, nil
	})
	if err == nil {
		c.yes(added)
	}
	return err
}

func hdel(c *call) error {
	removed := 0
	err := c.changeHash(func(e *entry) (bool, error) {
		removed = 0
		for _, field := range c.args[2:] {
			if i := e.find(field); i >= 0 {
				e.hash = slices.Delete(e.hash, i, i+1)
				removed++
			}
		}
		return removed > 0, nil
	})
	if err == nil {
		c.integer(int64(removed))
	}
	return err
}

func hincrby(c *call) error {
	by, err := c.number(3)
	if err != nil {
		return err
	}
	var sum int64
	err = c.changeHash(func(e *entry) (bool, error) {
		sum = 0
		if i := e.find(c.args[2]); i >= 0 {
			var ok bool
			if sum, ok = parseInt(e.hash[i].value); !ok {
				return false, errHashInt
			}
		}
		if by > 0 && sum > math.MaxInt64-by || by < 0 && sum < math.MinInt64-by {
			return false, errOverflow
		}
		sum += by
		e.set(c.args[2], strconv.AppendInt(nil, sum, 10))
		return true, nil
	})
	if err == nil {
		c.integer(sum)
	}
	return err
}

func hget(c *call) error {
	e, err := c.loadHash()
	if err == nil {
		c.field(e, c.args[2])
	}
	return err
}

// field answers with a field's value or null.
func (c *call) field(e entry, name []byte) {
	if i := e.find(name); i >= 0 {
		c.bulk(e.hash[i].value)
		return
	}
	c.null()
}

func hmget(c *call) error {
	e, err := c.loadHash()
	if err != nil {
		return err
	}
	c.array(len(c.args) - 2)
	for _, name := range c.args[2:] {
		c.field(e, name)
		if len(c.b) > maxOutput {
			return errTooMuch
		}
	}
	return nil
}

func hgetall(c *call) error {
	e, err := c.loadHash()
	if err != nil {
		return err
	}
	c.pairs(len(e.hash))
	for _, f := range e.hash {
		c.bulk(f.name)
		c.bulk(f.value)
	}
	return nil
}

// hlist is HKEYS and HVALS.
func hlist(part func(field) []byte) func(*call) error {
	return func(c *call) error {
		e, err := c.loadHash()
		if err != nil {
			return err
		}
		c.array(len(e.hash))
		for _, f := range e.hash {
			c.bulk(part(f))
		}
		return nil
	}
}

func hexists(c *call) error {
	e, err := c.loadHash()
	if err == nil {
		c.yes(e.find(c.args[2]) >= 0)
	}
	return err
}

func hlen(c *call) error {
	e, err := c.loadHash()
	if err == nil {
		c.integer(int64(len(e.hash)))
	}
	return err
}

func hstrlen(c *call) error {
	e, err := c.loadHash()
	if err != nil {
		return err
	}
	size := 0
	if i := e.find(c.args[2]); i >= 0 {
		size = len(e.hash[i].value)
	}
	c.integer(int64(size))
	return nil
}
