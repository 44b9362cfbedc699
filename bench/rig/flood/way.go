package flood

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"time"
)

// way is where frames to an address go.
type way struct {
	device   int
	from, to net.HardwareAddr
}

// wayTo asks the kernel, which first has to find out who has the next address.
func wayTo(ctx context.Context, target netip.Addr) (way, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var routes []struct{ Gateway, Dev string }
	if err := ip(ctx, &routes, "route", "get", target.String()); err != nil {
		return way{}, err
	}
	if len(routes) != 1 {
		return way{}, errors.New("there is no route")
	}
	next := target.String()
	if routes[0].Gateway != "" {
		next = routes[0].Gateway
	}
	device, err := net.InterfaceByName(routes[0].Dev)
	if err != nil {
		return way{}, err
	}
	w := way{device: device.Index, from: device.HardwareAddr}
	w.to, err = neighbour(ctx, next, device.Name)
	return w, err
}

// neighbour returns the Ethernet address of an IP address.
func neighbour(ctx context.Context, address, device string) (net.HardwareAddr, error) {
	// A datagram to the port that discards makes the kernel ask.
	c, err := net.Dial("udp", net.JoinHostPort(address, "9"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for {
		c.Write([]byte{0}) // an error only tells that nobody listens there
		var neighbours []struct{ LLAddr string }
		if err := ip(ctx, &neighbours, "neigh", "show", "to", address, "dev", device); err != nil {
			return nil, fmt.Errorf("find the Ethernet address of %s: %w", address, err)
		}
		if len(neighbours) == 1 && neighbours[0].LLAddr != "" {
			return net.ParseMAC(neighbours[0].LLAddr)
		}
	}
}

// ip asks ip(8) in the calling thread's namespace.
func ip(ctx context.Context, answer any, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", append([]string{"-json"}, args...)...).Output()
	if err != nil {
		return errors.Join(fmt.Errorf("ip %v: %w", args, err), ctx.Err())
	}
	if len(out) == 0 {
		return nil
	}
	return json.Unmarshal(out, answer)
}
