package check

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
)

// newSIP is the negotiate check of sip: OPTIONS (RFC 3261, section 11) must be answered by 200 OK.
func newSIP(s Spec) (probe, error) {
	if err := noControls(s.Login); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		c, err := s.dial(ctx)
		if err != nil {
			return "", err
		}
		defer c.Close()
		id := rand.Text()
		request := sipOptions(c.LocalAddr(), s, id)
		var status string
		if s.UDP {
			err = exchange(ctx, c, request, func(answer []byte) (ours bool, err error) {
				var call string
				status, call, err = readSIP(bufio.NewReader(bytes.NewReader(answer)))
				return err == nil && call == id && !provisional(status), nil
			})
		} else {
			status, err = sipStream(c, request)
		}
		if err != nil {
			return "", err
		}
		if !strings.HasPrefix(status, "SIP/2.0 200 OK") {
			return "", errors.New(firstLine(status))
		}
		return status, nil
	}, nil
}

func sipOptions(local net.Addr, s Spec, id string) []byte {
	var b bytes.Buffer
	header := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	header("OPTIONS sip:%s SIP/2.0", s.Login)
	header("Via: SIP/2.0/%s %s;branch=z9hG4bK%s;rport", strings.ToUpper(s.network()), local, id[:16])
	header("Max-Forwards: 70")
	header("To: <sip:%s>", s.Login)
	header("From: <sip:%s>;tag=%s", s.Login, id[16:])
	header("Call-ID: %s", id)
	header("CSeq: 1 OPTIONS")
	header("Contact: <sip:%s>", s.Login)
	header("Accept: application/sdp")
	header("Content-Length: 0")
	header("")
	return b.Bytes()
}

// sipStream asks over TCP and returns the status line of the final answer.
func sipStream(c io.ReadWriter, request []byte) (status string, err error) {
	if _, err := c.Write(request); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	for {
		if status, _, err = readSIP(r); err != nil || !provisional(status) {
			return status, err
		}
	}
}

// provisional reports whether a final answer is to follow.
func provisional(status string) bool { return strings.HasPrefix(status, "SIP/2.0 1") }

// readSIP reads an answer and returns its status line and its Call-ID.
func readSIP(r *bufio.Reader) (status, call string, err error) {
	t := textproto.NewReader(r)
	if status, err = t.ReadLine(); err != nil {
		return "", "", err
	}
	if !strings.HasPrefix(status, "SIP/2.0 ") {
		return "", "", errors.New(firstLine(status))
	}
	header, err := t.ReadMIMEHeader()
	if err != nil {
		return "", "", err
	}
	if call = header.Get("Call-ID"); call == "" {
		call = header.Get("I") // its short form (section 7.3.3)
	}
	length := header.Get("Content-Length")
	if length == "" {
		length = header.Get("L")
	}
	if n, err := strconv.ParseUint(strings.TrimSpace(length), 10, 20); err == nil && provisional(status) {
		if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
			return "", "", err
		}
	}
	return status, call, nil
}
