package userspace

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/internal/proxyproto"
)

// introduce reads the PROXY protocol header that the client begins with. While it is not complete it stays where it is,
// in the socket's queue.
func (c *conn) introduce() {
	b := c.l.buffer[:proxyproto.MaxSize]
	n, errno := peek(int(c.client.fd), b)
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0:
		c.stranger(errno)
		return
	}
	h, size, err := proxyproto.Parse(b[:n])
	switch {
	case errors.Is(err, proxyproto.ErrShort) && n < len(b) && !c.client.hup:
		return
	case err != nil:
		c.stranger(err)
		return
	}
	recv(int(c.client.fd), b[:size]) // what was peeked at is there
	if h.Source.IsValid() {
		c.from, c.to = h.Source, h.Destination
	}
	c.until = 0
	c.choose()
}

// stranger ends the connection of a client that does not say who it is.
func (c *conn) stranger(reason error) {
	d := c.l.d
	d.warn(&d.strangers, "connection refused: no PROXY protocol header", "virtual", c.service.ID().Addr, "client", c.from, "error", reason)
	c.abort()
}

// header is what the real server is told of the client.
func (c *conn) header() []byte {
	return proxyproto.Header{Source: c.from, Destination: c.to}.Append(nil, int(c.proxyOut))
}
