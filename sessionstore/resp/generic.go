package resp

import "sync/atomic"

// del is DEL and UNLINK.
func del(c *call) error {
	return c.count(func(n name) (bool, error) { return c.del(n) })
}

// exists is EXISTS and TOUCH: a key given twice counts twice.
func exists(c *call) error {
	return c.count(func(n name) (bool, error) {
		e, err := c.loadAny(n)
		return e.exists(), err
	})
}

// count answers with the number of keys for which f says yes.
func (c *call) count(f func(name) (bool, error)) error {
	list, err := c.keys(1, len(c.args), 1)
	if err != nil {
		return err
	}
	var sum atomic.Int64
	err = c.each(len(list), func(i int) error {
		yes, err := f(list[i])
		if yes {
			sum.Add(1)
		}
		return err
	})
	if err == nil {
		c.integer(sum.Load())
	}
	return err
}

func typeOf(c *call) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	e, err := c.loadAny(n)
	if err == nil {
		c.simple(e.typ.String())
	}
	return err
}
