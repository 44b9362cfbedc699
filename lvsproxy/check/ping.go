package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// newPing returns the ping check of a Spec: up to Count ICMP echo requests, each of which may take ConnectTimeout. One
// answer is enough.
func newPing(s Spec) probe {
	return func(ctx context.Context) (string, error) {
		p, err := openPinger(s.Target.Addr())
		if err != nil {
			return "", fmt.Errorf("ping check: %w", err)
		}
		defer p.Close()
		stop := context.AfterFunc(ctx, func() { p.Close() })
		defer stop()
		for attempt := range max(s.Count, 1) {
			if err = ctx.Err(); err != nil {
				break
			}
			err = p.ping(attempt, s.ConnectTimeout)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "", fmt.Errorf("ping check: no answer to %d packets, each within %v", max(s.Count, 1), s.ConnectTimeout)
		case err != nil:
			return "", fmt.Errorf("ping check: %w", err)
		}
		return "answers ping", nil
	}
}

// pinger is an ICMP socket for one target.
type pinger struct {
	*icmp.PacketConn
	target  netip.Addr
	to      net.Addr
	request icmp.Type
	reply   icmp.Type
	token   []byte // tells our packets from those of others, which a raw socket sees too
}

// openPinger opens a ping socket, which the kernel gives to the groups in net.ipv4.ping_group_range, or else a raw one,
// which needs CAP_NET_RAW.
func openPinger(target netip.Addr) (*pinger, error) {
	p := &pinger{target: target, request: ipv4.ICMPTypeEcho, reply: ipv4.ICMPTypeEchoReply, token: []byte(rand.Text())}
	unprivileged, raw, any := "udp4", "ip4:icmp", "0.0.0.0"
	if target.Is6() {
		p.request, p.reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
		unprivileged, raw, any = "udp6", "ip6:ipv6-icmp", "::"
	}
	var err error
	if p.PacketConn, err = icmp.ListenPacket(unprivileged, any); err == nil {
		p.to = net.UDPAddrFromAddrPort(netip.AddrPortFrom(target, 0))
		return p, nil
	}
	if p.PacketConn, err = icmp.ListenPacket(raw, any); err != nil {
		return nil, fmt.Errorf("%w (expected net.ipv4.ping_group_range to include this group, or CAP_NET_RAW)", err)
	}
	p.to = &net.IPAddr{IP: target.AsSlice()}
	return p, nil
}

// ping sends one packet and waits for the answer to it.
func (p *pinger) ping(seq int, timeout time.Duration) error {
	m := icmp.Message{Type: p.request, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: seq, Data: p.token}}
	packet, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := p.WriteTo(packet, p.to); err != nil {
		return err
	}
	p.SetReadDeadline(time.Now().Add(timeout))
	buffer := make([]byte, 1500)
	for {
		n, from, err := p.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if p.answers(buffer[:n], from, seq) {
			return nil
		}
	}
}

// answers reports whether a packet is the answer to number seq of ours.
func (p *pinger) answers(packet []byte, from net.Addr, seq int) bool {
	var source net.IP
	switch a := from.(type) {
	case *net.UDPAddr:
		source = a.IP
	case *net.IPAddr:
		source = a.IP
	}
	if addr, ok := netip.AddrFromSlice(source); !ok || addr.Unmap() != p.target {
		return false
	}
	m, err := icmp.ParseMessage(p.reply.Protocol(), packet)
	if err != nil || m.Type != p.reply {
		return false
	}
	echo, ok := m.Body.(*icmp.Echo)
	return ok && echo.Seq == seq && bytes.Equal(echo.Data, p.token)
}
