package resp

import (
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

func get(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	if n.kind == leaseKey {
		return c.getLock(n)
	}
	e, err := c.loadString(n)
	if err == nil {
		c.value(e)
	}
	return err
}

// value answers with a string or null.
func (c *call) value(e entry) {
	if !e.exists() {
		c.null()
		return
	}
	c.bulk(e.str)
}

// setOptions are those of SET and GETEX.
type setOptions struct {
	nx, xx, get, keep, persist bool
	timed                      bool
	ttl                        time.Duration // if timed; not positive if that has passed
}

// setOptions reads the options from the argument i on.
func (c *call) setOptions(i int) (o setOptions, err error) {
	for ; i < len(c.args); i++ {
		option := c.option(i)
		u, timed := ttlUnits[option]
		switch {
		case timed && !o.timed && !o.keep && !o.persist && i+1 < len(c.args):
			i++
			o.timed = true
			if o.ttl, err = c.ttl(i, u); err != nil {
				return o, err
			}
		case option == "PERSIST" && !o.timed && c.cmd.name == "getex":
			o.persist = true
		case c.cmd.name == "getex":
			return o, errSyntax
		case option == "NX" && !o.xx:
			o.nx = true
		case option == "XX" && !o.nx:
			o.xx = true
		case option == "GET":
			o.get = true
		case option == "KEEPTTL" && !o.timed:
			o.keep = true
		default:
			return o, errSyntax
		}
	}
	return o, nil
}

func set(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	o, err := c.setOptions(3)
	if err != nil {
		return err
	}
	if n.kind == leaseKey {
		return c.setLock(n, o)
	}
	return c.set(n, c.args[2], o)
}

// set stores a string as the options say, and answers as SET does.
func (c *call) set(n name, v []byte, o setOptions) error {
	if o.timed && o.ttl <= 0 && !o.nx && !o.xx && !o.get { // its end has come already
		if _, err := c.del(n); err != nil {
			return err
		}
		c.ok()
		return nil
	}
	if !o.nx && !o.xx && !o.get && !o.keep {
		err := c.save(n, value{typ: stringy, str: v}, o.ttl, sessionstore.AnyVersion)
		if err == nil {
			c.ok()
		}
		return err
	}
	done, before, err := c.setIf(n, v, o)
	switch {
	case err != nil:
		return err
	case o.get:
		c.value(before)
	case done:
		c.ok()
	default:
		c.null()
	}
	return nil
}

// setIf stores a string if the options let it, and returns what was there before.
func (c *call) setIf(n name, v []byte, o setOptions) (done bool, before entry, err error) {
	err = c.change(n, func(e *entry) (bool, error) {
		before = *e
		if o.get && e.typ == hashy {
			return false, errWrongType
		}
		if done = !(o.nx && e.exists()) && !(o.xx && !e.exists()); !done {
			return false, nil
		}
		e.value = value{typ: stringy, str: v, prefix: e.prefix}
		switch {
		case o.timed && o.ttl <= 0:
			e.typ = absent
		case !o.keep:
			e.left = o.ttl
		}
		return true, nil
	})
	return done, before, err
}

// setex is SETEX and PSETEX key ttl value.
func setex(u ttlUnit) func(*call) error {
	return func(c *call) error {
		n, err := c.key(1)
		if err != nil {
			return err
		}
		d, err := c.ttl(2, u)
		if err != nil {
			return err
		}
		if n.kind == leaseKey {
			return errLockOnly
		}
		return c.set(n, c.args[3], setOptions{timed: true, ttl: d})
	}
}

func setnx(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	if n.kind == leaseKey {
		got, err := c.takeLock(n, string(c.args[2]), 0)
		if err == nil {
			c.yes(got)
		}
		return err
	}
	done, _, err := c.setIf(n, c.args[2], setOptions{nx: true})
	if err == nil {
		c.yes(done)
	}
	return err
}

func getset(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	if n.kind == leaseKey {
		return errLockOnly
	}
	return c.set(n, c.args[2], setOptions{get: true})
}

func getdel(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	if n.kind == leaseKey {
		return errLockOnly
	}
	var before entry
	err = c.change(n, func(e *entry) (bool, error) {
		before = *e
		if e.typ == hashy {
			return false, errWrongType
		}
		e.typ = absent
		return before.exists(), nil
	})
	if err == nil {
		c.value(before)
	}
	return err
}

func getex(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	o, err := c.setOptions(2)
	if err != nil {
		return err
	}
	if n.kind == leaseKey {
		return errLockOnly
	}
	e, err := c.loadString(n)
	if err == nil && e.exists() {
		switch {
		case o.timed && o.ttl <= 0:
			_, err = c.del(n)
		case o.timed:
			_, err = c.touch(n, o.ttl)
		case o.persist:
			_, err = c.touch(n, forever)
		}
	}
	if err == nil {
		c.value(e)
	}
	return err
}

func strlen(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	e, err := c.loadAny(n)
	if err == nil && e.typ == hashy {
		err = errWrongType
	}
	if err == nil {
		c.integer(int64(len(e.str)))
	}
	return err
}

func mget(c *call) error {
	list, err := c.keys(1, len(c.args), 1)
	if err != nil {
		return err
	}
	c.array(len(list))
	for len(list) > 0 { // a part at a time, for the sake of memory
		part := list[:min(len(list), maxBatch)]
		list = list[len(part):]
		entries := make([]entry, len(part))
		err := c.each(len(part), func(i int) (err error) {
			entries[i], err = c.loadAny(part[i])
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.typ == hashy {
				e.typ = absent
			}
			c.value(e)
		}
		if len(c.b) > maxOutput {
			return errTooMuch
		}
	}
	return nil
}

func mset(c *call) error {
	if len(c.args)%2 == 0 {
		return wrongNumber(c.cmd.name)
	}
	list, err := c.keys(1, len(c.args), 2)
	if err != nil {
		return err
	}
	last := map[sessionstore.Key]int{} // of two values for one key the second counts
	for i, n := range list {
		if n.kind == leaseKey {
			return errLockOnly
		}
		last[n.key] = i
	}
	err = c.each(len(list), func(i int) error {
		if last[list[i].key] != i {
			return nil
		}
		return c.save(list[i], value{typ: stringy, str: c.args[2+2*i]}, 0, sessionstore.AnyVersion)
	})
	if err == nil {
		c.ok()
	}
	return err
}
