package check

import (
	"context"
	"fmt"
)

// newConnect returns the connect check of a Spec: a TCP connection is opened and closed. A UDP service has nothing like
// that, so it is pinged, as ldirectord does.
func newConnect(s Spec) probe {
	if s.UDP {
		return newPing(s)
	}
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, s.ConnectTimeout)
		defer cancel()
		c, err := dial(ctx, "tcp", s.Target)
		if err != nil {
			return "", fmt.Errorf("connect check: %w", err)
		}
		c.Close()
		return "connected", nil
	}
}
