package resp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lvsession/lvsession/sessionstore"
)

// answer is an error with the text that goes to the client, where possible Redis's own: clients compare it.
type answer string

func (a answer) Error() string { return string(a) }

const (
	errSyntax     answer = "ERR syntax error"
	errNotInteger answer = "ERR value is not an integer or out of range"
	errKey        answer = "ERR a key has 1 to 1024 bytes"
	errNoAuth     answer = "NOAUTH Authentication required."
	errWrongPass  answer = "WRONGPASS invalid username-password pair or user is disabled."
	errWrongType  answer = "WRONGTYPE Operation against a key holding the wrong kind of value"
	errNoScript   answer = "NOSCRIPT No matching script. Please use EVAL."
	errIndex      answer = "ERR DB index is out of range"
	errHashInt    answer = "ERR hash value is not an integer"
	errOverflow   answer = "ERR increment or decrement would overflow"
	errLockOnly   answer = "ERR a key that ends in _LOCK is a lock: SET it with NX, and with PX or EX for its end"
	errLostLock   answer = "ERR the lock was lost: somebody else has taken it meanwhile; nothing was written"
	errSession    answer = "ERR a session id after a session prefix names a session, which holds a string"
	errCreation   answer = "ERR this address creates sessions too fast"
	errContended  answer = "TRYAGAIN too many clients change this key at once; nothing was changed"
)

func wrongNumber(command string) error {
	return answer("ERR wrong number of arguments for '" + command + "' command")
}

func badExpire(command string) error {
	return answer("ERR invalid expire time in '" + command + "' command")
}

// unknownCommand repeats the beginning of what was sent, as Redis does: it is for the client that sent it only, and not
// for the log.
func unknownCommand(args [][]byte) error {
	var b strings.Builder
	fmt.Fprintf(&b, "ERR unknown command '%.128s', with args beginning with: ", args[0])
	for _, a := range args[1:] {
		if b.Len() > 256 {
			break
		}
		fmt.Fprintf(&b, "'%.128s' ", a)
	}
	return answer(b.String())
}

// outcome is how a command ended, as metrics tell it.
type outcome int

const (
	succeeded outcome = iota
	refused           // through what the client sent or the store holds
	failed            // through the store
	outcomes
)

// failWith answers with the error.
func (c *call) failWith(err error) outcome {
	var a answer
	if errors.As(err, &a) {
		c.fail(string(a))
		return refused
	}
	// An outcome may be unknown for the very reason that a conflict, say, was found: then nothing else counts.
	unknown := errors.Is(err, sessionstore.ErrUnavailable)
	for _, known := range []error{
		sessionstore.ErrInvalid, sessionstore.ErrNotFound, sessionstore.ErrDestroyed, sessionstore.ErrConflict,
		sessionstore.ErrTooLarge, sessionstore.ErrLocked, errValue,
	} {
		if !unknown && errors.Is(err, known) {
			c.fail("ERR " + err.Error())
			return refused
		}
	}
	text := "TRYAGAIN the session store cannot answer now"
	switch {
	case c.closing.Load() && errors.Is(err, context.Canceled):
		text = "TRYAGAIN sessiond is draining"
	case errors.Is(err, context.DeadlineExceeded):
		text = "TRYAGAIN the session store did not answer in time"
	}
	c.opts.Logger.Warn("command failed", "command", c.cmd.name, "error", err)
	c.fail(text)
	return failed
}
