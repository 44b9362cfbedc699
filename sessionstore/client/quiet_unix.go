//go:build unix

package client

import (
	"net"
	"syscall"
)

// quiet reports whether an idle connection is still open and silent, as it must be. A sessiond that went away has
// closed it, and a request sent on it would have an outcome that nobody knows.
func quiet(c net.Conn) bool {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && silent
}
