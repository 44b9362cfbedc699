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
	body, _ := json.Marshal(newProblem(status, title, detail)) // strings and a number always marshal
	ctx.SetBody(body)
}

func newProblem(status int, title, detail string) problem {
	return problem{Type: "about:blank", Title: title, Status: status, Detail: detail}
}

// answerError answers with what the error stands for.
func (s *Server) answerError(ctx *fasthttp.RequestCtx, op string, err error) {
	p, retry := s.judge(op, err)
	fail(ctx, p.Status, p.Title, p.Detail)
	if retry > 0 {
		ctx.Response.Header.Set("Retry-After", strconv.Itoa(wholeSeconds(retry)))
	}
}

// judge tells what an error stands for, and when to try again; 0 where that makes no sense. What is no error of the
// contract is one of the store's, and its text is for the log, not for the client.
func (s *Server) judge(op string, err error) (p problem, retry time.Duration) {
	// An outcome may be unknown for the very reason that a conflict, say, was found. To answer "conflict" would be to say
	// that nothing was changed.
	unknown := errors.Is(err, sessionstore.ErrUnavailable)
	for _, known := range problems {
		if !unknown && errors.Is(err, known.err) {
			if known.status == 423 {
				retry = lockedFor(err)
			}
			return newProblem(known.status, known.title, err.Error()), retry
		}
	}
	if fast := (tooFast{}); errors.As(err, &fast) {
		return newProblem(429, "too many sessions", err.Error()), fast.wait
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
	return newProblem(503, "unavailable", detail), retry
}

// lockedFor returns when a lock may be free again, always more than 0.
func lockedFor(err error) time.Duration {
	var locked *sessionstore.LockedError
	if errors.As(err, &locked) {
		return max(time.Until(locked.Until), time.Millisecond)
	}
	return time.Second
}

// wholeSeconds rounds up, as Retry-After wants it.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
