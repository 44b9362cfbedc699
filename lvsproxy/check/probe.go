package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"
)

// probe asks a server once and returns why the server counts as alive, or why not as an error. It ends soon after ctx.
// Neither text holds a password, a secret or anything of an answer beyond its status line.
type probe func(ctx context.Context) (reason string, err error)

// dialogues make the negotiate check of each service. The error is about the Spec.
var dialogues = map[string]func(Spec) (probe, error){
	"dns":        newDNS,
	"ftp":        newFTP,
	"http":       newHTTP,
	"https":      newHTTP,
	"http_proxy": newHTTP,
	"imap":       newIMAP,
	"imaps":      newIMAP,
	"ldap":       newLDAP,
	"ldaps":      newLDAP,
	"mysql":      newMySQL,
	"nntp":       newNNTP,
	"none":       newNone,
	"pgsql":      newPgSQL,
	"pop":        newPOP,
	"pops":       newPOP,
	"radius":     newRADIUS,
	"simpletcp":  newSimpleTCP,
	"sip":        newSIP,
	"smtp":       newSMTP,
	"submission": newSMTP,
}

// Services are what a negotiate check can speak here, sorted. "none" always succeeds, as in ldirectord. Of ldirectord's
// services only oracle is missing: it would need Oracle's own client library.
func Services() []string { return slices.Sorted(maps.Keys(dialogues)) }

// newNegotiate returns the negotiate check of a Spec: bounded in time as a whole, and with reasons that may be shown.
func newNegotiate(s Spec) (probe, error) {
	make := dialogues[s.Service]
	if make == nil {
		return nil, fmt.Errorf("check of %s: a negotiate check of service %q is not supported", s.Target, s.Service)
	}
	dialogue, err := make(s)
	if err != nil {
		return nil, fmt.Errorf("check of %s: %w", s.Target, err)
	}
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, s.NegotiateTimeout)
		defer cancel()
		start := time.Now()
		reason, err := dialogue(ctx)
		var network net.Error
		switch {
		case err == nil:
			return s.presentable(reason), nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
			return "", fmt.Errorf("%s check: no complete answer within %v", s.Service, time.Since(start).Round(time.Millisecond))
		}
		return "", fmt.Errorf("%s check: %s", s.Service, s.presentable(err.Error()))
	}, nil
}

// newNone is the negotiate check of service none, which ldirectord holds to be up.
func newNone(Spec) (probe, error) {
	return func(context.Context) (string, error) { return "service=none is not checked", nil }, nil
}
