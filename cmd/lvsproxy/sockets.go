package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// sockets are those that someone handed to this process: systemd (sd_listen_fds(3)), or the lvsproxy before this one.
// They are known by what they are bound to, so neither needs names.
type sockets struct {
	mu     sync.Mutex
	files  map[string][]*os.File // by protocol and address, such as tcp/172.16.1.11:80
	before *os.File              // tells the process before this one that it may go; nil without
}

// firstFile is the first descriptor that is handed over, by systemd as by us.
const firstFile = 3

// envHandover has the number of sockets that the process before this one hands over, which follow a pipe.
const envHandover = "LVSPROXY_HANDOVER"

// inherit takes what was handed over, and leaves nothing of it in the environment for other programs.
func inherit() (*sockets, error) {
	s := &sockets{files: map[string][]*os.File{}}
	first, n := firstFile, 0
	if text := os.Getenv(envHandover); text != "" {
		n, _ = strconv.Atoi(text)
		s.before = os.NewFile(firstFile, "handover")
		first++
	} else if pid, _ := strconv.Atoi(os.Getenv("LISTEN_PID")); pid == os.Getpid() {
		n, _ = strconv.Atoi(os.Getenv("LISTEN_FDS"))
	}
	for _, name := range []string{envHandover, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	for fd := first; fd < first+n; fd++ {
		unix.CloseOnExec(fd)
		key, err := keyOf(fd)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d was handed over and is no socket to use: %w", fd, err)
		}
		s.files[key] = append(s.files[key], os.NewFile(uintptr(fd), key))
	}
	return s, nil
}

// keyOf tells what a socket is bound to.
func keyOf(fd int) (string, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return "", os.NewSyscallError("getsockopt", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return "", os.NewSyscallError("getsockname", err)
	}
	network := "tcp"
	if kind == unix.SOCK_DGRAM {
		network = "udp"
	}
	switch a := name.(type) {
	case *unix.SockaddrUnix:
		return "unix/" + a.Name, nil
	case *unix.SockaddrInet4:
		return network + "/" + net.JoinHostPort(net.IP(a.Addr[:]).String(), strconv.Itoa(a.Port)), nil
	case *unix.SockaddrInet6:
		return network + "/" + net.JoinHostPort(net.IP(a.Addr[:]).String(), strconv.Itoa(a.Port)), nil
	}
	return "", errors.New("an unknown address family")
}

// of returns the sockets of a virtual service, once.
func (s *sockets) of(id config.VirtualID) []*os.File {
	return s.take(string(id.Protocol) + "/" + id.Addr.String())
}

func (s *sockets) take(key string) []*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := s.files[key]
	delete(s.files, key)
	return files
}

// listener returns a listening socket that was handed over, or nil.
func (s *sockets) listener(network, address string) (net.Listener, error) {
	files := s.take(network + "/" + address)
	defer closeFiles(files)
	if len(files) == 0 {
		return nil, nil
	}
	l, err := net.FileListener(files[0])
	if err != nil {
		return nil, fmt.Errorf("socket that was handed over: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(true)
	}
	return l, nil
}

// finish closes what nobody wants, and tells the process before this one that it may go.
func (s *sockets) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, files := range s.files {
		closeFiles(files)
	}
	clear(s.files)
	if s.before != nil {
		s.before.Write([]byte{1}) // an error means that it is gone already
		s.before.Close()
		s.before = nil
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// notify tells systemd what the state is (sd_notify(3)), if it asks for that.
func notify(state ...string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.Dial("unixgram", path)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(strings.Join(state, "\n")))
	return err
}
