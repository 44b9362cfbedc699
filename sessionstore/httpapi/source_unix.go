//go:build unix

package httpapi

import (
	"io"
	"sync"
	"syscall"
)

// source reads ahead from a connection. It has a buffer only while there is something in it.
type source struct {
	raw      syscall.RawConn
	try      func(fd uintptr) bool
	buffer   *[sourceSize]byte
	from, to int
	err      error
}

// sourceSize holds a request with a small payload.
const sourceSize = 4 << 10

var sources = sync.Pool{New: func() any { return new([sourceSize]byte) }}

// prepare binds the source to its connection, and tells whether that is possible.
func (s *source) prepare(c syscall.Conn) bool {
	var err error
	s.raw, err = c.SyscallConn()
	s.try = s.readOnce
	return err == nil
}

// fill waits until there is something to read and reads it, up to the end of the buffer.
func (s *source) fill() error {
	if err := s.raw.Read(s.try); err != nil {
		return err
	}
	return s.err
}

// readOnce reads if the connection has something, or its end; otherwise it returns false, to be called again.
func (s *source) readOnce(fd uintptr) bool {
	b := sources.Get().(*[sourceSize]byte)
	n, err := syscall.Read(int(fd), b[:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), b[:])
	}
	if err == nil && n > 0 {
		s.buffer, s.from, s.to, s.err = b, 0, n, nil
		return true
	}
	sources.Put(b)
	if err == syscall.EAGAIN {
		return false
	}
	if s.err = err; err == nil {
		s.err = io.EOF
	}
	return true
}

// take moves what was read ahead into p.
func (s *source) take(p []byte) int {
	if s.buffer == nil {
		return 0
	}
	n := copy(p, s.buffer[s.from:s.to])
	s.from += n
	if s.from == s.to {
		sources.Put(s.buffer)
		s.buffer = nil
	}
	return n
}
