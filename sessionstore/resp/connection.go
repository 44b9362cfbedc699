package resp

import (
	"fmt"
	"strconv"

	"github.com/lvsession/lvsession/sessionstore"
)

// maxStrikes is how many wrong secrets a connection may show.
const maxStrikes = 4

// auth is AUTH secret, which leads to the secret's namespace, and AUTH namespace secret.
func auth(c *call) error {
	if len(c.args) > 3 {
		return errSyntax
	}
	if len(c.args) == 2 && c.opts.Secrets.Open() {
		return answer("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	}
	user := "default"
	if len(c.args) == 3 {
		user = string(c.args[1])
	}
	if err := c.authenticate(user, c.args[len(c.args)-1]); err != nil {
		return err
	}
	c.ok()
	return nil
}

// authenticate lets the client into a namespace. The user "default" stands for none: Redis's clients send it with a
// secret alone. Where there are no secrets, any will do.
func (c *call) authenticate(user string, secret []byte) error {
	secrets, namespace := c.opts.Secrets, user
	if user == "default" && !secrets.Allows(user, secret) || user == "default" && secrets.Open() {
		namespace = c.opts.Namespace
		if of, ok := secrets.Of(secret); ok && !secrets.Allows(namespace, secret) {
			namespace = of
		}
	}
	if sessionstore.CheckNamespace(namespace) != nil || !secrets.Allows(namespace, secret) {
		if c.strikes++; c.strikes >= maxStrikes {
			c.leave = true
		}
		return errWrongPass
	}
	return c.enter(namespace, c.db)
}

// enter makes a database of a namespace the one in use.
func (c *call) enter(base string, db int64) error {
	namespace, ok := database(base, db)
	if !ok {
		return errIndex
	}
	if db != 0 && c.opts.Secrets.Guards(namespace) {
		return answer("NOPERM this database is a namespace with a secret of its own")
	}
	space, err := c.svc.Keyspace(namespace)
	if err != nil {
		return err
	}
	c.space, c.base, c.db, c.known, c.strikes = space, base, db, true, 0
	return nil
}

func selectDB(c *call) error {
	db, err := c.number(1)
	if err != nil {
		return answer("ERR invalid DB index")
	}
	if err := c.enter(c.base, db); err != nil {
		return err
	}
	c.ok()
	return nil
}

// hello is HELLO [2|3 [AUTH user secret] [SETNAME name]].
func hello(c *call) error {
	v3 := c.v3
	if len(c.args) > 1 {
		switch string(c.args[1]) {
		case "2":
			v3 = false
		case "3":
			v3 = true
		default:
			return answer("NOPROTO unsupported protocol version")
		}
	}
	label := c.label
	for i := 2; i < len(c.args); i++ {
		switch option := c.option(i); {
		case option == "AUTH" && i+2 < len(c.args):
			if err := c.authenticate(string(c.args[i+1]), c.args[i+2]); err != nil {
				return err
			}
			i += 2
		case option == "SETNAME" && i+1 < len(c.args):
			i++
			if !labelOK(c.args[i]) {
				return errLabel
			}
			label = string(c.args[i])
		default:
			return answer("ERR Syntax error in HELLO option '" + option + "'")
		}
	}
	if !c.known {
		return answer("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	}
	c.conn.state.v3, c.reply.v3, c.label = v3, v3, label
	version := int64(2)
	if v3 {
		version = 3
	}
	c.pairs(7)
	c.text("server")
	c.text("redis")
	c.text("version")
	c.text(redisVersion)
	c.text("proto")
	c.integer(version)
	c.text("id")
	c.integer(int64(c.id))
	c.text("mode")
	c.text("standalone")
	c.text("role")
	c.text("master")
	c.text("modules")
	c.array(0)
	return nil
}

func ping(c *call) error {
	switch len(c.args) {
	case 1:
		c.simple("PONG")
	case 2:
		c.bulk(c.args[1])
	default:
		return wrongNumber(c.cmd.name)
	}
	return nil
}

func echo(c *call) error {
	c.bulk(c.args[1])
	return nil
}

func quit(c *call) error {
	c.ok()
	c.leave = true
	return nil
}

func reset(c *call) error {
	c.state, c.reply.v3 = c.initial(), false
	c.simple("RESET")
	return nil
}

const errLabel answer = "ERR Client names cannot contain spaces, newlines or special characters."

// maxLabel is the longest name that a client may give its connection.
const maxLabel = 128

func labelOK(b []byte) bool {
	for _, ch := range b {
		if ch < '!' || ch > '~' {
			return false
		}
	}
	return len(b) <= maxLabel
}

// client is the part of CLIENT that clients of sessions send.
func client(c *call) error {
	switch sub := c.option(1); {
	case sub == "ID" && len(c.args) == 2:
		c.integer(int64(c.id))
	case sub == "GETNAME" && len(c.args) == 2:
		c.labelOrNull()
	case sub == "SETNAME" && len(c.args) == 3:
		if !labelOK(c.args[2]) {
			return errLabel
		}
		c.label = string(c.args[2])
		c.ok()
	case sub == "SETINFO" && len(c.args) == 4:
		if !labelOK(c.args[3]) {
			return answer("ERR " + string(c.option(2)) + " cannot contain spaces, newlines or special characters.")
		}
		c.ok()
	case (sub == "NO-EVICT" || sub == "NO-TOUCH") && len(c.args) == 3:
		c.ok()
	case sub == "INFO" && len(c.args) == 2:
		c.verbatim(c.describe())
	case sub == "LIST":
		c.verbatim(c.describe())
	default:
		return answer("ERR unknown subcommand '" + firstBytes(c.args[1], 128) + "'. Try CLIENT HELP.")
	}
	return nil
}

func (c *call) labelOrNull() {
	if c.label == "" {
		c.null()
		return
	}
	c.text(c.label)
}

// describe is the client's own line of CLIENT LIST; the others' are not its business.
func (c *call) describe() string {
	version := 2
	if c.conn.state.v3 {
		version = 3
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s name=%s db=%d cmd=client user=%s resp=%d\n",
		c.id, c.net.RemoteAddr(), c.net.LocalAddr(), c.label, c.db, c.base, version)
}

func firstBytes(b []byte, n int) string { return string(b[:min(n, len(b))]) }

// commandInfo is COMMAND [COUNT|INFO|LIST|DOCS].
func commandInfo(c *call) error {
	if len(c.args) == 1 {
		c.array(len(commands))
		for _, cmd := range commands {
			c.describeCommand(cmd)
		}
		return nil
	}
	switch c.option(1) {
	case "COUNT":
		c.integer(int64(len(commands)))
	case "LIST":
		c.array(len(commands))
		for _, cmd := range commands {
			c.text(cmd.name)
		}
	case "INFO":
		c.array(len(c.args) - 2)
		for _, name := range c.args[2:] {
			if cmd := lookup(name); cmd != nil {
				c.describeCommand(cmd)
			} else {
				c.null()
			}
		}
	case "DOCS":
		c.pairs(0)
	default:
		return answer("ERR unknown subcommand '" + firstBytes(c.args[1], 128) + "'. Try COMMAND HELP.")
	}
	return nil
}

func (c *call) describeCommand(cmd *command) {
	flags := "readonly"
	if cmd.writes {
		flags = "write"
	}
	first, last, step := 0, 0, 0
	switch {
	case cmd.key > 0:
		first, last, step = cmd.key, cmd.key, 1
	case cmd.keysStep > 0:
		first, last, step = 1, -1, cmd.keysStep
	}
	c.array(6)
	c.text(cmd.name)
	c.integer(int64(cmd.arity))
	c.array(1)
	c.simple(flags)
	c.integer(int64(first))
	c.integer(int64(last))
	c.integer(int64(step))
}

// itoa is for texts.
func itoa(n int64) string { return strconv.FormatInt(n, 10) }
