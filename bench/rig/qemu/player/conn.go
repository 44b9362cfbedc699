package main

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Connections are made by hand, without the runtime's poller: one thread is client and all the servers, so that a
// connection costs six system calls and no wait, which counts in a guest without KVM.

// closed is the file descriptor of an end that is closed.
const closed = -1

// conn is a connection through IPVS, both of its ends.
type conn struct {
	client, server int    // file descriptors
	name           string // the server's
}

// listener is a real server.
type listener struct {
	name string
	fd   int
}

func listen(name string, at netip.AddrPort) (*listener, error) {
	fd, err := socket(at)
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, sockaddr(at)),
		unix.Listen(fd, 128), unix.SetNonblock(fd, true))
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen at %v: %w", at, err)
	}
	return &listener{name: name, fd: fd}, nil
}

// connect connects and finds the server that got the connection. It returns nil where the connection is refused.
func connect(from, to netip.AddrPort, mark int, servers map[string]*listener) (*conn, error) {
	fd, err := socket(to)
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark), unix.Bind(fd, sockaddr(from)))
	if err == nil {
		err = unix.Connect(fd, sockaddr(to))
	}
	if err == nil {
		var server int
		var name string
		if server, name, err = accept(servers); err == nil {
			return &conn{client: fd, server: server, name: name}, nil
		}
	}
	unix.Close(fd)
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil, nil
	}
	return nil, fmt.Errorf("connect from %v to %v: %w", from, to, err)
}

// accept returns the one connection that waits to be accepted, and the name of the server that it waits at.
func accept(servers map[string]*listener) (fd int, name string, err error) {
	var polls []unix.PollFd
	var names []string
	for name, server := range servers {
		polls = append(polls, unix.PollFd{Fd: int32(server.fd), Events: unix.POLLIN})
		names = append(names, name)
	}
	for {
		_, err := unix.Poll(polls, 20_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		break
	}
	for i, poll := range polls {
		if poll.Revents != 0 {
			fd, _, err = unix.Accept(int(poll.Fd))
			return fd, names[i], err
		}
	}
	return 0, "", errors.New("no server got the connection")
}

func socket(addr netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: addr.Addr().As16(), Port: int(addr.Port())}
	}
	return &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}
}
