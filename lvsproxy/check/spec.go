package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Spec is one check's identity and everything that its outcome depends on.
type Spec struct {
	Type  config.CheckType
	Every int // connect checks between two negotiate checks, for config.CheckCombined
	// Service is what a negotiate check speaks: http, https or none.
	Service string
	// Target is connected to, unless URL names another host.
	Target netip.AddrPort
	// URL, Method, VirtualHost and Receive describe an HTTP check.
	URL, Method, VirtualHost, Receive string
	// Interval is the longest pause between two checks; the real one is up to a tenth shorter, so that checks spread.
	Interval                         time.Duration
	ConnectTimeout, NegotiateTimeout time.Duration
	// FailureCount and RiseCount are how many failures take a server out, and how many successes put it back, in a
	// row; both at least 1. The very first result counts at once.
	FailureCount, RiseCount int
}

// Types are the check types that this package can run.
func Types() []config.CheckType {
	return []config.CheckType{config.CheckNegotiate, config.CheckConnect, config.CheckCombined, config.CheckOn, config.CheckOff}
}

// Services are what a negotiate check can speak here. "none" always succeeds, as in ldirectord.
func Services() []string { return []string{"http", "https", "none"} }

// ForReal returns the check of a real server of a virtual service. What an outcome does not depend on is left zero, so
// that as many checks as possible are one. A risecount in the file counts before riseCount.
func ForReal(v config.Virtual, r config.Real, riseCount int) Spec {
	c := v.Check
	if c.RiseCount != 0 {
		riseCount = c.RiseCount
	}
	s := Spec{Type: c.Type, Target: r.Addr, Interval: c.Interval, FailureCount: c.FailureCount, RiseCount: max(riseCount, 1)}
	if port := cmp.Or(c.Port, r.CheckPort); port != 0 {
		s.Target = netip.AddrPortFrom(r.Addr.Addr(), port)
	}
	switch c.Type {
	case config.CheckOn, config.CheckOff:
		return s
	case config.CheckConnect:
		s.ConnectTimeout = c.ConnectTimeout
		return s
	case config.CheckCombined:
		s.Every, s.ConnectTimeout = c.Every, c.ConnectTimeout
	}
	s.Service, s.NegotiateTimeout = c.Service, c.NegotiateTimeout
	if s.isHTTP() {
		s.Method, s.VirtualHost, s.Receive = c.Method, c.VirtualHost, r.Receive
		if s.VirtualHost == "" {
			s.VirtualHost = hostOf(r.Addr.Addr())
		}
		s.URL = r.Request
		if r.Request == "" || r.Request[0] == '/' {
			s.URL = fmt.Sprintf("%s://%s%s", s.Service, s.Target, r.Request)
		}
	}
	return s
}

// hostOf returns the Host header that ldirectord sends without a virtualhost: the address, and never a port.
func hostOf(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func (s Spec) isHTTP() bool { return s.Service == "http" || s.Service == "https" }

func (s Spec) parseURL() (*url.URL, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, fmt.Errorf("check of %s: %w", s.Target, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("check of %s: %q is no HTTP address", s.Target, s.URL)
	}
	return u, nil
}
