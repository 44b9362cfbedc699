package check

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// MaxAnswer is how much of an answer's body is read and matched, in bytes.
const MaxAnswer = 1 << 20

const (
	maxHeader    = 64 << 10
	maxRedirects = 7 // what LWP, and so ldirectord, follows
)

// httpProbe is the negotiate check of http and https: a status of 2xx, and a body that matches.
type httpProbe struct {
	spec    Spec
	request *http.Request
	receive *regexp.Regexp // nil if anything will do
	client  *http.Client
}

func newHTTPProbe(s Spec) (*httpProbe, error) {
	u, err := s.parseURL()
	if err != nil {
		return nil, err
	}
	p := &httpProbe{spec: s}
	p.request = &http.Request{Method: s.Method, URL: u, Host: s.VirtualHost, Header: http.Header{"User-Agent": {"lvsproxy"}}}
	if s.Receive != "" {
		if p.receive, err = regexp.Compile(s.Receive); err != nil {
			return nil, fmt.Errorf("check of %s: receive: %w", s.Target, err)
		}
	}
	p.client = &http.Client{
		Transport: &http.Transport{ // no proxy: the server itself is to answer
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
			// ldirectord verifies no certificate either: real servers have that of the VIP's name, if any.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: strings.Trim(s.VirtualHost, "[]")},
		},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
	}
	return p, nil
}

func (p *httpProbe) close() { p.client.CloseIdleConnections() }

func (p *httpProbe) run(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.spec.NegotiateTimeout)
	defer cancel()
	start := time.Now()
	answer, err := p.client.Do(p.request.Clone(ctx))
	if err != nil {
		return "", p.explain(ctx, start, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return "", fmt.Errorf("%s check: %s", p.spec.Service, answer.Status)
	}
	if p.receive == nil {
		return answer.Status, nil
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxAnswer))
	if err != nil {
		return "", p.explain(ctx, start, err)
	}
	if !p.matches(body) {
		return "", fmt.Errorf("%s check: %s, but the answer of %d bytes does not match receive", p.spec.Service, answer.Status, len(body))
	}
	return answer.Status, nil
}

// matches follows Perl where Go differs: there, $ also matches before a line feed that ends the text.
func (p *httpProbe) matches(body []byte) bool {
	return p.receive.Match(body) || p.receive.Match(bytes.TrimSuffix(body, []byte("\n")))
}

func (p *httpProbe) explain(ctx context.Context, start time.Time, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s check: no complete answer within %v", p.spec.Service, time.Since(start).Round(time.Millisecond))
	}
	return fmt.Errorf("%s check: %w", p.spec.Service, err)
}
