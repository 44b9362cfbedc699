package check

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// asked are Specs of every service that would succeed with the right server.
func asked(service string) config.Check {
	return config.Check{Type: config.CheckNegotiate, Service: service, Login: "user", Passwd: "pass-word", Secret: "sec-ret", Database: "base"}
}

func requestOf(service string) string {
	switch service {
	case "mysql", "pgsql":
		return "/SELECT 1"
	case "http_proxy":
		return "/http://127.0.0.1:1/"
	case "dns":
		return "/name.example"
	case "ftp":
		return "/file"
	case "ldap", "ldaps":
		return "/dc=example"
	}
	return "/"
}

// misbehave are what servers do that are not well. Each ends when the connection does.
var misbehave = map[string]func(net.Conn){
	"closes at once": func(net.Conn) {},
	"hangs":          func(c net.Conn) { io.Copy(io.Discard, c) },
	"drips": func(c net.Conn) {
		for {
			if _, err := c.Write([]byte("2")); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	},
	"talks without end": func(c net.Conn) {
		flood(c, bytes.Repeat([]byte("x"), 32<<10))
	},
	"sends lines without end": func(c net.Conn) {
		flood(c, bytes.Repeat([]byte("220-* OK +OK SIP/2.0 1\r\n"), 1000))
	},
	"sends zeros without end": func(c net.Conn) {
		flood(c, make([]byte, 32<<10))
	},
	"sends garbage": func(c net.Conn) {
		b := make([]byte, 4096)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		c.Write(b)
	},
}

func flood(c net.Conn, with []byte) {
	for {
		if _, err := c.Write(with); err != nil {
			return
		}
	}
}

// peer is a TCP server that serves each connection with a function, over TLS if it has a certificate.
func peer(t *testing.T, certificate *tls.Certificate, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if certificate != nil {
					c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*certificate}})
				}
				serve(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func certificate(t *testing.T) *tls.Certificate {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &s.TLS.Certificates[0]
}

// standardLogIs makes the standard logger write to w until the test ends.
func standardLogIs(t *testing.T, w io.Writer) {
	log.SetOutput(w)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}

// noLog fails a test when something is written to it.
type noLog struct{ t *testing.T }

func (w noLog) Write(b []byte) (int, error) {
	w.t.Errorf("in the standard log: %.100q", b)
	return len(b), nil
}

// TestHostile: no server can make a check succeed, go on for longer than its time-out, or keep anything behind.
func TestHostile(t *testing.T) {
	standardLogIs(t, noLog{t}) // what a server says does not get there
	for _, service := range Services() {
		if service == "none" || service == "radius" {
			continue
		}
		for name, serve := range misbehave {
			t.Run(service+" "+name, func(t *testing.T) {
				t.Parallel()
				checkHostile(t, service, peer(t, nil, serve))
			})
			if (Spec{Service: service}).secure() {
				t.Run(service+" within TLS "+name, func(t *testing.T) {
					t.Parallel()
					checkHostile(t, service, peer(t, certificate(t), serve))
				})
			}
		}
	}
}

func checkHostile(t *testing.T, service string, target netip.AddrPort) {
	t.Helper()
	c := asked(service)
	c.NegotiateTimeout = 150 * time.Millisecond
	start := time.Now()
	r := first(t, ForReal(virtual(c), config.Real{Addr: target, Request: requestOf(service), Receive: "never"}, 1))
	if r.OK || r.State != Down {
		t.Errorf("got %v, %v, %q", r.OK, r.State, r.Reason)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	presentableReason(t, service, r.Reason)
}

// presentableReason checks what holds of every reason.
func presentableReason(t *testing.T, service, reason string) {
	t.Helper()
	if !strings.HasPrefix(reason, service+" check: ") || len(reason) > maxReason+50 || strings.ContainsAny(reason, "\r\n\x00") ||
		strings.Contains(reason, "pass-word") || strings.Contains(reason, "sec-ret") {
		t.Errorf("reason is %q", reason)
	}
}

// TestClosedPort: a check of a port that nobody listens on fails at once, over UDP by the ICMP error that comes back.
func TestClosedPort(t *testing.T) {
	for _, service := range Services() {
		if service == "none" {
			continue
		}
		for _, protocol := range []config.Protocol{config.TCP, config.UDP} {
			v := virtual(asked(service))
			v.ID.Protocol = protocol
			r := first(t, ForReal(v, config.Real{Addr: netip.MustParseAddrPort("127.0.0.1:1"), Request: requestOf(service), Receive: "never"}, 1))
			if r.OK || !strings.Contains(r.Reason, "refused") {
				t.Errorf("%s over %s: got %v, %q", service, protocol, r.OK, r.Reason)
			}
			presentableReason(t, service, r.Reason)
		}
	}
}

// TestHostileDatagrams is TestHostile for the services that may speak UDP.
func TestHostileDatagrams(t *testing.T) {
	answers := map[string]func(request []byte) []byte{
		"says nothing":    func([]byte) []byte { return nil },
		"sends it back":   func(b []byte) []byte { return b },
		"sends zeros":     func(b []byte) []byte { return make([]byte, 1000) },
		"answers another": func([]byte) []byte { return []byte("SIP/2.0 200 OK\r\nCall-ID: another\r\n\r\n") },
	}
	for _, service := range []string{"dns", "radius", "sip", "simpletcp"} {
		for name, answer := range answers {
			t.Run(service+" "+name, func(t *testing.T) {
				t.Parallel()
				c := asked(service)
				c.NegotiateTimeout, c.ConnectTimeout = 700*time.Millisecond, 700*time.Millisecond
				v := virtual(c)
				v.ID.Protocol = config.UDP
				target := datagrams(t, answer)
				r := first(t, ForReal(v, config.Real{Addr: target, Request: requestOf(service), Receive: "never"}, 1))
				if r.OK {
					t.Errorf("got %q", r.Reason)
				}
				presentableReason(t, service, r.Reason)
			})
		}
	}
}

// datagrams is a UDP server that answers each datagram.
func datagrams(t *testing.T, answer func(request []byte) []byte) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if a := answer(b[:n]); a != nil {
				c.WriteTo(a, from)
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestResend: one lost datagram is not a failed check.
func TestResend(t *testing.T) {
	var lost atomic.Bool
	target := datagrams(t, func(request []byte) []byte {
		if !lost.Swap(true) {
			return nil
		}
		return []byte("pong\n")
	})
	v := virtual(config.Check{Type: config.CheckNegotiate, Service: "simpletcp"})
	v.ID.Protocol = config.UDP
	if r := first(t, ForReal(v, config.Real{Addr: target, Request: "/ping", Receive: "^pong$"}, 1)); !r.OK || !lost.Load() {
		t.Errorf("got %v, %q", r.OK, r.Reason)
	}
}

// TestSecretsHidden: a server that repeats what it was told puts nothing into reasons, and neither does printing.
func TestSecretsHidden(t *testing.T) {
	target := peer(t, nil, func(c net.Conn) {
		c.Write([]byte("220 ready\r\n"))
		b := make([]byte, 1000)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			if bytes.HasPrefix(b[:n], []byte("USER")) {
				c.Write([]byte("331 go on\r\n"))
				continue
			}
			c.Write(append([]byte("500 what is "), b[:n]...))
		}
	})
	r := first(t, ForReal(virtual(asked("ftp")), config.Real{Addr: target, Request: "/file"}, 1))
	if r.OK || !strings.Contains(r.Reason, "PASS ***") {
		t.Errorf("got %v, %q", r.OK, r.Reason)
	}
	presentableReason(t, "ftp", r.Reason)
	spec := ForReal(virtual(asked("radius")), config.Real{Addr: target}, 1)
	for _, text := range []string{spec.String(), spec.GoString()} {
		if strings.Contains(text, "pass-word") || strings.Contains(text, "sec-ret") {
			t.Errorf("printed: %s", text)
		}
	}
}
