package resp_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/resp"
)

const (
	release    = "b70c2384248f88e6b75b9f89241a180f856ad852"
	releaseLua = `if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`
)

var phpSession = "PHPREDIS_SESSION:" + strings.Repeat("p", 26)

// What phpredis does in a request with locking, and what becomes of the second one.
func TestLockOfASession(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{LockWait: -1}, nil)
	a, b := f.dial(), f.dial()
	lock := phpSession + "_LOCK"
	a.want("SET "+lock+" web1|7 NX PX 30000", "OK")
	a.want("GET "+lock, `"web1|7"`)
	a.want("SETEX "+phpSession+" 60 one", "OK")
	b.want("SET "+lock+" web2|9 NX PX 30000", "nil")
	b.want("SETNX "+lock+" web2|9", "0")
	if got := b.do("GET " + lock); !strings.HasPrefix(got, `"locked by `) {
		t.Errorf("another's lock reads %s", got)
	}
	b.want("EVALSHA "+release+" 1 "+lock+" web2|9", "0")
	b.want("EXISTS "+lock, "1")
	b.want("TYPE "+lock, "string")
	if got := b.do("PTTL " + lock); len(got) != 5 {
		t.Errorf("PTTL %s", got)
	}
	a.want("EVALSHA "+release+" 1 "+lock+" web1|7", "1")
	a.want("EVALSHA "+release+" 1 "+lock+" web1|7", "0")
	a.want("GET "+lock, "nil")
	b.want("SET "+lock+" web2|9 PX 30000 NX", "OK")
	// From elsewhere, with the secret: another connection of the same request, or another sessiond.
	a.want("EVALSHA "+release+" 1 "+lock+" web2|9", "1")
	a.want("TTL "+lock, "-2")
	for _, line := range []string{"SET @ x", "SET @ x XX", "SET @ x NX GET", "SETEX @ 5 x", "EXPIRE @ 5", "PERSIST @", "GETDEL @", "GETEX @", "GETSET @ x", "MSET @ x"} {
		a.wantFails(strings.Replace(line, "@", lock, 1), "ERR a key that ends in _LOCK is a lock")
	}
	a.wantFails("HSET "+lock+" f v", "WRONGTYPE")
}

// Whoever was overtaken cannot write any more, and is told.
func TestStaleHolderIsRefused(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{LockWait: -1}, nil)
	a, b := f.dial(), f.dial()
	for _, key := range []string{phpSession, "sess:x"} {
		a.want("SET "+key+"_LOCK a NX PX 60000", "OK")
		a.want("SET "+key+" one EX 60", "OK")
		b.want("DEL "+key+"_LOCK", "1") // as if it had run out
		a.want("SET "+key+" two EX 60", "-ERR session changed meanwhile")
		b.want("SET "+key+"_LOCK b NX PX 60000", "OK")
		b.want("SET "+key+" three EX 60", "OK")
		a.wantFails("SET "+key+" four EX 60", "ERR the lock was lost")
		a.wantFails("SET "+key+" four XX GET", "ERR the lock was lost")
		a.want("GET "+key, `"three"`)
		if got := a.do("GET " + key + "_LOCK"); got == `"a"` {
			t.Error("the lock is still shown as a's")
		}
		b.want("DEL "+key+"_LOCK", "1")
	}
}

// Twenty clients each add one under the lock; no addition is lost, though none waits by itself.
func TestCountingUnderALock(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{LockWait: time.Minute}, nil)
	const clients = 20
	var wg sync.WaitGroup
	for i := range clients {
		c := f.dial()
		wg.Go(func() {
			secret := fmt.Sprintf("s%d", i)
			c.send("SET", phpSession+"_LOCK", secret, "NX", "PX", "60000")
			if s, err := c.read(); s != "OK" {
				t.Errorf("lock: %s, %v", s, err)
				return
			}
			c.send("GET", phpSession)
			s, _ := c.read()
			n := strings.Count(s, "x")
			c.send("SETEX", phpSession, "60", strings.Repeat("x", n+1))
			c.read()
			c.send("EVALSHA", release, "1", phpSession+"_LOCK", secret)
			if s, err := c.read(); s != "1" {
				t.Errorf("release: %s, %v", s, err)
			}
		})
	}
	wg.Wait()
	f.dial().want("STRLEN "+phpSession, fmt.Sprint(clients))
}

// The lock of PHP by this protocol is that of Go and phpclient by the other.
func TestOneLockForBothFaces(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{LockWait: -1}, nil)
	sessions, err := f.svc.Namespace("default")
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimPrefix(phpSession, "PHPREDIS_SESSION:")
	c := f.dial()
	c.want("SET "+phpSession+" one EX 60", "OK")
	newID, _, err := sessions.Regenerate(t.Context(), id, sessionstore.RegenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.want("SET "+phpSession+"_LOCK s NX PX 60000", "OK") // by the old id
	_, err = sessions.Open(t.Context(), newID, sessionstore.OpenOptions{Lock: true, LockWait: -1})
	if err == nil {
		t.Fatal("a session that PHP has locked was opened with its lock")
	}
	c.want("EVALSHA "+release+" 1 "+phpSession+"_LOCK s", "1")
	o, err := sessions.Open(t.Context(), newID, sessionstore.OpenOptions{Lock: true, LockWait: -1})
	if err != nil {
		t.Fatal(err)
	}
	c.want("SET "+phpSession+"_LOCK s NX PX 60000", "nil")
	if err := sessions.Close(t.Context(), newID, o.Lease.Token); err != nil {
		t.Fatal(err)
	}
	c.want("SET "+phpSession+"_LOCK s NX PX 60000", "OK")
}

// A client that goes while it waits does not get the lock.
func TestWaiterThatGoes(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{LockWait: time.Minute}, nil)
	a, b, c := f.dial(), f.dial(), f.dial()
	lock := phpSession + "_LOCK"
	a.want("SET "+lock+" a NX PX 60000", "OK")
	waiters := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); f.svc.Stats().LockWaiters != n; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d wait, want %d", f.svc.Stats().LockWaiters, n)
			}
		}
	}
	b.send("SET", lock, "b", "NX", "PX", "60000")
	waiters(1)
	c.send("SET", lock, "c", "NX", "PX", "60000")
	waiters(2)
	c.send("PING") // what arrives meanwhile is not lost
	b.Close()
	waiters(1)
	a.want("EVALSHA "+release+" 1 "+lock+" a", "1")
	if got := c.answer() + c.answer(); got != "OKPONG" {
		t.Errorf("%s, want OK and PONG", got)
	}
}

func TestScripts(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, nil).dial()
	do := func(want string, args ...string) {
		t.Helper()
		c.send(args...)
		if got := c.answer(); got != want && !(strings.HasPrefix(want, "-") && strings.HasPrefix(got, want)) {
			t.Fatalf("%.200q: %s, want %s", args, got, want)
		}
	}
	for _, text := range []string{
		releaseLua,
		"\n    if redis.call('GET', KEYS[1]) == ARGV[1] then\n        return redis.call('DEL', KEYS[1])\n    else\n        return 0\n    end\n",
		"-- comment\nif (redis.call('get', KEYS[1]) == ARGV[1]) then\n  return redis.call('unlink', KEYS[1])\nend\nreturn 0",
		"local token = redis.call('get', KEYS[1])\nif not token or token ~= ARGV[1] then\n return 0\nend\nredis.call('del', KEYS[1])\nreturn 1\n",
	} {
		do("OK", "SET", "lock:1", "mine", "NX", "PX", "60000")
		do("0", "EVAL", text, "1", "lock:1", "yours")
		do("1", "EVAL", text, "1", "lock:1", "mine")
		do("0", "EVAL", text, "1", "lock:1", "mine")
	}
	redsync := "\n\tlocal val = redis.call(\"GET\", KEYS[1])\n\tif val == ARGV[1] then\n\t\treturn redis.call(\"DEL\", KEYS[1])\n\telseif val == false then\n\t\treturn -1\n\telse\n\t\treturn 0\n\tend\n"
	do("-1", "EVAL", redsync, "1", "lock:1", "mine")
	do("OK", "SET", "lock:1", "mine")
	do("0", "EVAL", redsync, "1", "lock:1", "yours")
	do("1", "EVAL", "if redis.call(\"GET\", KEYS[1]) == ARGV[1] then\n return redis.call(\"PEXPIRE\", KEYS[1], ARGV[2])\nelse\n return 0\nend", "1", "lock:1", "mine", "50000")
	c.want("TTL lock:1", "50")
	do("1", "EVAL", redsync, "1", "lock:1", "mine")

	do("[1 0]", "SCRIPT", "EXISTS", release, strings.Repeat("0", 40))
	do(`"`+release+`"`, "SCRIPT", "LOAD", releaseLua)
	do("-NOSCRIPT", "EVALSHA", strings.Repeat("0", 40), "1", "k", "v")
	for _, text := range []string{
		"return 1", "return redis.call('get',KEYS[1])", releaseLua + " return 2",
		strings.Replace(releaseLua, "KEYS[1]) else", "KEYS[2]) else", 1), strings.Repeat(" ", 5000) + releaseLua,
	} {
		do("-ERR only scripts that", "EVAL", text, "1", "k", "v")
		do("-ERR only scripts that", "SCRIPT", "LOAD", text)
	}
	do("-ERR this script takes one key", "EVAL", releaseLua, "2", "k", "v", "w")

	do("OK", "SET", "k", "v")
	do("0", "DELEX", "k", "IFEQ", "w")
	do("0", "DELIFEQ", "k", "w")
	do("1", "DELEX", "k", "IFEQ", "v")
	do("0", "DELIFEQ", "k", "v")
	do("OK", "SET", "k_LOCK", "v", "NX")
	do("1", "DELIFEQ", "k_LOCK", "v")
	do("-ERR syntax error", "DELEX", "k", "IFNE", "v")
}

func TestNamespaceWithoutLocks(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{}, func(p *sessionstore.Policy) { p.Locking = sessionstore.LockingNone })
	f.dial().wantFails("SET "+phpSession+"_LOCK s NX PX 60000", "ERR invalid: this namespace gives no locks")
}

// Where every write needs a lease, one that was taken by this protocol will do.
func TestNamespaceOfLeases(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, func(p *sessionstore.Policy) { p.Locking = sessionstore.LockingLease }).dial()
	c.wantFails("SETEX "+phpSession+" 60 one", "ERR session changed meanwhile: this namespace is written under a lease only")
	c.want("SET "+phpSession+"_LOCK s NX PX 60000", "OK")
	c.want("SETEX "+phpSession+" 60 one", "OK")
	c.want("SETEX "+phpSession+" 60 two", "OK")
}
