package check

import (
	"context"
	"fmt"
	"net"
	"time"
)

// probe asks a server once.
type probe interface {
	// run returns why the server counts as alive, or why not as an error.
	run(ctx context.Context) (reason string, err error)
	// close releases what the probe holds.
	close()
}

func newNegotiateProbe(s Spec) (probe, error) {
	if s.isHTTP() {
		return newHTTPProbe(s)
	}
	return noProbe{}, nil
}

// noProbe is the negotiate check of service none, which ldirectord holds to be up.
type noProbe struct{}

func (noProbe) run(context.Context) (string, error) { return "service=none is not checked", nil }
func (noProbe) close()                              {}

// connectProbe only opens a TCP connection.
type connectProbe struct {
	target  string
	timeout time.Duration
}

func newConnectProbe(s Spec) connectProbe { return connectProbe{s.Target.String(), s.ConnectTimeout} }

func (p connectProbe) run(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil {
		return "", fmt.Errorf("connect check: %w", err)
	}
	conn.Close()
	return "connected", nil
}

func (connectProbe) close() {}
