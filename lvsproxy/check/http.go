package check

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

const (
	maxHeader    = 64 << 10
	maxRedirects = 7 // what LWP, and so ldirectord, follows
)

// httpCheck is the negotiate check of http, https and http_proxy: a status of 2xx, and a body that matches.
type httpCheck struct {
	spec    Spec
	request *http.Request
	receive pattern
}

func newHTTP(s Spec) (probe, error) {
	u, err := s.parseURL()
	if err != nil {
		return nil, err
	}
	p := &httpCheck{spec: s, request: &http.Request{Method: s.Method, URL: u, Host: s.VirtualHost, Header: http.Header{"User-Agent": {"lvsproxy"}}}}
	if p.receive, err = newPattern(s.Receive); err != nil {
		return nil, err
	}
	return p.ask, nil
}

// client returns a client for one check: its connections end with ctx. (An http.Transport lets a TLS handshake that hangs
// go on for ever when a request is given up; and between checks, nothing of a client needs to be kept.)
func (p *httpCheck) client(ctx context.Context) *http.Client {
	dial := func(network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return bounded(ctx, c, 2*MaxAnswer), nil // room for header and TLS
	}
	// ldirectord verifies no certificate either: real servers have that of the VIP's name, if any.
	secure := &tls.Config{InsecureSkipVerify: true, ServerName: strings.Trim(p.spec.VirtualHost, "[]")}
	transport := &http.Transport{ // no proxy of the environment's: the server itself is to answer
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			c, err := dial(network, address)
			if err != nil {
				return nil, err
			}
			return newSecondWord(ctx, c), nil
		},
		DialTLSContext: func(_ context.Context, network, address string) (net.Conn, error) {
			c, err := dial(network, address)
			if err != nil {
				return nil, err
			}
			t := tls.Client(c, secure)
			if err := t.HandshakeContext(ctx); err != nil {
				c.Close()
				return nil, err
			}
			return newSecondWord(ctx, t), nil
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	if p.spec.Service == "http_proxy" {
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.spec.Target.String()})
	}
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
	}
}

func (p *httpCheck) ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // closes what is still open
	answer, err := p.client(ctx).Do(p.request.Clone(ctx))
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // without the URL, which may hold a key
			err = wrapped.Err
		}
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return "", errors.New(answer.Status)
	}
	if p.receive.any() {
		return answer.Status, nil
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxAnswer))
	if err != nil {
		return "", err
	}
	if !p.receive.matches(body) {
		return "", fmt.Errorf("%s, but the answer of %d bytes does not match receive", answer.Status, len(body))
	}
	return answer.Status, nil
}

// secondWord is a connection on which nothing is read before something was written: http.Transport writes what comes
// unasked into the standard log, thousands of bytes of it, and cannot be told not to.
type secondWord struct {
	net.Conn
	ctx   context.Context
	once  sync.Once
	spoke chan struct{}
}

func newSecondWord(ctx context.Context, c net.Conn) *secondWord {
	return &secondWord{Conn: c, ctx: ctx, spoke: make(chan struct{})}
}

func (c *secondWord) Read(b []byte) (int, error) {
	select {
	case <-c.spoke:
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	}
	return c.Conn.Read(b)
}

func (c *secondWord) Write(b []byte) (int, error) {
	c.once.Do(func() { close(c.spoke) })
	return c.Conn.Write(b)
}

// parseURL returns what an HTTP check asks for.
func (s Spec) parseURL() (*url.URL, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("request: %w", err)
	}
	switch {
	case s.Service == "http_proxy" && (u.Scheme != "http" || u.Host == ""):
		return nil, errors.New("request of an http_proxy check: expected an address that begins with http://")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("request: %q is no HTTP address", u.Redacted())
	}
	return u, nil
}
