package httpapi

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// serve answers one request and measures it.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	s.metrics.begin()
	began := time.Now()
	operation := s.route(ctx)
	s.metrics.end(operation, ctx.Response.StatusCode(), time.Since(began))
}

// route answers one request and returns the name of the operation that it was.
func (s *Server) route(ctx *fasthttp.RequestCtx) (operation string) {
	// Not ctx.Path(): it is cleaned, and an id with "/../" in it would become another one.
	path := string(bytes.TrimPrefix(ctx.URI().PathOriginal(), []byte("/")))
	switch path {
	case "healthz":
		return only(ctx, "GET HEAD", "health", func() { text(ctx, "ok\n") })
	case "readyz":
		return only(ctx, "GET HEAD", "readiness", func() { s.ready(ctx) })
	case "metrics":
		return only(ctx, "GET HEAD", "metrics", func() { s.metrics.serve(ctx) })
	case "openapi.yaml":
		return only(ctx, "GET HEAD", "openapi", func() { describe(ctx) })
	case "v1/gc":
		if !s.allows(ctx, "") {
			return refused
		}
		return only(ctx, "POST", "gc", func() { s.gc(ctx) })
	default:
		return s.routeSession(ctx, strings.Split(path, "/"))
	}
}

// refused is the operation of a request that is none.
const refused = "none"

// routeSession answers /v1/{ns}/batch and /v1/{ns}/sessions[/{id}[/operation]].
func (s *Server) routeSession(ctx *fasthttp.RequestCtx, parts []string) (operation string) {
	batch := len(parts) == 3 && parts[2] == "batch"
	if len(parts) < 3 || len(parts) > 5 || parts[0] != "v1" || parts[2] != "sessions" && !batch {
		fail(ctx, 404, "not found", "no such path: the API is under /v1/{namespace}/sessions")
		return refused
	}
	r := &request{Server: s, http: ctx}
	err := r.names(parts)
	if err != nil {
		s.answerError(ctx, "route", err)
		return refused
	}
	if !s.allows(ctx, r.namespace) {
		return refused
	}
	switch {
	case batch:
		return only(ctx, "POST", "batch", r.batch)
	case len(parts) == 3:
		return only(ctx, "POST", "open", r.open)
	case len(parts) == 4:
		return r.routeMethod()
	}
	handler, ok := map[string]func(){
		"open": r.open, "touch": r.touch, "regenerate": r.regenerate, "close": r.close,
	}[parts[4]]
	if !ok {
		fail(ctx, 404, "not found", "no such operation: there are open, touch, regenerate and close")
		return refused
	}
	return only(ctx, "POST", parts[4], handler)
}

// names takes the namespace and the id from a path's parts; the id stays empty where the path has none.
func (r *request) names(parts []string) error {
	name, err := url.PathUnescape(parts[1])
	if err != nil {
		return fmt.Errorf("%w: the namespace is not well percent-encoded", sessionstore.ErrInvalid)
	}
	if r.ns, err = r.svc.Namespace(name); err != nil {
		return err
	}
	r.namespace, r.policy = name, r.svc.PolicyOf(name)
	if len(parts) == 3 {
		return nil
	}
	if r.id, err = url.PathUnescape(parts[3]); err != nil {
		return fmt.Errorf("%w: the session id is not well percent-encoded", sessionstore.ErrInvalid)
	}
	return sessionstore.CheckID(r.id)
}

func (r *request) routeMethod() (operation string) {
	switch string(r.http.Method()) {
	case "GET", "HEAD":
		r.read()
		return "read"
	case "PUT":
		r.write()
		return "write"
	case "DELETE":
		r.destroy()
		return "destroy"
	}
	refuseMethod(r.http, "GET, HEAD, PUT, DELETE")
	return refused
}

// only calls the handler of an operation if the request's method is among those allowed.
func only(ctx *fasthttp.RequestCtx, methods, operation string, handler func()) string {
	for m := range strings.FieldsSeq(methods) {
		if string(ctx.Method()) == m {
			handler()
			return operation
		}
	}
	refuseMethod(ctx, strings.ReplaceAll(methods, " ", ", "))
	return refused
}

func refuseMethod(ctx *fasthttp.RequestCtx, allow string) {
	fail(ctx, 405, "method not allowed", "this path takes "+allow)
	ctx.Response.Header.Set("Allow", allow)
}

func text(ctx *fasthttp.RequestCtx, body string) {
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(body)
}
