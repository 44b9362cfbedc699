package resp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/resp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// face is a running server.
type face struct {
	*testing.T
	svc    *sessionstore.Service
	server *resp.Server
	addr   string
}

func start(t *testing.T, store sessionstore.Store, o resp.Options, change func(*sessionstore.Policy)) *face {
	t.Helper()
	policy := sessionstore.DefaultPolicy()
	if change != nil {
		change(&policy)
	}
	svc, err := sessionstore.NewService(store, policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := resp.New(svc, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &face{T: t, svc: svc, server: server, addr: l.Addr().String()}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

// client is a connection that shows answers as one would write them down: 1, "x", OK, -ERR …, nil, [1 "x"], {"k" 1}.
type client struct {
	*testing.T
	net.Conn
	r *bufio.Reader
}

func (f *face) dial() *client {
	f.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	return &client{f.T, c, bufio.NewReader(c)}
}

func (c *client) send(args ...string) {
	c.Helper()
	if _, err := c.Write(encode(args...)); err != nil {
		c.Fatal(err)
	}
}

func encode(args ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return []byte(b.String())
}

// do sends a command, given with blanks between its arguments, and returns the answer.
func (c *client) do(line string) string {
	c.Helper()
	c.send(strings.Fields(line)...)
	return c.answer()
}

func (c *client) want(line, answer string) {
	c.Helper()
	got := c.do(line)
	if strings.HasPrefix(line, "TTL ") && nearly(got, answer) {
		return
	}
	if got != answer {
		c.Fatalf("%.80s: %.200s, want %s", line, got, answer)
	}
}

// nearly tells whether a time-to-live is the one wanted or, on a busy machine, up to nine seconds less.
func nearly(got, want string) bool {
	n, err := strconv.Atoi(got)
	m, err2 := strconv.Atoi(want)
	return err == nil && err2 == nil && n > 0 && n <= m && n >= m-9
}

// wantFails asserts an error whose text begins so.
func (c *client) wantFails(line, beginning string) {
	c.Helper()
	if got := c.do(line); !strings.HasPrefix(got, "-"+beginning) {
		c.Fatalf("%.80s: %.200s, want -%s…", line, got, beginning)
	}
}

func (c *client) answer() string {
	c.Helper()
	s, err := c.read()
	if err != nil {
		c.Fatal(err)
	}
	return s
}

func (c *client) read() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimSuffix(line[1:], "\r\n")
	n, _ := strconv.Atoi(rest)
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "-" + rest, nil
	case '_':
		return "nil", nil
	case '$', '=':
		if n < 0 {
			return "nil", nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(c.r, b)
		return strconv.Quote(string(b[:n])), err
	case '*', '%':
		if n < 0 {
			return "nil", nil
		}
		open, end := "[", "]"
		if kind == '%' {
			n, open, end = 2*n, "{", "}"
		}
		parts := make([]string, n)
		for i := range parts {
			if parts[i], err = c.read(); err != nil {
				return "", err
			}
		}
		return open + strings.Join(parts, " ") + end, nil
	}
	return "", fmt.Errorf("answer %q", line)
}

func TestStrings(t *testing.T) {
	for name, key := range map[string]string{"session": "PHPREDIS_SESSION:" + strings.Repeat("a", 32), "plain": "cart:1"} {
		t.Run(name, func(t *testing.T) {
			c := start(t, memory.New(nil), resp.Options{}, nil).dial()
			do := func(line, answer string) { t.Helper(); c.want(strings.ReplaceAll(line, "@", key), answer) }
			do("GET @", "nil")
			do("STRLEN @", "0")
			do("TYPE @", "none")
			do("SET @ one", "OK")
			do("GET @", `"one"`)
			do("TYPE @", "string")
			do("STRLEN @", "3")
			do("EXISTS @ @ other", "2")
			do("SET @ two NX", "nil")
			do("SET @ two XX GET", `"one"`)
			do("SET @ three NX GET", `"two"`)
			do("GETSET @ four", `"two"`)
			do("SETNX @ five", "0")
			do("SET @ five EX 100", "OK")
			do("TTL @", "100")
			do("SET @ six KEEPTTL", "OK")
			do("TTL @", "100")
			do("EXPIRE @ 50 GT", "0")
			do("EXPIRE @ 50 LT", "1")
			do("EXPIRE @ 60 NX", "0")
			do("EXPIRE @ 60 XX", "1")
			do("TTL @", "60")
			do("PERSIST @", "1")
			do("PERSIST @", "0")
			do("TTL @", "-1")
			do("EXPIRE @ 60 XX", "0")
			do("EXPIRE @ 60 GT", "0")
			do("GETEX @ EX 70", `"six"`)
			do("TTL @", "70")
			do("GETEX @ PERSIST", `"six"`)
			do("TTL @", "-1")
			do("PSETEX @ 80000 seven", "OK")
			do("TTL @", "80")
			do("SETEX @ 90 eight", "OK")
			do("TTL @", "90")
			do("MSET @ nine other ten", "OK")
			do("MGET @ nothing other", `["nine" nil "ten"]`)
			do("HSET @ f v", "-WRONGTYPE Operation against a key holding the wrong kind of value")
			do("EXPIRE @ 100000000000", "1") // longer than a store takes
			do("TTL @", "-1")
			do("EXPIRE nothing 60", "0")
			do("PERSIST nothing", "0")
			do("TTL nothing", "-2")
			do("DEL @ nothing", "1")
			do("GET @", "nil")
			do("DEL @", "0")
		})
	}
}

// Values of every size that a buffer may end at come back whole.
func TestSizes(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, nil).dial()
	for _, around := range []int{0, 512, 4 << 10, 16 << 10, 32 << 10, 256 << 10, 1<<20 - 100} {
		for size := max(0, around-40); size < around+40; size += 7 {
			v := strings.Repeat("x", size)
			c.send("SET", "k", v)
			c.send("GET", "k")
			if got := c.answer() + c.answer(); got != `OK"`+v+`"` {
				t.Fatalf("%d bytes: %d", size, len(got))
			}
		}
	}
}

func TestExpiryRemoves(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, nil).dial()
	for _, remove := range []string{"EXPIRE k 0", "EXPIRE k -1", "PEXPIREAT k 1", "EXPIREAT k 1", "DEL k", "UNLINK k", "SET k v PXAT 1 XX GET"} {
		c.want("SET k v", "OK")
		got := c.do(remove)
		if got != "1" && got != `"v"` {
			t.Errorf("%s: %s", remove, got)
		}
		c.want("EXISTS k", "0")
	}
	c.want("SET k v", "OK")
	c.want("GETDEL k", `"v"`)
	c.want("GETDEL k", "nil")
	c.want("SETNX k w", "1")
	c.want("SET k v EXAT 1", "OK")
	c.want("GET k", "nil")
}

// A plain key can be written again at once after DEL, as every lock and cache expects; a session cannot.
func TestDeleteAndWriteAgain(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, nil).dial()
	for range 100 {
		c.want("SET k v NX", "OK")
		c.want("DEL k", "1")
	}
	session := "PHPREDIS_SESSION:" + strings.Repeat("b", 32)
	c.want("SET "+session+" v", "OK")
	c.want("DEL "+session, "1")
	c.wantFails("SET "+session+" v", "ERR session was destroyed")
	c.wantFails("SET "+session+" v NX", "ERR session was destroyed")
	c.want("GET "+session, "nil")
	c.want("EXPIRE "+session+" 5", "0")
}

func TestHashes(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, nil).dial()
	c.want("HSET h a 1 b 2", "2")
	c.want("HSET h b 3 c 4", "1")
	c.want("HGET h b", `"3"`)
	c.want("HGET h x", "nil")
	c.want("HGETALL h", `["a" "1" "b" "3" "c" "4"]`)
	c.want("HMGET h a x c", `["1" nil "4"]`)
	c.want("HKEYS h", `["a" "b" "c"]`)
	c.want("HVALS h", `["1" "3" "4"]`)
	c.want("HLEN h", "3")
	c.want("HEXISTS h a", "1")
	c.want("HEXISTS h x", "0")
	c.want("HSTRLEN h a", "1")
	c.want("HINCRBY h a 41", "42")
	c.want("HINCRBY h n -2", "-2")
	c.want("HSETNX h a 1", "0")
	c.want("HSETNX h d 1", "1")
	c.want("HMSET h e 5", "OK")
	c.want("TYPE h", "hash")
	c.want("EXPIRE h 60", "1")
	c.want("HSET h e 6", "0")
	c.want("TTL h", "60")
	c.want("HDEL h a b x", "2")
	c.want("HDEL h c d e n", "4")
	c.want("EXISTS h", "0")
	c.want("HGETALL h", "[]")
	c.want("HSET h f x", "1")
	c.wantFails("HINCRBY h f 1", "ERR hash value is not an integer")
	c.want("HSET h f 9223372036854775807", "0")
	c.wantFails("HINCRBY h f 1", "ERR increment or decrement would overflow")
	c.wantFails("GET h", "WRONGTYPE")
	c.wantFails("SET h v GET", "WRONGTYPE")
	c.wantFails("HSET h f", "ERR wrong number of arguments for 'hset' command")
	c.want("MGET h", "[nil]")
	c.want("SET h v", "OK")
	c.wantFails("HGET h f", "WRONGTYPE")
	c.wantFails("HSET PHPREDIS_SESSION:"+strings.Repeat("c", 32)+" f v", "ERR a session id")
	c.want("HELLO 3 SETNAME x", c.do("HELLO 3"))
	c.want("HSET g a 1", "1")
	c.want("HGETALL g", `{"a" "1"}`)
}

// Eight clients count in one field and in one string; none is lost.
func TestChangesAreAtomic(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{}, nil)
	const clients, each = 8, 40
	var wg sync.WaitGroup
	won := make(chan bool, clients*each)
	for range clients {
		c := f.dial()
		wg.Go(func() {
			for range each {
				for {
					c.send("HINCRBY", "h", "n", "1")
					if s, err := c.read(); err != nil || !strings.HasPrefix(s, "-TRYAGAIN") {
						break
					}
				}
				c.send("SETNX", "lock", "x")
				if s, _ := c.read(); s == "1" {
					won <- true
					c.send("DEL", "lock")
					c.read()
				}
			}
		})
	}
	wg.Wait()
	f.dial().want("HGET h n", fmt.Sprintf("%q", strconv.Itoa(clients*each)))
	if len(won) == 0 {
		t.Error("nobody got the key that was set if it was not there")
	}
}

func TestMistakes(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, func(p *sessionstore.Policy) { p.MaxPayload = 1000 }).dial()
	long := strings.Repeat("x", 1001)
	for line, answer := range map[string]string{
		"FLUSHALL":                  "ERR unknown command 'FLUSHALL', with args beginning with: ",
		"nonsense a b":              "ERR unknown command 'nonsense', with args beginning with: 'a' 'b' ",
		"GET":                       "ERR wrong number of arguments for 'get' command",
		"SET k v EX":                "ERR syntax error",
		"SET k v NX XX":             "ERR syntax error",
		"SET k v EX 1 PX 1":         "ERR syntax error",
		"SET k v EX 0":              "ERR invalid expire time in 'set' command",
		"SET k v EX x":              "ERR value is not an integer or out of range",
		"SET k v PERSIST":           "ERR syntax error",
		"SETEX k 0 v":               "ERR invalid expire time in 'setex' command",
		"SETEX k -1 v":              "ERR invalid expire time in 'setex' command",
		"EXPIRE k 1 YY":             "ERR Unsupported option YY",
		"EXPIRE k 1 NX GT":          "ERR NX and XX, GT or LT options at the same time are not compatible",
		"EXPIRE k 9223372036854775": "ERR",
		"MSET a b c":                "ERR wrong number of arguments for 'mset' command",
		"SELECT x":                  "ERR invalid DB index",
		"SELECT 16":                 "ERR DB index is out of range",
		"HELLO 4":                   "NOPROTO unsupported protocol version",
		"AUTH x":                    "ERR AUTH <password> called without any password configured",
		"CLIENT KILL x":             "ERR unknown subcommand",
		"SET k " + long:             "ERR session payload is too large",
		"GET " + long + long:        "ERR a key has 1 to 1024 bytes",
	} {
		if answer == "ERR" {
			c.want(line, "0")
			continue
		}
		c.wantFails(line, answer)
	}
	c.want("PING", "PONG")
	c.want("PING hello", `"hello"`)
}

func TestSecondFace(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{Namespace: "shop"}, nil)
	sessions, err := f.svc.Namespace("shop")
	if err != nil {
		t.Fatal(err)
	}
	id := sessionstore.NewID()
	if _, err := sessions.Write(t.Context(), id, sessionstore.WriteOptions{Payload: []byte("user|i:7;")}); err != nil {
		t.Fatal(err)
	}
	c := f.dial()
	c.want("GET PHPREDIS_SESSION:"+id, `"user|i:7;"`)
	c.want("SETEX PHPREDIS_SESSION:"+id+" 60 user|i:8;", "OK")
	if s, err := sessions.Read(t.Context(), id); err != nil || string(s.Payload) != "user|i:8;" || s.Version != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	c.want("SELECT 1", "OK")
	c.want("GET PHPREDIS_SESSION:"+id, "nil")
	c.want("SELECT 0", "OK")
	newID, _, err := sessions.Regenerate(t.Context(), id, sessionstore.RegenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.want("GET PHPREDIS_SESSION:"+id, `"user|i:8;"`)
	c.want("GET PHPREDIS_SESSION:"+newID, `"user|i:8;"`)
}

func TestSmallTalk(t *testing.T) {
	c := start(t, memory.New(nil), resp.Options{}, nil).dial()
	c.want("ECHO x", `"x"`)
	c.want("CLIENT GETNAME", "nil")
	c.want("CLIENT SETNAME web1", "OK")
	c.want("CLIENT GETNAME", `"web1"`)
	c.want("CLIENT SETINFO LIB-NAME x", "OK")
	c.want("CLIENT ID", "1")
	if got := c.do("CLIENT LIST"); !strings.Contains(got, "name=web1") {
		t.Errorf("CLIENT LIST: %s", got)
	}
	if got := c.do("INFO server"); !strings.Contains(got, "redis_version:") || strings.Contains(got, "# Clients") {
		t.Errorf("INFO: %s", got)
	}
	c.want("COMMAND INFO get nothing", "[[\"get\" 2 [readonly] 1 1 1] nil]")
	c.want("COMMAND DOCS get", "[]")
	if got := c.do("HELLO 3"); !strings.HasPrefix(got, `{"server" "redis" "version"`) {
		t.Errorf("HELLO 3: %s", got)
	}
	c.want("GET nothing", "nil")
	c.want("RESET", "RESET")
	if _, err := io.WriteString(c, "set k 'a b'\r\nget k\r\n\r\nPING\n"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"OK", `"a b"`, "PONG"} {
		if got := c.answer(); got != want {
			t.Errorf("inline: %s, want %s", got, want)
		}
	}
	c.want("QUIT", "OK")
	if _, err := c.read(); err != io.EOF {
		t.Errorf("after QUIT: %v", err)
	}
}
