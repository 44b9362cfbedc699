package resp

import (
	"slices"
	"strings"
)

// command is one that the server knows.
type command struct {
	name     string // in lower case, as Redis's messages have it
	arity    int    // number of arguments, its name among them; negative: at least so many
	key      int    // which argument is its one key; 0 if it has none or several
	keysStep int    // of several keys, from the first argument on
	class    class
	writes   bool
	locks    bool // it may wait for a lock
	early    bool // allowed before AUTH
	run      func(*call) error
}

// class is what kind of command it is, for metrics.
type class int

const (
	classNone class = iota // not a command
	classConnection
	classRead
	classWrite
	classTouch
	classDelete
	classHash
	classScript
	classServer
	classes
)

func (c class) String() string {
	return [...]string{"none", "connection", "read", "write", "touch", "delete", "hash", "script", "server"}[c]
}

// commands in the order of their names; filled by init, since some of them look into it.
var commands []*command

var byName = map[string]*command{}

const longestName = 16

// lookup returns the command of that name in whatever case, nil if there is none.
func lookup(name []byte) *command {
	if len(name) > longestName {
		return nil
	}
	var lower [longestName]byte
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return byName[string(lower[:len(name)])]
}

func init() {
	connection := func(name string, arity int, early bool, run func(*call) error) *command {
		return &command{name: name, arity: arity, class: classConnection, early: early, run: run}
	}
	server := func(name string, arity int, run func(*call) error) *command {
		return &command{name: name, arity: arity, class: classServer, run: run}
	}
	one := func(name string, arity int, of class, run func(*call) error) *command {
		return &command{name: name, arity: arity, key: 1, class: of, run: run, writes: of != classRead}
	}
	many := func(name string, arity, step int, of class, run func(*call) error) *command {
		return &command{name: name, arity: arity, keysStep: step, class: of, run: run, writes: of != classRead}
	}
	hashRead := func(name string, arity int, run func(*call) error) *command {
		return &command{name: name, arity: arity, key: 1, class: classHash, run: run}
	}
	commands = []*command{
		connection("auth", -2, true, auth),
		connection("hello", -1, true, hello),
		connection("quit", -1, true, quit),
		connection("reset", 1, true, reset),
		connection("select", 2, false, selectDB),
		connection("ping", -1, false, ping),
		connection("echo", 2, false, echo),
		connection("client", -2, false, client),
		server("command", -1, commandInfo),
		server("info", -1, info),
		server("dbsize", 1, dbsize),
		server("scan", -2, scan),

		one("get", 2, classRead, get),
		one("strlen", 2, classRead, strlen),
		one("type", 2, classRead, typeOf),
		one("ttl", 2, classRead, remaining(ttlUnits["EX"])),
		one("pttl", 2, classRead, remaining(ttlUnits["PX"])),
		one("expiretime", 2, classRead, remaining(ttlUnits["EXAT"])),
		one("pexpiretime", 2, classRead, remaining(ttlUnits["PXAT"])),
		many("mget", -2, 1, classRead, mget),
		many("exists", -2, 1, classRead, exists),
		many("touch", -2, 1, classRead, exists),

		one("set", -3, classWrite, set),
		one("setex", 4, classWrite, setex(ttlUnits["EX"])),
		one("psetex", 4, classWrite, setex(ttlUnits["PX"])),
		one("setnx", 3, classWrite, setnx),
		one("getset", 3, classWrite, getset),
		many("mset", -3, 2, classWrite, mset),

		one("getex", -2, classTouch, getex),
		one("expire", -3, classTouch, expire(ttlUnits["EX"])),
		one("pexpire", -3, classTouch, expire(ttlUnits["PX"])),
		one("expireat", -3, classTouch, expire(ttlUnits["EXAT"])),
		one("pexpireat", -3, classTouch, expire(ttlUnits["PXAT"])),
		one("persist", 2, classTouch, persist),

		one("getdel", 2, classDelete, getdel),
		many("del", -2, 1, classDelete, del),
		many("unlink", -2, 1, classDelete, del),

		one("delex", -2, classDelete, delex),
		one("delifeq", 3, classDelete, delifeq),
		{name: "eval", arity: -3, key: 3, class: classScript, writes: true, run: eval},
		{name: "evalsha", arity: -3, key: 3, class: classScript, writes: true, run: evalsha},
		{name: "script", arity: -2, class: classScript, run: scriptCommand},

		one("hset", -4, classHash, hset),
		one("hmset", -4, classHash, hset),
		one("hsetnx", 4, classHash, hsetnx),
		one("hdel", -3, classHash, hdel),
		one("hincrby", 4, classHash, hincrby),
		hashRead("hget", 3, hget),
		hashRead("hmget", -3, hmget),
		hashRead("hgetall", 2, hgetall),
		hashRead("hkeys", 2, hlist(func(f field) []byte { return f.name })),
		hashRead("hvals", 2, hlist(func(f field) []byte { return f.value })),
		hashRead("hexists", 3, hexists),
		hashRead("hlen", 2, hlen),
		hashRead("hstrlen", 3, hstrlen),
	}
	for _, cmd := range commands {
		cmd.locks = cmd.name == "set" || cmd.name == "setnx"
	}
	slices.SortFunc(commands, func(a, b *command) int { return strings.Compare(a.name, b.name) })
	for _, cmd := range commands {
		byName[cmd.name] = cmd
	}
}
