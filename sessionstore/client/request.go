package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// request is one operation on its way to one endpoint after the other.
type request struct {
	op    string // for people
	id    string // decides the route
	http  *fasthttp.Request
	wait  time.Duration                       // how much longer than usual the answer may take
	parse func(resp *fasthttp.Response) error // reads a success; nil if there is nothing to read
}

// request returns a request for an operation on a session. The namespace and the id need no quoting: they were checked.
func (c *Client) request(op, method, id, operation string) *request {
	r := &request{op: op, id: id, http: fasthttp.AcquireRequest()}
	r.http.Header.SetMethod(method)
	r.http.Header.SetHost("sessiond")
	r.http.Header.SetUserAgent("lvsession")
	if c.opts.Secret != "" {
		r.http.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+c.opts.Secret)
	}
	r.http.SetRequestURI("/v1/" + c.namespace + "/sessions/" + id + operation)
	return r
}

func (r *request) json(body map[string]any) {
	b, _ := json.Marshal(body) // numbers, booleans and strings always marshal
	r.http.SetBodyRaw(b)
	r.http.Header.SetContentType("application/json")
}

func (r *request) lease(token uint64) {
	if token != 0 {
		r.http.Header.Set("Session-Lease", strconv.FormatUint(token, 10))
	}
}

// lastLease is lease, for an operation with which the lease ends.
func (r *request) lastLease(token uint64) {
	if r.lease(token); token != 0 {
		r.http.Header.Set("Session-Close", "1")
	}
}

// do sends the request to one endpoint after the other until one answers, and reads the answer. repeated tells that an
// attempt before the last one may have taken effect. The request is spent afterwards.
func (c *Client) do(ctx context.Context, r *request) (repeated bool, err error) {
	defer fasthttp.ReleaseRequest(r.http)
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	route := c.route(r.id)
	var last error
	for {
		if err := ctx.Err(); err != nil {
			return repeated, fmt.Errorf("%s: %w", r.op, err)
		}
		e := route.next()
		if e == nil {
			return repeated, r.unavailable(last, route.wait())
		}
		resp.Reset()
		sent, err := c.attempt(ctx, e, r, resp, route)
		if !errors.Is(err, errTryNext) {
			return repeated, err
		}
		repeated = repeated || sent
		last = err
	}
}

// errTryNext marks the failure of an endpoint, as opposed to an answer.
var errTryNext = errors.New("no answer")

// failure is what made an operation go on to the next endpoint.
type failure struct{ cause error }

func (f *failure) Error() string   { return f.cause.Error() }
func (f *failure) Unwrap() []error { return []error{errTryNext, f.cause} }

// attempt sends the request to one endpoint, and keeps the books on the endpoint's health. sent tells that the request
// may have taken effect. Whatever the error, if it is a failure another endpoint is to be tried.
func (c *Client) attempt(ctx context.Context, e *endpoint, r *request, resp *fasthttp.Response, route *route) (sent bool, err error) {
	if err := e.exchange(ctx, r.http, resp, r.wait); err != nil {
		return c.failed(ctx, e, r, err, route)
	}
	err = r.read(resp)
	var answer *answerError
	switch {
	case err == nil:
		e.health.well()
		return true, nil
	case errors.As(err, &answer) && answer.err != nil && answer.err != sessionstore.ErrUnavailable,
		errors.Is(err, sessionstore.ErrLocked):
		e.health.well()
		return true, fmt.Errorf("%s: %w", r.op, err)
	}
	e.health.ill(time.Now(), poor)
	route.failed[e] = true
	return true, &failure{fmt.Errorf("%s: %w", e.address, err)}
}

// failed judges an exchange that brought no answer.
func (c *Client) failed(ctx context.Context, e *endpoint, r *request, err error, route *route) (sent bool, _ error) {
	var x *exchangeError
	if !errors.As(err, &x) {
		x = &exchangeError{reason: err}
	}
	switch {
	case ctx.Err() != nil:
		e.health.spare()
		return x.sent, fmt.Errorf("%s: %w", r.op, ctx.Err())
	case x.busy:
		e.health.spare()
		route.failed[e] = true
	case x.stale && !isTimeout(x.reason) && !route.again[e]:
		// Most likely sessiond was restarted, and is back: the same endpoint gets the request once more, on a new
		// connection.
		route.again[e] = true
		e.health.spare()
		e.dropIdle()
	default:
		e.health.ill(time.Now(), away)
		e.dropIdle()
		route.failed[e] = true
	}
	return x.sent, &failure{x}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// read reads an answer.
func (r *request) read(resp *fasthttp.Response) error {
	if status := resp.StatusCode(); status < 200 || status > 299 {
		return parseProblem(status, resp.Header.ContentType(), resp.Header.Peek("Retry-After"), resp.Body(), time.Now())
	}
	if r.parse == nil {
		return nil
	}
	return r.parse(resp)
}

var errAllAvoided = errors.New("every endpoint failed a moment ago")

// unavailable is the error of an operation that no endpoint did.
func (r *request) unavailable(last error, wait time.Duration) error {
	if last == nil {
		last = errAllAvoided
	}
	var answer *answerError
	if errors.As(last, &answer) && answer.retryAfter > wait {
		wait = answer.retryAfter
	}
	if errors.Is(last, context.DeadlineExceeded) || errors.Is(last, context.Canceled) {
		last = errors.New(last.Error()) // it was the client's time-out; the caller's context has not ended
	}
	return &sessionstore.UnavailableError{Op: r.op, RetryAfter: wait, Cause: last}
}
