package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Class is a kind of error, as a request's user meets it. A status other than 200 has a class of its own, "http_503".
type Class string

// The classes of errors other than statuses.
const (
	Refused     Class = "refused"     // nobody listens: the connection was refused
	Unreachable Class = "unreachable" // no route to the target
	Reset       Class = "reset"       // the connection was reset
	Closed      Class = "closed"      // the connection ended before the answer was complete
	Timeout     Class = "timeout"     // no complete answer within Config.Timeout
	BadTLS      Class = "bad_tls"     // no connection over TLS: a certificate that is not believed, no version in common, an alert
	BadHTTP     Class = "bad_http"    // what came is not HTTP, or larger than MaxBody
	BadBody     Class = "bad_body"    // status 200, but not the counter page's answer
	Local       Class = "local"       // this machine has no port, file or buffer left: the target is not to blame
)

func httpClass(status int) Class { return Class(fmt.Sprintf("http_%d", status)) }

// local errors tell of limits of the machine that the harness runs on.
var localErrnos = []syscall.Errno{
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
}

func fromTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var op *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &op) && op.Op == "remote error"
}

// classify gives the class of an error of connecting, sending or receiving.
func classify(err error) Class {
	for _, e := range localErrnos {
		if errors.Is(err, e) {
			return Local
		}
	}
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return Unreachable
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Closed
	case fromTLS(err):
		return BadTLS
	}
	return BadHTTP
}
