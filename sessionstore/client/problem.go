package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// titles are the words of the API for the errors of the contract, and their statuses. The status alone proves nothing:
// a 404 may come from something that is no sessiond, and must log nobody out.
var titles = map[string]struct {
	status int
	err    error
}{
	"invalid":            {400, sessionstore.ErrInvalid},
	"unauthorized":       {401, sessionstore.ErrInvalid},
	"not found":          {404, sessionstore.ErrNotFound},
	"destroyed":          {410, sessionstore.ErrDestroyed},
	"conflict":           {412, sessionstore.ErrConflict},
	"too large":          {413, sessionstore.ErrTooLarge},
	"locked":             {423, sessionstore.ErrLocked},
	"too many sessions":  {429, errTooMany},
	"unavailable":        {503, sessionstore.ErrUnavailable},
	"method not allowed": {405, nil},
}

// errTooMany is no failure of the endpoint: it is about what this client asks, and another endpoint would only put it off.
var errTooMany = errors.New("too many sessions")

// answerError is an error that sessiond answered with. It wraps one of the contract's, or none if the answer was not
// one that the API knows.
type answerError struct {
	err        error
	text       string
	retryAfter time.Duration
}

func (e *answerError) Error() string { return e.text }
func (e *answerError) Unwrap() error { return e.err }

// parseProblem reads an answer that is not a success. It never returns nil.
func parseProblem(status int, contentType, retryAfter, body []byte, now time.Time) error {
	wait := parseRetryAfter(retryAfter)
	unknown := &answerError{text: fmt.Sprintf("unexpected answer with status %d and type %.60q: is this a sessiond?", status, contentType), retryAfter: wait}
	if kind, _, _ := bytes.Cut(contentType, []byte(";")); !bytes.EqualFold(bytes.TrimSpace(kind), []byte("application/problem+json")) {
		return unknown
	}
	var problem struct{ Title, Detail string }
	if err := json.Unmarshal(body, &problem); err != nil {
		return unknown
	}
	known, ok := titles[problem.Title]
	switch {
	case !ok || known.status != status || known.err == nil:
		return unknown
	case known.err == sessionstore.ErrLocked:
		return &sessionstore.LockedError{Until: now.Add(wait)}
	case known.err == errTooMany:
		known.err = &sessionstore.UnavailableError{Op: "create a session", RetryAfter: wait, Cause: errTooMany}
	}
	return &answerError{err: known.err, text: problemText(problem.Title, problem.Detail), retryAfter: wait}
}

// problemText prefers the detail, which says what the title says, and more.
func problemText(title, detail string) string {
	const limit = 500
	switch {
	case detail == "":
		return title
	case len(detail) > limit:
		return fmt.Sprintf("%.*q…", limit, detail)
	}
	return detail
}

// maxRetryAfter is the longest wait that is taken from an answer.
const maxRetryAfter = time.Hour

// parseRetryAfter reads a Retry-After header in seconds, at least 1; a missing or strange one is 1.
func parseRetryAfter(b []byte) time.Duration {
	n, err := strconv.ParseUint(string(b), 10, 31)
	if err != nil || n == 0 {
		n = 1
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}
