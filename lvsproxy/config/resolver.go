package config

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Resolver turns names in a file into numbers. A file that holds only numbers never asks it.
type Resolver interface {
	// Addr returns an address of a host, IPv6 or IPv4 as asked.
	Addr(host string, ipv6 bool) (netip.Addr, error)
	// Port returns the port of a service name, for [TCP] or [UDP].
	Port(service string, p Protocol) (uint16, error)
}

// SystemResolver asks the system's resolver and /etc/services. Its Context bounds each look-up; nil means no bound.
type SystemResolver struct{ Context context.Context }

func (r SystemResolver) context() context.Context {
	if r.Context == nil {
		return context.Background()
	}
	return r.Context
}

// Addr implements [Resolver]: the first address of the family that the system returns.
func (r SystemResolver) Addr(host string, ipv6 bool) (netip.Addr, error) {
	network := "ip4"
	if ipv6 {
		network = "ip6"
	}
	addrs, err := net.DefaultResolver.LookupNetIP(r.context(), network, host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if a = a.Unmap(); a.Is6() == ipv6 {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("host %s has no address of the wanted family", host)
}

// Port implements [Resolver].
func (r SystemResolver) Port(service string, p Protocol) (uint16, error) {
	n, err := net.DefaultResolver.LookupPort(r.context(), string(p), service)
	return uint16(n), err
}
