package userspace

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is room for datagrams that are received and sent together (recvmmsg(2), sendmmsg(2)).
type batch struct {
	headers [batchSize]message
	vectors [batchSize]unix.Iovec
	names   [batchSize]unix.RawSockaddrInet6
	room    []byte
	target  unix.RawSockaddrInet6
}

const (
	batchSize    = 32
	datagramSize = 64 << 10 // the longest datagram is a little shorter
)

// message is the kernel's struct mmsghdr.
type message struct {
	unix.Msghdr
	size uint32
}

func newBatch() *batch {
	// Memory that nothing was ever written to costs nothing.
	b := &batch{room: make([]byte, batchSize*datagramSize)}
	for i := range b.headers {
		b.vectors[i].Base = &b.room[i*datagramSize]
		b.headers[i].Iov = &b.vectors[i]
		b.headers[i].SetIovlen(1)
	}
	return b
}

// receive takes what has come to a socket, with the senders' names, and returns how many datagrams that are.
func (b *batch) receive(fd int) int {
	for i := range b.headers {
		b.vectors[i].SetLen(datagramSize)
		b.headers[i].Name, b.headers[i].Namelen = (*byte)(unsafe.Pointer(&b.names[i])), unix.SizeofSockaddrInet6
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers)), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// send sends the datagrams from, up to and without to, of those that were received: to the address, or where the socket
// is connected to. It returns how many and how large those were that went out, and why the next one did not.
func (b *batch) send(fd, from, to int, address *netip.AddrPort) (sent, bytes int, errno unix.Errno) {
	var name *byte
	var size int
	if address != nil {
		_, size = rawOf(*address, &b.target)
		name = (*byte)(unsafe.Pointer(&b.target))
	}
	for i := from; i < to; i++ {
		b.headers[i].Name, b.headers[i].Namelen = name, uint32(size)
		b.vectors[i].SetLen(int(b.headers[i].size))
	}
	for from+sent < to {
		first := &b.headers[from+sent]
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(first)), uintptr(to-from-sent), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno != 0 {
			return sent, bytes, errno
		}
		for range n {
			bytes += int(b.headers[from+sent].size)
			sent++
		}
	}
	return sent, bytes, 0
}
