// Package wire has two clients of a session server that cost next to nothing, so that a measurement of the server is one:
// one for sessiond's HTTP, one for the Redis protocol. Each is one kept connection with one request in flight. They
// build a request in one buffer, send it by one call, and read no more of an answer than they need.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Client uses sessions over one connection. It is for one goroutine.
type Client interface {
	// Read reads a session that is there.
	Read(id string) error
	// Write stores a payload, whatever was there.
	Write(id string, payload []byte) error
	// Touch moves the expiry of a session that is there.
	Touch(id string) error
	Close() error
}

// conn is what both clients have.
type conn struct {
	net.Conn
	in  *bufio.Reader
	out []byte
}

func dial(ctx context.Context, addr string) (conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return conn{}, err
	}
	if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		return conn{}, errors.Join(err, c.Close())
	}
	return conn{Conn: c, in: bufio.NewReaderSize(c, 4<<10)}, nil
}

// send sends what was built in out.
func (c *conn) send() error {
	_, err := c.Conn.Write(c.out)
	return err
}

// line reads a line without its end. It is good until the next read.
func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// skip reads over n bytes.
func (c *conn) skip(n int) error {
	_, err := c.in.Discard(n)
	return err
}

func (c *conn) add(parts ...string) {
	for _, p := range parts {
		c.out = append(c.out, p...)
	}
}

func (c *conn) begin(parts ...string) {
	c.out = c.out[:0]
	c.add(parts...)
}

// parse reads a decimal number.
func parse(b []byte) (int, error) {
	n := 0
	for _, d := range b {
		if d < '0' || d > '9' || n > 1<<30 {
			return 0, fmt.Errorf("%q is no length", b)
		}
		n = 10*n + int(d-'0')
	}
	return n, nil
}

// HTTP is a [Client] of sessiond's HTTP face.
type HTTP struct {
	conn
	path string
}

// DialHTTP connects.
func DialHTTP(ctx context.Context, addr, namespace string) (*HTTP, error) {
	c, err := dial(ctx, addr)
	return &HTTP{conn: c, path: "/v1/" + namespace + "/sessions/"}, err
}

// Read implements [Client].
func (h *HTTP) Read(id string) error {
	h.begin("GET ", h.path, id, " HTTP/1.1\r\nHost: sessiond\r\n\r\n")
	return h.expect(200, nil)
}

// Write implements [Client].
func (h *HTTP) Write(id string, payload []byte) error {
	return h.put(id, payload, "")
}

// WriteLast stores a payload and gives a lease back.
func (h *HTTP) WriteLast(id, token string, payload []byte) error {
	return h.put(id, payload, "Session-Lease: "+token+"\r\nSession-Close: 1\r\n")
}

func (h *HTTP) put(id string, payload []byte, headers string) error {
	h.begin("PUT ", h.path, id, " HTTP/1.1\r\nHost: sessiond\r\n", headers, "Content-Length: ")
	h.out = strconv.AppendInt(h.out, int64(len(payload)), 10)
	h.add("\r\n\r\n")
	h.out = append(h.out, payload...)
	return h.expect(204, nil)
}

// Touch implements [Client].
func (h *HTTP) Touch(id string) error {
	h.begin("POST ", h.path, id, "/touch HTTP/1.1\r\nHost: sessiond\r\nContent-Length: 0\r\n\r\n")
	return h.expect(204, nil)
}

// Open opens a session with a lock and returns the lease's token.
func (h *HTTP) Open(id string) (token string, err error) {
	const body = `{"lock":true}`
	h.begin("POST ", h.path, id, "/open HTTP/1.1\r\nHost: sessiond\r\nContent-Length: ", strconv.Itoa(len(body)), "\r\n\r\n", body)
	err = h.expect(200, func(name, value []byte) {
		if bytes.EqualFold(name, []byte("Session-Lease")) {
			token = string(value)
		}
	})
	if err == nil && token == "" {
		err = errors.New("open gave no lease")
	}
	return token, err
}

// expect sends the request and reads an answer of that status.
func (h *HTTP) expect(want int, header func(name, value []byte)) error {
	if err := h.send(); err != nil {
		return err
	}
	line, err := h.line()
	if err != nil {
		return err
	}
	if len(line) < len("HTTP/1.1 200") {
		return fmt.Errorf("status line %q", line)
	}
	status, err := parse(line[9:12])
	if err != nil {
		return err
	}
	length, err := h.headers(header)
	if err != nil {
		return err
	}
	if status != want {
		body, _ := io.ReadAll(io.LimitReader(h.in, int64(min(length, 500))))
		return fmt.Errorf("status %d, want %d: %s", status, want, body)
	}
	return h.skip(length)
}

// headers reads up to the body and returns its length.
func (h *HTTP) headers(each func(name, value []byte)) (length int, err error) {
	for {
		line, err := h.line()
		if err != nil || len(line) == 0 {
			return length, err
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = parse(value); err != nil {
				return 0, err
			}
		}
		if each != nil {
			each(name, value)
		}
	}
}

// Redis is a [Client] of Redis, or of what speaks its protocol.
type Redis struct {
	conn
	seconds string
}

// DialRedis connects. Sessions are written to last for idle, in whole seconds.
func DialRedis(ctx context.Context, addr string, idle time.Duration) (*Redis, error) {
	c, err := dial(ctx, addr)
	return &Redis{conn: c, seconds: strconv.Itoa(int(idle.Seconds()))}, err
}

// Read implements [Client].
func (r *Redis) Read(id string) error {
	r.command("GET", id)
	line, err := r.answer()
	if err != nil {
		return err
	}
	if line[0] != '$' {
		return fmt.Errorf("GET is answered with %q", line)
	}
	length, err := parse(line[1:])
	if err != nil {
		return err
	}
	return r.skip(length + len("\r\n"))
}

// Write implements [Client].
func (r *Redis) Write(id string, payload []byte) error {
	r.begin("*4\r\n$5\r\nSETEX\r\n")
	r.bulk(id)
	r.bulk(r.seconds)
	r.add("$")
	r.out = strconv.AppendInt(r.out, int64(len(payload)), 10)
	r.add("\r\n")
	r.out = append(r.out, payload...)
	r.add("\r\n")
	return r.expect("+OK")
}

// Touch implements [Client].
func (r *Redis) Touch(id string) error {
	r.command("EXPIRE", id, r.seconds)
	return r.expect(":1")
}

func (r *Redis) command(args ...string) {
	r.begin("*", strconv.Itoa(len(args)), "\r\n")
	for _, a := range args {
		r.bulk(a)
	}
}

func (r *Redis) bulk(s string) {
	r.add("$")
	r.out = strconv.AppendInt(r.out, int64(len(s)), 10)
	r.add("\r\n", s, "\r\n")
}

func (r *Redis) expect(want string) error {
	line, err := r.answer()
	if err == nil && string(line) != want {
		err = fmt.Errorf("answered with %q, want %q", line, want)
	}
	return err
}

// answer sends the command and reads the first line of its answer.
func (r *Redis) answer() ([]byte, error) {
	if err := r.send(); err != nil {
		return nil, err
	}
	line, err := r.line()
	if err == nil && len(line) == 0 {
		err = errors.New("an empty answer")
	}
	return line, err
}
