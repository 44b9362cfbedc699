package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// request is one operation on one session.
type request struct {
	*Server
	http      *fasthttp.RequestCtx
	ns        sessionstore.Sessions
	namespace string
	policy    sessionstore.Policy
	id        string
}

// context bounds an operation: the server's time-out and what the request may wait for a lock.
func (s *Server) context(wait time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, s.opts.Timeout+max(wait, 0))
}

// openBody is the optional JSON body of open.
type openBody struct {
	Lock       bool                  `json:"lock"`
	LockTTLMS  int64                 `json:"lock_ttl_ms"`
	LockWaitMS int64                 `json:"lock_wait_ms"`
	OnLocked   sessionstore.OnLocked `json:"on_locked"`
}

func (r *request) open() {
	var body openBody
	if !r.decode("open", &body) {
		return
	}
	o := sessionstore.OpenOptions{
		Lock: body.Lock, LockTTL: milliseconds(body.LockTTLMS), LockWait: milliseconds(body.LockWaitMS), OnLocked: body.OnLocked,
	}
	if o.LockTTL < 0 || o.LockTTL > sessionstore.MaxDuration || o.LockWait > time.Hour {
		r.answerError(r.http, "open", fmt.Errorf("%w: lock_ttl_ms or lock_wait_ms is out of range", sessionstore.ErrInvalid))
		return
	}
	wait := o.LockWait
	if wait == 0 {
		wait = r.policy.LockWait
	}
	ctx, cancel := r.context(wait)
	defer cancel()
	opened, err := r.ns.Open(ctx, r.id, o)
	if err != nil {
		r.answerError(r.http, "open", err)
		return
	}
	r.http.Response.Header.Set("Session-Id", opened.ID)
	if opened.New {
		r.http.SetStatusCode(201)
		return
	}
	if opened.Lease.Token != 0 {
		r.setNumber("Session-Lease", opened.Lease.Token)
		r.setTime("Session-Lease-Until", opened.Lease.Until)
	}
	if opened.ReadOnly {
		r.http.Response.Header.Set("Session-Read-Only", "1")
	}
	r.answer(opened.Session)
}

func (r *request) read() {
	ctx, cancel := r.context(0)
	defer cancel()
	session, err := r.ns.Read(ctx, r.id)
	if err != nil {
		r.answerError(r.http, "read", err)
		return
	}
	r.answer(session)
}

func (r *request) write() {
	w := sessionstore.WriteOptions{Payload: r.http.PostBody()}
	var err error
	if w.IfVersion, err = r.condition(); err == nil {
		if w.Token, err = r.number("Session-Lease"); err == nil {
			if w.Idle, err = r.idle(); err == nil {
				w.Subject, err = r.subject()
			}
		}
	}
	if err != nil {
		r.answerError(r.http, "write", err)
		return
	}
	r.last("write", func(ctx context.Context, lease uint64) error {
		w.Release = lease != 0
		version, err := r.create(ctx, r.id, w)
		if err == nil {
			r.setVersion(version)
		}
		return err
	})
}

// touchBody is the optional JSON body of touch.
type touchBody struct {
	Create bool  `json:"create"`
	IdleMS int64 `json:"idle_ms"`
}

func (r *request) touch() {
	var body touchBody
	if !r.decode("touch", &body) {
		return
	}
	r.last("touch", func(ctx context.Context, lease uint64) error {
		return r.touchOrCreate(ctx, r.id, sessionstore.TouchOptions{Create: body.Create, Idle: milliseconds(body.IdleMS), Release: lease})
	})
}

// destroy closes, if it is to, once the session has ended: that has succeeded whatever becomes of the lease, which ends by
// itself at the latest.
func (r *request) destroy() {
	r.last("destroy", func(ctx context.Context, lease uint64) error {
		if err := r.ns.Destroy(ctx, r.id); err != nil || lease == 0 {
			return err
		}
		if err := r.ns.Close(ctx, r.id, lease); err != nil {
			r.opts.Logger.Warn("a lease was not released and will run out", "operation", "destroy", "error", err)
		}
		return nil
	})
}

// last runs an operation that may be the last on its session: with the lease that the header Session-Close asks to release
// in the same exchange, or 0. An operation that is refused releases nothing.
func (r *request) last(op string, do func(ctx context.Context, lease uint64) error) {
	lease, err := r.closing()
	if err != nil {
		r.answerError(r.http, op, err)
		return
	}
	ctx, cancel := r.context(0)
	defer cancel()
	r.done(op, do(ctx, lease))
}

// closing reads which lease to release with the operation: the one in Session-Lease if Session-Close is 1, else 0.
func (r *request) closing() (token uint64, err error) {
	switch string(r.http.Request.Header.Peek("Session-Close")) {
	case "":
		return 0, nil
	case "1":
		return r.number("Session-Lease")
	}
	return 0, fmt.Errorf("%w: header Session-Close is 1 or absent", sessionstore.ErrInvalid)
}

// regenerateBody is the optional JSON body of regenerate.
type regenerateBody struct {
	Drop bool `json:"drop"`
}

func (r *request) regenerate() {
	var body regenerateBody
	if !r.decode("regenerate", &body) {
		return
	}
	token, err := r.number("Session-Lease")
	if err != nil {
		r.answerError(r.http, "regenerate", err)
		return
	}
	ctx, cancel := r.context(0)
	defer cancel()
	id, session, err := r.ns.Regenerate(ctx, r.id, sessionstore.RegenerateOptions{Drop: body.Drop, Token: token})
	if err != nil {
		r.answerError(r.http, "regenerate", err)
		return
	}
	r.http.Response.Header.Set("Session-Id", id)
	r.answer(session)
}

func (r *request) close() {
	token, err := r.number("Session-Lease")
	if err != nil {
		r.answerError(r.http, "close", err)
		return
	}
	ctx, cancel := r.context(0)
	defer cancel()
	r.done("close", r.ns.Close(ctx, r.id, token))
}

func (s *Server) gc(ctx *fasthttp.RequestCtx) {
	c, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	n, err := s.svc.GC(c)
	if err != nil {
		s.answerError(ctx, "gc", err)
		return
	}
	answerJSON(ctx, struct {
		Removed int `json:"removed"`
	}{n})
}

// answerJSON answers with a value that always marshals.
func answerJSON(ctx *fasthttp.RequestCtx, value any) {
	body, _ := json.Marshal(value)
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
}

func (s *Server) ready(ctx *fasthttp.RequestCtx) {
	if s.draining.Load() {
		fail(ctx, 503, "unavailable", "sessiond is draining")
		ctx.Response.Header.Set("Retry-After", "1")
		return
	}
	c, cancel := s.context(0)
	defer cancel()
	if err := s.svc.Ready(c); err != nil {
		s.answerError(ctx, "readiness", err)
		return
	}
	text(ctx, "ready\n")
}

// done answers an operation that returns nothing but its success.
func (r *request) done(op string, err error) {
	if err != nil {
		r.answerError(r.http, op, err)
		return
	}
	r.http.SetStatusCode(204)
}

// answer answers with a session: the payload as the body, all else as headers.
func (r *request) answer(s sessionstore.Session) {
	r.setVersion(s.Version)
	r.setTime("Session-Created", s.Created)
	r.setTime("Session-Expires", s.Expires)
	if !s.Deadline.IsZero() {
		r.setTime("Session-Deadline", s.Deadline)
	}
	r.http.SetContentType("application/octet-stream")
	r.http.Response.SetBodyRaw(s.Payload)
}

func (r *request) setVersion(v uint64) {
	r.http.Response.Header.Set("ETag", `"`+strconv.FormatUint(v, 10)+`"`)
}

func (r *request) setTime(header string, t time.Time) { r.setNumber(header, uint64(t.UnixMilli())) }

func (r *request) setNumber(header string, n uint64) {
	r.http.Response.Header.Set(header, strconv.FormatUint(n, 10))
}

// decode reads the optional JSON body, and answers with an error and false if it is not what the operation takes.
func (r *request) decode(op string, into any) bool {
	body := r.http.PostBody()
	if len(body) == 0 {
		return true
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = fmt.Errorf("something follows the JSON object")
		}
	}
	if err != nil {
		r.answerError(r.http, op, fmt.Errorf("%w JSON body: %v", sessionstore.ErrInvalid, err))
		return false
	}
	return true
}

// condition reads If-Match and If-None-Match.
func (r *request) condition() (version uint64, err error) {
	match, none := string(r.http.Request.Header.Peek("If-Match")), string(r.http.Request.Header.Peek("If-None-Match"))
	switch {
	case match == "" && none == "":
		return sessionstore.AnyVersion, nil
	case match == "" && none == "*":
		return 0, nil
	case match != "" && none == "":
		if tag, ok := strings.CutPrefix(match, `"`); ok {
			if tag, ok = strings.CutSuffix(tag, `"`); ok {
				version, err = strconv.ParseUint(tag, 10, 64)
				if err == nil && version != 0 && version != sessionstore.AnyVersion {
					return version, nil
				}
			}
		}
	}
	return 0, fmt.Errorf(`%w: the condition of a write is If-Match: "<version>" or If-None-Match: *, or neither`, sessionstore.ErrInvalid)
}

// number reads a header that holds a decimal number; 0 if it is absent.
func (r *request) number(header string) (uint64, error) {
	v := r.http.Request.Header.Peek(header)
	if len(v) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: header %s is not a number", sessionstore.ErrInvalid, header)
	}
	return n, nil
}

// subject reads the header Session-Subject, which is percent-encoded: a user's name can be any text. No error repeats it.
func (r *request) subject() (string, error) {
	subject, err := url.PathUnescape(string(r.http.Request.Header.Peek("Session-Subject")))
	if err != nil {
		return "", fmt.Errorf("%w: header Session-Subject is not well percent-encoded", sessionstore.ErrInvalid)
	}
	return subject, nil
}

func (r *request) idle() (time.Duration, error) {
	n, err := r.number("Session-Idle")
	if err == nil && n > uint64(sessionstore.MaxDuration/time.Millisecond) {
		err = fmt.Errorf("%w: header Session-Idle is over %v", sessionstore.ErrInvalid, sessionstore.MaxDuration)
	}
	return time.Duration(n) * time.Millisecond, err
}

// milliseconds converts, and keeps what would overflow out of every range.
func milliseconds(n int64) time.Duration {
	const limit = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(max(-limit, min(n, limit))) * time.Millisecond
}
