package resp

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

// call is one command at work.
type call struct {
	*conn
	reply
	ctx   context.Context
	cmd   *command
	args  [][]byte // the command's name first
	alone bool     // nothing else of this client is at work
}

// work runs a batch in the client's order as far as the client can see: commands on different keys run at the same time,
// so that a store which gathers what waits gets it all at once; those on one key one after the other; and a command
// that is not on one key alone waits for all before it.
func (c *conn) work(batch [][][]byte) {
	for len(batch) > 0 && !c.leave {
		n := c.together(batch)
		calls := make([]*call, n)
		for i, args := range batch[:n] {
			calls[i] = &call{conn: c, args: args, cmd: lookup(args[0]), reply: reply{v3: c.v3}, alone: n == 1}
		}
		batch = batch[n:]
		if n == 1 {
			calls[0].b = c.out
			calls[0].run()
			c.out = calls[0].b
		} else {
			runTogether(calls)
			for _, one := range calls {
				c.out = append(c.out, one.b...)
			}
		}
		if len(c.out) >= flushAt && !c.flush() {
			c.leave = true
		}
	}
}

// together tells how many commands at the front of a batch can run at the same time.
func (c *conn) together(batch [][][]byte) int {
	for i, args := range batch {
		if cmd := lookup(args[0]); !c.known || cmd == nil || cmd.key == 0 || len(args) <= cmd.key {
			return max(1, i)
		}
	}
	return len(batch)
}

// runTogether runs each command after those on the same key, and returns when all are done.
func runTogether(calls []*call) {
	lines := map[string][]*call{}
	var order []string
	for _, one := range calls {
		key := strings.TrimSuffix(string(one.args[one.cmd.key]), string(lockSuffix))
		if lines[key] == nil {
			order = append(order, key)
		}
		lines[key] = append(lines[key], one)
	}
	var wg sync.WaitGroup
	for _, key := range order {
		wg.Go(func() {
			for _, one := range lines[key] {
				one.run()
			}
		})
	}
	wg.Wait()
}

// run checks a command, executes it, and counts it.
func (c *call) run() {
	began, from := time.Now(), len(c.b)
	class, err := classNone, c.check()
	if err == nil {
		class = c.cmd.class
		contexts := &c.prompt
		if c.cmd.locks {
			contexts = &c.patient
		}
		c.ctx = contexts.at(began)
		err = c.cmd.run(c)
	}
	outcome := succeeded
	if err != nil {
		c.b = c.b[:from] // half an answer is none
		outcome = c.failWith(err)
	} else if c.failed {
		outcome = refused
	}
	c.metrics.done(class, outcome, time.Since(began))
}

// ofHTTP tells whether a command is a line of an HTTP request: a browser that somebody sent here, to have it say in its
// body what they cannot say themselves.
func ofHTTP(name []byte) bool {
	return bytes.EqualFold(name, []byte("POST")) || bytes.EqualFold(name, []byte("Host:"))
}

// check refuses what is no command, has not its number of arguments, or comes before AUTH.
func (c *call) check() error {
	if c.cmd == nil && ofHTTP(c.args[0]) {
		c.leave = true
		return answer("ERR this is not HTTP")
	}
	switch {
	case c.cmd == nil && !c.known:
		return errNoAuth
	case c.cmd == nil:
		return unknownCommand(c.args)
	case c.cmd.arity > 0 && len(c.args) != c.cmd.arity, c.cmd.arity < 0 && len(c.args) < -c.cmd.arity:
		return wrongNumber(c.cmd.name)
	case !c.known && !c.cmd.early:
		return errNoAuth
	}
	return nil
}

// key returns what the argument names.
func (c *call) key(i int) (name, error) {
	n, ok := c.names.name(c.space.Name(), c.args[i])
	if !ok {
		return name{}, errKey
	}
	return n, nil
}

// keys returns what the arguments from the one to before the other name, in steps.
func (c *call) keys(from, to, step int) ([]name, error) {
	list := make([]name, 0, (to-from+step-1)/step)
	for i := from; i < to; i += step {
		n, err := c.key(i)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// each calls f for the numbers below n, several at a time, and returns the first error.
func (c *call) each(n int, f func(i int) error) error {
	if n == 1 {
		return f(0)
	}
	errs := make([]error, n)
	slots := make(chan struct{}, maxBatch)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(i)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// option returns an argument in capitals, "" if it is too long for a word.
func (c *call) option(i int) string {
	if len(c.args[i]) > 32 {
		return ""
	}
	return strings.ToUpper(string(c.args[i]))
}

func (c *call) number(i int) (int64, error) {
	n, ok := parseInt(c.args[i])
	if !ok {
		return 0, errNotInteger
	}
	return n, nil
}

var errTooMuch = errors.New("ERR the answer would be too large, ask for fewer keys at a time")
