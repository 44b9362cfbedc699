package check

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// newSimpleTCP is the negotiate check of simpletcp: request without its slash, and with line feeds for \n, is sent, the
// sending side closed, and one line of the answer must match. With protocol=udp it is a datagram, and so is the answer.
func newSimpleTCP(s Spec) (probe, error) {
	receive, err := newPattern(s.Receive)
	if err != nil {
		return nil, err
	}
	request := []byte(strings.ReplaceAll(strings.TrimPrefix(s.Request, "/"), `\n`, "\n"))
	return func(ctx context.Context) (string, error) {
		c, err := dial(ctx, s.network(), s.Target)
		if err != nil {
			return "", err
		}
		defer c.Close()
		if s.UDP {
			return "a line matches", exchange(ctx, c, request, func(answer []byte) (bool, error) {
				return matchLine(bytes.NewReader(answer), receive) == nil, nil
			})
		}
		if _, err := c.Write(request); err != nil {
			return "", err
		}
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			return "", err
		}
		if err := matchLine(c, receive); err != nil {
			return "", err
		}
		return "a line matches", nil
	}, nil
}

// matchLine reads until a line matches. The last line needs no end.
func matchLine(answer io.Reader, receive pattern) error {
	r := bufio.NewReader(answer)
	for lines := 0; ; lines++ {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 && receive.matches(line) {
			return nil
		}
		switch {
		case err == io.EOF && lines == 0 && len(line) == 0:
			return errors.New("closed without an answer")
		case err == io.EOF:
			return fmt.Errorf("no line of the answer matches receive")
		case err != nil:
			return err
		}
	}
}
