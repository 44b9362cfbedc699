// Package conntable reads the kernel's list of IPVS connections, /proc/net/ip_vs_conn. It needs no privilege and no
// module for its tests.
package conntable

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// header is the first word of the line that names the columns.
const header = "Pro"

// columns are those that each line has: protocol, client, its port, VIP, its port, server, its port, state, seconds.
// What a persistence engine adds comes after them.
const columns = 9

// Read calls yield for each connection of r, in r's order, until yield returns false. A line that is not the kernel's is
// an error, and nothing after it is read. The template of a firewall-mark service has the protocol config.FWM and, as
// its virtual address, the mark in the last four bytes, as the kernel writes it (ip_vs_sched_persist). Protocols that
// the director has no services of are left out.
func Read(r io.Reader, yield func(service.Conn) bool) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == header {
			continue
		}
		protocol, ok := protocolOf(fields[0])
		if !ok {
			continue
		}
		c, err := parse(fields)
		if err != nil {
			return fmt.Errorf("connection %q: %w", lines.Text(), err)
		}
		c.Protocol = protocol
		if !yield(c) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading connections: %w", err)
	}
	return nil
}

// protocolOf returns the protocol that the kernel calls name, and false if the director has no services of it.
func protocolOf(name string) (config.Protocol, bool) {
	switch name {
	case "TCP":
		return config.TCP, true
	case "UDP":
		return config.UDP, true
	case "IP":
		return config.FWM, true
	}
	return "", false
}

// parse returns the connection of a line's fields, without its protocol.
func parse(fields []string) (c service.Conn, err error) {
	if len(fields) < columns {
		return c, fmt.Errorf("%d columns instead of %d", len(fields), columns)
	}
	for i, to := range []*netip.AddrPort{&c.Client, &c.Virtual, &c.Server} {
		if *to, err = addrPort(fields[1+2*i], fields[2+2*i]); err != nil {
			return c, err
		}
	}
	c.State = fields[7]
	seconds, err := strconv.ParseUint(fields[8], 10, 32)
	if err != nil {
		return c, fmt.Errorf("expiry: %w", err)
	}
	c.Expires = time.Duration(seconds) * time.Second
	return c, nil
}

// addrPort returns an address and a port of the list: IPv4 as eight hexadecimal digits, IPv6 as eight groups of four
// with colons, the port as four digits.
func addrPort(address, port string) (netip.AddrPort, error) {
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port: %w", err)
	}
	digits, length := address, 4
	if strings.Contains(address, ":") {
		digits, length = strings.ReplaceAll(address, ":", ""), 16
	}
	bytes, err := hex.DecodeString(digits)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address: %w", err)
	}
	if len(bytes) != length {
		return netip.AddrPort{}, fmt.Errorf("address %q has %d bytes instead of %d", address, len(bytes), length)
	}
	a, _ := netip.AddrFromSlice(bytes) // it has a length that addresses have
	return netip.AddrPortFrom(a, uint16(p)), nil
}

// Mark returns the firewall mark of the virtual address of a firewall-mark service's template.
func Mark(virtual netip.Addr) uint32 {
	bytes := virtual.AsSlice()
	if len(bytes) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(bytes[len(bytes)-4:])
}
