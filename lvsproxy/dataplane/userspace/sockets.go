package userspace

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// backlog is how many connections may wait in a listening socket's queue; the kernel's net.core.somaxconn bounds it.
const backlog = 1 << 16

// sockets returns the sockets for a service: those that were handed over, else a new one for each loop.
func (d *Dataplane) sockets(id config.VirtualID) (sockets []int, err error) {
	defer func() {
		if err != nil {
			closeAll(sockets)
		}
	}()
	if d.options.Inherit != nil {
		files := d.options.Inherit(id)
		defer func() {
			for _, f := range files {
				f.Close()
			}
		}()
		for _, f := range files {
			fd, err := adopt(f, id.Protocol)
			if err != nil {
				return sockets, fmt.Errorf("socket that was handed over: %w", err)
			}
			sockets = append(sockets, fd)
		}
		if len(sockets) > 0 {
			return sockets, nil
		}
	}
	if err := inUse(id); err != nil {
		return nil, err
	}
	for range d.options.Loops {
		fd, err := listen(id)
		if err != nil {
			return sockets, err
		}
		sockets = append(sockets, fd)
	}
	return sockets, nil
}

// Sockets returns copies of the sockets of all services, for a process that is to go on with them; see Options.Inherit.
func (d *Dataplane) Sockets() (files []*os.File, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s, f := range d.fronts {
		for _, fd := range f.sockets {
			fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return files, fmt.Errorf("virtual service %s: %w", s.ID().Addr, os.NewSyscallError("fcntl", err))
			}
			files = append(files, os.NewFile(uintptr(fd), s.ID().Addr.String()))
		}
	}
	return files, nil
}

func closeAll(sockets []int) {
	for _, fd := range sockets {
		unix.Close(fd)
	}
}

// adopt makes a socket that was handed over ours.
func adopt(f *os.File, protocol config.Protocol) (int, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return 0, os.NewSyscallError("fcntl", err)
	}
	if protocol == config.TCP {
		prepare(fd)
	}
	return fd, nil
}

// prepare sets what the connections that a socket accepts inherit from it.
func prepare(fd int) {
	setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	keepAlive(fd)
}

// inUse finds out whether somebody else has the address. With SO_REUSEPORT alone another process of the same user could
// share it unnoticed, and get a part of the connections.
func inUse(id config.VirtualID) error {
	var options []int
	if id.Protocol == config.TCP {
		options = append(options, unix.SO_REUSEADDR) // else what earlier connections have left behind is in the way
	}
	fd, err := bound(id, options...)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// listen opens a socket for a service, listening if it is TCP.
func listen(id config.VirtualID) (int, error) {
	fd, err := bound(id, unix.SO_REUSEADDR, unix.SO_REUSEPORT)
	if err != nil || id.Protocol == config.UDP {
		return fd, err
	}
	prepare(fd)
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return 0, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// bound opens a socket with options of SOL_SOCKET and binds it.
func bound(id config.VirtualID, options ...int) (int, error) {
	family, kind := unix.AF_INET, unix.SOCK_STREAM
	if id.Protocol == config.UDP {
		kind = unix.SOCK_DGRAM
	}
	if id.Addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	for _, name := range options {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, name, 1))
		}
	}
	if err == nil && family == unix.AF_INET6 {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sockaddr(id.Addr)))
	}
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: scope(a.Addr().Zone())}
}
