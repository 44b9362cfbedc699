package resp

import (
	"crypto/sha1"
	"encoding/hex"
	"regexp"
	"strings"
	"sync"
	"time"
)

// script is what one of the scripts does that clients release or prolong their locks with. There are no others: what a
// script says is recognised, not run.
type script struct {
	prolong time.Duration // the unit of its second argument, if it prolongs
	missing int64         // the answer if there is no such key
	other   int64         // the answer if the key has another value
	null    bool          // the answer in both cases is none
}

// shapes are the scripts, in the form that normal gives them. DEL stands for del or unlink.
var shapes = func() map[string]script {
	const held = `if redis.call("get",keys[1])==argv[1] then return `
	const del, pexpire, expire = `redis.call(DEL,keys[1])`, `redis.call("pexpire",keys[1],argv[2])`, `redis.call("expire",keys[1],argv[2])`
	list := map[string]script{
		// phpredis, Laravel, Symfony before 5.2, redlock of many languages
		held + del + ` else return 0 end`: {},
		held + del + ` end return 0`:      {},
		held + del + ` end`:               {null: true},
		// redsync
		`local val=redis.call("get",keys[1])if val==argv[1] then return ` + del + ` elseif val==false then return -1 else return 0 end`: {missing: -1},
		// redis-py
		`local token=redis.call("get",keys[1])if not token or token~=argv[1] then return 0 end redis.call(DEL,keys[1])return 1`: {},
		held + pexpire + ` else return 0 end`: {prolong: time.Millisecond},
		held + pexpire + ` end return 0`:      {prolong: time.Millisecond},
		held + expire + ` else return 0 end`:  {prolong: time.Second},
		held + expire + ` end return 0`:       {prolong: time.Second},
	}
	all := map[string]script{}
	for text, s := range list {
		all[strings.ReplaceAll(text, "DEL", `"del"`)] = s
		all[strings.ReplaceAll(text, "DEL", `"unlink"`)] = s
	}
	return all
}()

const (
	maxScript  = 4 << 10 // bytes
	maxScripts = 1024    // texts whose hash is remembered
)

var (
	luaComment = regexp.MustCompile(`--[^\n]*`)
	luaSpace   = regexp.MustCompile(`\s+`)
	luaGlue    = regexp.MustCompile(`\s*(==|~=|[=,;()\[\]])\s*`)
	luaIf      = regexp.MustCompile(`if\s*\((redis\.call\([^()]*\)==[^()]*)\)\s*then`)
)

// normal brings a script into the form of shapes: without comments, needless blanks and brackets, semicolons and
// differences of case and quotes.
func normal(text string) string {
	text = strings.ToLower(luaComment.ReplaceAllString(text, " "))
	text = strings.ReplaceAll(text, "'", `"`)
	text = luaGlue.ReplaceAllString(text, "$1")
	text = luaIf.ReplaceAllString(text, "if $1 then")
	text = strings.ReplaceAll(text, ";", " ")
	text = strings.TrimSpace(luaSpace.ReplaceAllString(text, " "))
	// After a bracket that closes a call comes a blank or none.
	for _, word := range []string{"then", "else", "elseif", "end", "return", "if", "redis"} {
		text = strings.ReplaceAll(text, ")"+word, ") "+word)
		text = strings.ReplaceAll(text, "]"+word, "] "+word)
	}
	return text
}

// scripts are those whose hash clients may send instead of their text.
type scripts struct {
	mu    sync.Mutex
	known map[string]script
}

// phpredisRelease is what phpredis sends only the hash of, until it is told that nobody knows it.
const phpredisRelease = `if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`

func newScripts() *scripts {
	s := &scripts{known: map[string]script{}}
	s.load(phpredisRelease)
	return s
}

// load recognises a script and remembers its hash.
func (s *scripts) load(text string) (one script, hash string, ok bool) {
	if len(text) > maxScript {
		return script{}, "", false
	}
	if one, ok = normalShapes[squeeze(normal(text))]; !ok {
		return script{}, "", false
	}
	sum := sha1.Sum([]byte(text))
	hash = hex.EncodeToString(sum[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxScripts {
		clear(s.known) // clients send the text again
	}
	s.known[hash] = one
	return one, hash, true
}

func (s *scripts) find(hash string) (script, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.known[strings.ToLower(hash)]
	return one, ok
}

// normalShapes are shapes by their squeezed form.
var normalShapes = func() map[string]script {
	m := map[string]script{}
	for text, s := range shapes {
		m[squeeze(text)] = s
	}
	return m
}()

// squeeze drops the blanks beside brackets, which mean nothing.
func squeeze(text string) string {
	return strings.NewReplacer(") ", ")", "] ", "]").Replace(text)
}

const errScript answer = "ERR only scripts that release or prolong a lock by comparing its value are known here"

// eval is EVAL script 1 key value [ttl].
func eval(c *call) error {
	one, _, ok := c.scripts.load(string(c.args[1]))
	if !ok {
		return errScript
	}
	return c.runScript(one)
}

func evalsha(c *call) error {
	one, ok := c.scripts.find(firstBytes(c.args[1], 40))
	if !ok || len(c.args[1]) != 40 {
		return errNoScript
	}
	return c.runScript(one)
}

func (c *call) runScript(one script) error {
	wanted := 5
	if one.prolong > 0 {
		wanted = 6
	}
	if len(c.args) < wanted || string(c.args[2]) != "1" {
		return answer("ERR this script takes one key, the value that it must have, and for prolonging the time")
	}
	n, err := c.key(3)
	if err != nil {
		return err
	}
	var was match
	if one.prolong > 0 {
		was, err = c.prolongIf(n, c.args[4], one.prolong)
	} else {
		was, err = c.deleteIf(n, c.args[4])
	}
	if err != nil {
		return err
	}
	switch {
	case was == same:
		c.integer(1)
	case one.null:
		c.null()
	case was == missing:
		c.integer(one.missing)
	default:
		c.integer(one.other)
	}
	return nil
}

// match is how a key's value compares.
type match int

const (
	missing match = iota
	other
	same
)

// deleteIf removes a key that has this value, or releases a lock that was taken with it.
func (c *call) deleteIf(n name, v []byte) (was match, err error) {
	if n.kind == leaseKey {
		released, held, err := c.releaseLock(n, string(v))
		switch {
		case released:
			was = same
		case held:
			was = other
		}
		return was, err
	}
	err = c.change(n, func(e *entry) (bool, error) {
		was = e.compare(v)
		if e.typ == hashy {
			return false, errWrongType
		}
		e.typ = absent
		return was == same, nil
	})
	return was, err
}

// prolongIf moves the end of a key that has this value.
func (c *call) prolongIf(n name, v []byte, unit time.Duration) (was match, err error) {
	if n.kind == leaseKey {
		return missing, answer("ERR a lock cannot be prolonged: take it for as long as it takes")
	}
	t, err := c.number(5)
	if err != nil {
		return missing, err
	}
	d, ok := ttlUnit{unit: unit}.in(t)
	if !ok || d <= 0 {
		return missing, badExpire(c.cmd.name)
	}
	e, err := c.loadString(n)
	if was = e.compare(v); err == nil && was == same {
		_, err = c.touch(n, d)
	}
	return was, err
}

func (e *entry) compare(v []byte) match {
	switch {
	case !e.exists():
		return missing
	case e.typ == stringy && string(e.str) == string(v):
		return same
	}
	return other
}

// scriptCommand is SCRIPT LOAD|EXISTS.
func scriptCommand(c *call) error {
	switch sub := c.option(1); {
	case sub == "LOAD" && len(c.args) == 3:
		_, hash, ok := c.scripts.load(string(c.args[2]))
		if !ok {
			return errScript
		}
		c.text(hash)
	case sub == "EXISTS" && len(c.args) > 2:
		c.array(len(c.args) - 2)
		for _, hash := range c.args[2:] {
			_, ok := c.scripts.find(firstBytes(hash, 40))
			c.yes(ok)
		}
	default:
		return answer("ERR unknown subcommand '" + firstBytes(c.args[1], 128) + "'. Try SCRIPT HELP.")
	}
	return nil
}

// delex is DELEX key [IFEQ value].
func delex(c *call) error {
	switch {
	case len(c.args) == 2:
		return del(c)
	case len(c.args) == 4 && c.option(2) == "IFEQ":
		return c.answerDeleteIf(c.args[3])
	}
	return errSyntax
}

// delifeq is DELIFEQ key value.
func delifeq(c *call) error { return c.answerDeleteIf(c.args[2]) }

func (c *call) answerDeleteIf(v []byte) error {
	n, err := c.key(1)
	if err != nil {
		return err
	}
	was, err := c.deleteIf(n, v)
	if err == nil {
		c.yes(was == same)
	}
	return err
}
