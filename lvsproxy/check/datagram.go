package check

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// Datagrams that get no answer are sent again after firstResend, and then after twice as long each time, up to
// lastResend. RFC 3261 (section 17.1.2.2) says so for SIP; DNS and RADIUS are content with it.
const (
	firstResend = 500 * time.Millisecond
	lastResend  = 4 * time.Second
)

// exchange sends a datagram until accept takes an answer or the context ends. accept returns false for what is no answer
// to this, such as a late one to an earlier check.
func exchange(ctx context.Context, c net.Conn, message []byte, accept func(answer []byte) (ours bool, err error)) error {
	answer := make([]byte, 64<<10)
	for wait := firstResend; ; wait = min(2*wait, lastResend) {
		if _, err := c.Write(message); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(wait))
		for {
			n, err := c.Read(answer)
			if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
				break
			}
			if err != nil {
				return err
			}
			if ours, err := accept(answer[:n]); ours {
				return err
			}
		}
	}
}
