package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/ipvs/internal/result"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// family is a version of IP.
type family struct {
	name              string
	client, vip, real netip.Addr
}

var families = []family{
	{"IPv4", netip.MustParseAddr(namespaces.ClientIP), netip.MustParseAddr(namespaces.VIP), netip.MustParseAddr(namespaces.Real1IP)},
	{"IPv6", netip.MustParseAddr(namespaces.ClientIP6), netip.MustParseAddr(namespaces.VIP6), netip.MustParseAddr(namespaces.Real1IP6)},
}

// The ports of the services, and of the real server by masq.
const (
	masq   = 80
	gate   = 81
	served = 8080
)

// side is a network with a director of one kind in it, or with none.
type side struct {
	dataplane string // empty if the machine between only routes
	rig       *namespaces.Rig
	director  *child.Process
	client    sender // of the client's device
	server    sender // of the real server's
	port      uint16 // that the last connection came from
}

func (s *side) name() string {
	if s.dataplane == "" {
		return result.Forward
	}
	return s.dataplane
}

// shot is TC_ACT_SHOT of linux/pkt_cls.h: the packet goes no further.
const shot = 2

// sender sends frames from a device.
type sender struct {
	fd int
	way
}

func startSide(ctx context.Context, dataplane string) (*side, error) {
	rig, err := namespaces.Start(ctx)
	if err != nil {
		return nil, err
	}
	s := &side{dataplane: dataplane, rig: rig, client: sender{fd: -1}, server: sender{fd: -1}, port: 1024}
	if err := s.build(); err != nil {
		return s, err
	}
	if dataplane == "" {
		return s, nil
	}
	if err := s.direct(ctx); err != nil {
		return s, err
	}
	return s, s.await()
}

// build brings the ends into the network: they send frames, and drop all that comes, so that nothing but the director
// takes part.
func (s *side) build() error {
	for _, end := range []struct {
		sender     *sender
		host       namespaces.Host
		ip, ip6    string
		atDirector string
	}{
		{&s.client, namespaces.Client, namespaces.ClientIP, namespaces.ClientIP6, namespaces.ToClient},
		{&s.server, namespaces.Real1, namespaces.Real1IP, namespaces.Real1IP6, namespaces.ToReal1},
	} {
		var err error
		if end.sender.to, err = s.mac(namespaces.Director, end.atDirector); err != nil {
			return err
		}
		if end.sender.from, err = s.mac(end.host, "eth0"); err != nil {
			return err
		}
		for _, ip := range []string{end.ip, end.ip6} {
			if err := s.neighbour(end.atDirector, net.ParseIP(ip), end.sender.from); err != nil {
				return fmt.Errorf("neighbour %s: %w", ip, err)
			}
		}
		if err := s.rig.Do(end.host, func() (err error) { end.sender.fd, err = openEnd("eth0"); return err }); err != nil {
			return fmt.Errorf("%s: %w", end.host, err)
		}
	}
	return nil
}

// neighbour has the director know for good who has an address: nobody will answer.
func (s *side) neighbour(device string, ip net.IP, mac net.HardwareAddr) error {
	return s.rig.Do(namespaces.Director, func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: ip, HardwareAddr: mac})
	})
}

func (s *side) mac(h namespaces.Host, device string) (mac net.HardwareAddr, err error) {
	err = s.rig.Do(h, func() error {
		d, err := net.InterfaceByName(device)
		if err == nil {
			mac = d.HardwareAddr
		}
		return err
	})
	return mac, err
}

// openEnd has a device of the thread's namespace drop what comes, and opens it for frames to be sent.
func openEnd(device string) (fd int, err error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return -1, err
	}
	drop, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, shot), asm.Return()},
	})
	if err != nil {
		return -1, fmt.Errorf("load a program that drops: %w", err)
	}
	defer drop.Close()
	index := link.Attrs().Index
	err = netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}})
	if err == nil {
		err = netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL},
			Fd:          drop.FD(), Name: "drop", DirectAction: true,
		})
	}
	if err != nil {
		return -1, fmt.Errorf("attach a program that drops: %w", err)
	}
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: it receives nothing
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openTap opens a device of the thread's namespace to see what comes. A read waits a second at most.
func openTap(device string) (fd int, err error) {
	d, err := net.InterfaceByName(device)
	if err != nil {
		return -1, err
	}
	const all = unix.ETH_P_ALL << 8 // in network order
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: d.Index, Protocol: all})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// direct starts lvsproxy.
func (s *side) direct(ctx context.Context) error {
	var config strings.Builder
	for _, f := range families {
		six := ""
		if f.vip.Is6() {
			six = "6"
		}
		for port, real := range map[uint16]string{
			masq: netip.AddrPortFrom(f.real, served).String() + " masq",
			gate: netip.AddrPortFrom(f.real, gate).String() + " gate",
		} {
			fmt.Fprintf(&config, "virtual%s=%s\n\tchecktype=on\n\tscheduler=rr\n\tprotocol=tcp\n\treal%s=%s\n", six, netip.AddrPortFrom(f.vip, port), six, real)
		}
	}
	file := filepath.Join(s.rig.Dir(), "ldirectord.cf")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.rig.Dir(), "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.rig.Command(ctx, namespaces.Director, "lvsproxy", "--config", file, "--dataplane", s.dataplane, "--admin", "off", "--state-file", "off",
		"--bpf-pin", filepath.Join(s.rig.Pins(), "director"), "--bpf-max-conns", "65536", "--bpf-max-servers", "100")
	cmd.Stdout, cmd.Stderr = log, log
	s.director, err = child.Start(cmd)
	return err
}

// patience is how long the director may take until it carries all services.
const patience = time.Minute

// await waits until the director carries all services, and then has the process stand still: what is measured is the
// kernel's work.
func (s *side) await() error {
	until := time.Now().Add(patience)
	for _, f := range families {
		for _, w := range works {
			for s.verify(f, w) != nil {
				if !s.director.Alive() || time.Now().After(until) {
					return fmt.Errorf("the director does not carry %s, %s: %w: %s", f.name, w.name, s.verify(f, w), child.Tail(filepath.Join(s.rig.Dir(), "log"), 10))
				}
				time.Sleep(10 * time.Millisecond) // between two looks
			}
		}
	}
	return s.director.Signal(syscall.SIGSTOP)
}

func (s *side) stop() {
	if s.director != nil {
		s.director.Kill()
	}
	for _, fd := range []int{s.client.fd, s.server.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	s.rig.Stop()
}

// received is how many packets have come to a host's device.
func (s *side) received(h namespaces.Host) (n uint64, err error) {
	err = s.rig.Do(h, func() error {
		link, err := netlink.LinkByName("eth0")
		if err == nil {
			n = link.Attrs().Statistics.RxPackets
		}
		return err
	})
	return n, err
}

var errLost = errors.New("not all packets have arrived")
