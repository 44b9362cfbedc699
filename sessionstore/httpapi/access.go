package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// allows tells whether the request shows a secret of the namespace, or of any for "", and answers with 401 if not.
func (s *Server) allows(ctx *fasthttp.RequestCtx, namespace string) bool {
	if s.opts.Secrets.Open() {
		return true
	}
	user, secret := shown(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization))
	ok := user == "" || namespace == "" || user == namespace
	if namespace == "" {
		_, known := s.opts.Secrets.Of(secret)
		ok = ok && known
	} else {
		ok = s.opts.Secrets.Allows(namespace, secret) && ok
	}
	if !ok {
		fail(ctx, 401, "unauthorized", "this namespace wants its secret: Authorization: Bearer SECRET, or Basic with the namespace as the user")
		ctx.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, `Bearer realm="sessiond"`)
		ctx.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, `Basic realm="sessiond"`)
	}
	return ok
}

// shown reads an Authorization header. The user is empty for Bearer.
func shown(header []byte) (user string, secret []byte) {
	scheme, rest, _ := bytes.Cut(header, []byte{' '})
	rest = bytes.TrimSpace(rest)
	switch {
	case bytes.EqualFold(scheme, []byte("Bearer")):
		return "", rest
	case bytes.EqualFold(scheme, []byte("Basic")):
		pair, err := base64.StdEncoding.AppendDecode(nil, rest)
		name, secret, ok := bytes.Cut(pair, []byte{':'})
		if err == nil && ok {
			return string(name), secret
		}
	}
	return "", nil
}

// tooFast is the error of a write that would create one session too many.
type tooFast struct{ wait time.Duration }

func (tooFast) Error() string { return "this address creates sessions too fast" }

// create writes a session, unless that would create it and the client's address has created too many.
func (r *request) create(ctx context.Context, id string, w sessionstore.WriteOptions) (version uint64, err error) {
	if w.IfVersion == 0 || w.IfVersion == sessionstore.AnyVersion {
		if err := r.mayCreate(ctx, id); err != nil {
			return 0, err
		}
	}
	version, err = r.ns.Write(ctx, id, w)
	if err == nil && version == 1 {
		r.opts.Rate.Charge(clientAddr(r.http))
	}
	return version, err
}

// touchOrCreate touches a session, with the same exception.
func (r *request) touchOrCreate(ctx context.Context, id string, o sessionstore.TouchOptions) error {
	if o.Create {
		if err := r.mayCreate(ctx, id); err != nil {
			return err
		}
	}
	return r.ns.Touch(ctx, id, o)
}

// mayCreate looks for the session only if the address has no creation left.
func (r *request) mayCreate(ctx context.Context, id string) error {
	wait, exhausted := r.opts.Rate.Exhausted(clientAddr(r.http))
	if !exhausted {
		return nil
	}
	if _, err := r.ns.Read(ctx, id); errors.Is(err, sessionstore.ErrNotFound) {
		return tooFast{wait}
	}
	return nil
}

// clientAddr is the zero address for a Unix socket.
func clientAddr(ctx *fasthttp.RequestCtx) netip.Addr {
	if a, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}
