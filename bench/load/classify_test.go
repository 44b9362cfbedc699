package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestClassify(t *testing.T) {
	in := func(op string, err error) error {
		return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, err)}
	}
	tests := []struct {
		err   error
		class Class
		cause string
	}{
		{in("connect", syscall.ECONNREFUSED), Refused, "connection refused"},
		{in("connect", syscall.EHOSTUNREACH), Unreachable, "no route to host"},
		{in("connect", syscall.ENETUNREACH), Unreachable, "network is unreachable"},
		{in("connect", syscall.ETIMEDOUT), Timeout, "connection timed out"},
		{in("connect", syscall.EADDRNOTAVAIL), Local, "cannot assign requested address"},
		{in("socket", syscall.EMFILE), Local, "too many open files"},
		{in("read", syscall.ECONNRESET), Reset, "connection reset by peer"},
		{in("write", syscall.EPIPE), Reset, "broken pipe"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, Timeout, "i/o timeout"},
		{context.DeadlineExceeded, Timeout, "context deadline exceeded"},
		{io.EOF, Closed, "EOF"},
		{fmt.Errorf("broken chunk: %w", io.ErrUnexpectedEOF), Closed, "broken chunk: unexpected EOF"},
		{errors.New("cannot find whitespace in the first line"), BadHTTP, "cannot find whitespace in the first line"},
	}
	for _, tt := range tests {
		if class := classify(tt.err); class != tt.class || cause(tt.err) != tt.cause {
			t.Errorf("%v: %s, %q; want %s, %q", tt.err, class, cause(tt.err), tt.class, tt.cause)
		}
	}
}
