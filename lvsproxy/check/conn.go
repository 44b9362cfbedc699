package check

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"time"
)

// MaxAnswer is how much of what a server says in one check is read, in bytes; for HTTP, how much of a body.
const MaxAnswer = 1 << 20

var errTooLong = errors.New("the answer is longer than 1 MiB")

// conn is a connection to the server under check. It closes when the check's context ends, and gives no more than a
// bounded number of bytes.
type conn struct {
	net.Conn
	left int
	stop func() bool
}

// dial connects to an address over "tcp" or "udp" for as long as ctx lasts.
func dial(ctx context.Context, network string, to netip.AddrPort) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	return bounded(ctx, c, MaxAnswer), nil
}

func bounded(ctx context.Context, c net.Conn, limit int) *conn {
	return &conn{Conn: c, left: limit, stop: context.AfterFunc(ctx, func() { c.Close() })}
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// dial connects to the target, in TLS for those services that begin with it. ldirectord verifies no certificate either:
// real servers have that of the VIP's name, if any.
func (s Spec) dial(ctx context.Context) (net.Conn, error) {
	c, err := dial(ctx, s.network(), s.Target)
	if err != nil {
		return nil, err
	}
	if !s.secure() {
		return c, nil
	}
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// network is what the service is spoken over: datagrams only by those that know them, whatever the virtual service is.
func (s Spec) network() string {
	switch s.Service {
	case "dns", "radius", "simpletcp", "sip":
		if s.UDP {
			return "udp"
		}
	}
	return "tcp"
}

// secure reports whether the service begins with TLS.
func (s Spec) secure() bool {
	switch s.Service {
	case "https", "imaps", "ldaps", "pops":
		return true
	}
	return false
}

// talk is a conversation in lines.
type talk struct {
	*textproto.Conn
	net net.Conn
}

// talk connects to the target for a conversation in lines.
func (s Spec) talk(ctx context.Context) (talk, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return talk{}, err
	}
	return talk{textproto.NewConn(c), c}, nil
}

// converse is a negotiate check by a conversation in lines, which ends with a farewell once it has succeeded.
func (s Spec) converse(farewell string, say func(context.Context, talk) (reason string, err error)) probe {
	return func(ctx context.Context) (string, error) {
		t, err := s.talk(ctx)
		if err != nil {
			return "", err
		}
		defer t.Close()
		reason, err := say(ctx, t)
		if err != nil {
			return "", err
		}
		t.farewell(farewell)
		return reason, nil
	}
}

// command sends a line and reads the answer to it: a code that begins with the digits of expect, as in textproto, and its
// text.
func (t talk) command(expect int, format string, args ...any) (string, error) {
	if err := t.PrintfLine(format, args...); err != nil {
		return "", err
	}
	_, message, err := t.ReadResponse(expect)
	return message, err
}

// farewell says goodbye to a server that has passed already. Many log a connection that ends without it. Whether, and
// what, it answers does not matter.
func (t talk) farewell(words string) {
	t.net.SetDeadline(time.Now().Add(time.Second))
	if t.PrintfLine("%s", words) == nil {
		t.ReadLine()
	}
}

// maxReason bounds a reason, in bytes.
const maxReason = 300

// presentable makes a text fit for logs: without passwords and secrets, should a server have repeated one, without
// control characters, and not long.
func (s Spec) presentable(text string) string {
	for _, hidden := range []string{s.Passwd, s.Secret} {
		if hidden != "" {
			text = strings.ReplaceAll(text, hidden, "***")
		}
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return strings.TrimSpace(text)
}
