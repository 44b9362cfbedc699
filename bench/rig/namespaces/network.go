package namespaces

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// build makes the hosts, what joins them, and the ways.
func (r *Rig) build(ctx context.Context, o Options) error {
	for _, h := range r.hosts {
		if out, err := exec.CommandContext(ctx, "ip", "netns", "add", r.Name(h)).CombinedOutput(); err != nil {
			err = fmt.Errorf("ip netns add %s: %w: %s", r.Name(h), err, strings.TrimSpace(string(out)))
			if strings.Contains(err.Error(), "Operation not permitted") {
				return fmt.Errorf("%w: %w", errNotAllowed, err)
			}
			return err
		}
		if err := r.settle(ctx, h, o.Directors == 2); err != nil {
			return err
		}
	}
	links := oneDirector
	if o.Directors == 2 {
		links = twoDirectors
		if err := r.ip(ctx, bridges, "link add outside type bridge", "link add inside type bridge", "link set outside up", "link set inside up"); err != nil {
			return err
		}
	}
	if err := r.join(ctx, links, o.MTU); err != nil {
		return err
	}
	for _, h := range r.hosts {
		if err := r.settled(ctx, h); err != nil {
			return err
		}
	}
	return r.ways(ctx)
}

// settled waits until a host can use its addresses of IPv6: the kernel gives them free some time after the link is up.
func (r *Rig) settled(ctx context.Context, h Host) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		out, err := exec.CommandContext(ctx, "ip", "-6", "-netns", r.Name(h), "address", "show", "tentative").Output()
		if err != nil {
			return fmt.Errorf("wait for the addresses of %s: %w", h, err)
		}
		if len(out) == 0 {
			return nil
		}
	}
}

// settle gives a host its kernel's settings, before it has devices, which inherit them.
func (r *Rig) settle(ctx context.Context, h Host, segments bool) error {
	settings := []string{
		// What a new namespace has of these depends on the machine. The answers of gate and ipip come another way than the
		// questions went, which rp_filter would drop without a word.
		"net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
		// Addresses shall be there at once: nobody else has them.
		"net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0",
	}
	switch h {
	case Real1, Real2:
		if segments { // who has the VIP on lo must not tell others that the VIP is here
			settings = append(settings, "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
		}
	default:
		// Thousands of connections are opened a second: one that has ended keeps its port for a minute unless the kernel may
		// reuse it, and looking for the last free ones takes milliseconds.
		settings = append(settings, "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 65535")
		// A real server sees connections from one port that the client opened to different addresses. It takes one after the
		// other only if their timestamps grow, so those must not begin at a number by chance for each address.
		settings = append(settings, "net.ipv4.tcp_timestamps=2")
	}
	if h == Director || h == Director2 {
		settings = append(settings, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
			"net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0")
	}
	if out, err := r.Command(ctx, h, "sysctl", append([]string{"-qw"}, settings...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("sysctl on %s: %w: %s", h, err, out)
	}
	return r.ip(ctx, h, "link set lo up")
}

// end is a device at an end of a link, and its addresses. One on the bridges' host has none, and a bridge.
type end struct {
	host      Host
	device    string
	addresses []string
	bridge    string
}

// link joins two hosts. Its MTU can be the rig's.
type link struct {
	ends   [2]end
	narrow bool
}

// oneDirector's links to the real servers are of one address each, so no bridge is needed.
var oneDirector = []link{
	{ends: [2]end{
		{host: Director, device: ToClient, addresses: []string{VIP + "/16", VIP6 + "/64"}},
		{host: Client, device: "eth0", addresses: []string{ClientIP + "/16", ClientIP6 + "/64"}},
	}},
	pointToPoint(Director, ToReal1, GatewayIP, GatewayIP6, Real1, "eth0", Real1IP, Real1IP6, true, ""),
	pointToPoint(Director, ToReal2, GatewayIP, GatewayIP6, Real2, "eth0", Real2IP, Real2IP6, true, ""),
	// The ways past the director are for what comes from the VIP only: no route goes there by itself.
	pointToPoint(Client, "real1", ClientIP, ClientIP6, Real1, "client", pastIP1, pastIP1v6, false, " noprefixroute"),
	pointToPoint(Client, "real2", ClientIP, ClientIP6, Real2, "client", pastIP2, pastIP2v6, false, " noprefixroute"),
}

// twoDirectors have addresses of their own only. The real servers stand on the clients' segment too.
var twoDirectors = []link{
	toBridge(Client, "eth0", "outside", false, ClientIP+"/16", ClientIP6+"/64"),
	toBridge(Director, ToClient, "outside", false, "172.16.0.3/16", "fd00:16::3/64"),
	toBridge(Director2, ToClient, "outside", false, "172.16.0.4/16", "fd00:16::4/64"),
	toBridge(Director, ToReals, "inside", true, "192.168.0.3/24", "fd00:192::3/64"),
	toBridge(Director2, ToReals, "inside", true, "192.168.0.4/24", "fd00:192::4/64"),
	toBridge(Real1, "eth0", "inside", true, Real1IP+"/24", Real1IP6+"/64"),
	toBridge(Real2, "eth0", "inside", true, Real2IP+"/24", Real2IP6+"/64"),
	toBridge(Real1, "client", "outside", false, pastIP1+"/16 noprefixroute", pastIP1v6+"/64 noprefixroute"),
	toBridge(Real2, "client", "outside", false, pastIP2+"/16 noprefixroute", pastIP2v6+"/64 noprefixroute"),
}

// The real servers' addresses at the clients' side, on the way past the director.
const (
	pastIP1   = "172.16.0.101"
	pastIP2   = "172.16.0.102"
	pastIP1v6 = "fd00:16::101"
	pastIP2v6 = "fd00:16::102"
)

func pointToPoint(a Host, aDevice, aIP, aIP6 string, b Host, bDevice, bIP, bIP6 string, narrow bool, flags string) link {
	return link{narrow: narrow, ends: [2]end{
		{host: a, device: aDevice, addresses: []string{aIP + " peer " + bIP + flags, aIP6 + " peer " + bIP6 + flags}},
		{host: b, device: bDevice, addresses: []string{bIP + " peer " + aIP + flags, bIP6 + " peer " + aIP6 + flags}},
	}}
}

func toBridge(h Host, device, bridge string, narrow bool, addresses ...string) link {
	return link{narrow: narrow, ends: [2]end{
		{host: h, device: device, addresses: addresses},
		{host: bridges, device: string(h) + "-" + bridge[:2], bridge: bridge},
	}}
}

// join makes the links.
func (r *Rig) join(ctx context.Context, links []link, mtu int) error {
	var pairs []string
	devices := map[Host][]string{}
	for _, l := range links {
		pairs = append(pairs, fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s",
			l.ends[0].device, r.Name(l.ends[0].host), l.ends[1].device, r.Name(l.ends[1].host)))
		for _, e := range l.ends {
			lines := devices[e.host]
			if l.narrow && mtu != 0 {
				lines = append(lines, fmt.Sprintf("link set %s mtu %d", e.device, mtu))
			}
			if e.bridge != "" {
				lines = append(lines, fmt.Sprintf("link set %s master %s", e.device, e.bridge))
			}
			lines = append(lines, fmt.Sprintf("link set %s up", e.device))
			for _, address := range e.addresses {
				lines = append(lines, fmt.Sprintf("address add %s dev %s", address, e.device))
			}
			devices[e.host] = lines
		}
	}
	if err := batch(ctx, pairs); err != nil {
		return err
	}
	for h, lines := range devices {
		if err := r.ip(ctx, h, lines...); err != nil {
			return err
		}
	}
	return nil
}

// segment is what hosts offer as the largest segment: that of 1500 bytes.
const (
	segment  = "advmss 1460"
	segment6 = "advmss 1440"
)

// ways gives the hosts their routes. What the real servers send from the VIP goes straight to the client.
func (r *Rig) ways(ctx context.Context) error {
	errs := []error{
		r.ip(ctx, Client, "route add 192.168.0.0/24 via "+VIP),
		r.ip6(ctx, Client, "route add fd00:192::/64 via "+VIP6),
	}
	for _, h := range r.hosts {
		if h == Director || h == Director2 {
			errs = append(errs,
				r.ip(ctx, h, "route add "+Elsewhere.String()+" via "+ClientIP),
				r.ip6(ctx, h, "route add "+Elsewhere6.String()+" via "+ClientIP6))
		}
	}
	for _, h := range []Host{Real1, Real2} {
		errs = append(errs,
			r.ip(ctx, h,
				"address add "+VIP+"/32 dev lo",
				"address add "+VIP6+"/128 dev lo",
				"route add default via "+GatewayIP+" "+segment,
				"rule add from "+VIP+" lookup 100",
				"route add default via "+ClientIP+" dev client onlink table 100",
			),
			r.ip6(ctx, h,
				// The kernel gives an address with a peer a route to it, noprefixroute or not.
				"route flush root "+ClientIP6+"/128 dev client",
				"route add default via "+GatewayIP6+" "+segment6,
				"rule add from "+VIP6+" lookup 100",
				"route add default via "+ClientIP6+" dev client onlink table 100",
			))
	}
	return errors.Join(errs...)
}
