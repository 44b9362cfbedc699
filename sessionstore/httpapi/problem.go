package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// problem is the body of an error, RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Titles and status codes of the contract's errors.
var problems = []struct {
	err    error
	status int
	title  string
}{
	{sessionstore.ErrInvalid, 400, "invalid"},
	{sessionstore.ErrNotFound, 404, "not found"},
	{sessionstore.ErrDestroyed, 410, "destroyed"},
	{sessionstore.ErrConflict, 412, "conflict"},
	{sessionstore.ErrTooLarge, 413, "too large"},
	{sessionstore.ErrLocked, 423, "locked"},
}

func fail(ctx *fasthttp.RequestCtx, status int, title, detail string) {
	ctx.Response.Reset()
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/problem+json")
	body, _ := json.Marshal(problem{Type: "about:blank", Title: title, Status: status, Detail: detail})
	ctx.SetBody(body)
}

// answerError answers with what the error stands for. What is no error of the contract is one of the store's, and its
// text is for the log, not for the client.
func (s *Server) answerError(ctx *fasthttp.RequestCtx, op string, err error) {
	// An outcome may be unknown for the very reason that a conflict, say, was found. To answer "conflict" would be to say
	// that nothing was changed.
	unknown := errors.Is(err, sessionstore.ErrUnavailable)
	for _, p := range problems {
		if !unknown && errors.Is(err, p.err) {
			fail(ctx, p.status, p.title, err.Error())
			if p.status == 423 {
				setRetryAfter(ctx, lockedFor(err))
			}
			return
		}
	}
	detail, retry := "the session store cannot answer now", time.Second
	var away *sessionstore.UnavailableError
	switch {
	case errors.As(err, &away):
		retry = max(retry, away.RetryAfter)
	case errors.Is(err, context.DeadlineExceeded):
		detail = "the session store did not answer in time"
	case s.draining.Load():
		detail = "sessiond is draining"
	}
	s.opts.Logger.Warn("request failed", "operation", op, "error", err)
	fail(ctx, 503, "unavailable", detail)
	setRetryAfter(ctx, retry)
}

func lockedFor(err error) time.Duration {
	var locked *sessionstore.LockedError
	if errors.As(err, &locked) {
		return time.Until(locked.Until)
	}
	return time.Second
}

func setRetryAfter(ctx *fasthttp.RequestCtx, d time.Duration) {
	seconds := max(1, int(math.Ceil(d.Seconds())))
	ctx.Response.Header.Set("Retry-After", strconv.Itoa(seconds))
}
