package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

// Concurrency is what happens when requests of one session run at once.
type Concurrency int

const (
	// LastWriterWins lets every request store what it has. It is the default.
	LastWriterWins Concurrency = iota
	// Optimistic refuses to store a session that another request stored since this one loaded it, with
	// [sessionstore.ErrConflict].
	Optimistic
	// Lease lets one request at a time have the session, as PHP does: the others wait in [Get]. It is released once the
	// session is stored.
	Lease
)

// Options are settings of a [Middleware]. Zero values mean the defaults.
type Options struct {
	// Format is how values are encoded. Default: as JSON. With one of PHP's formats, the setting session.serialize_handler
	// of the PHP pages, sessions are shared with these: $_SESSION['user'] is the value "user".
	Format phpsession.Format
	// Cookie is the cookie's name. Default: "session", or PHP's own with a format of PHP's.
	Cookie string
	// Path and Domain limit where the browser sends the cookie. Default: "/", and this host alone.
	Path, Domain string
	// Secure keeps the cookie from connections without TLS. Set it wherever there is TLS.
	Secure bool
	// SameSite says which requests from other sites carry the cookie. Default [http.SameSiteLaxMode].
	SameSite http.SameSite
	// MaxAge is how long the browser keeps the cookie, and the session's idle time-out, in whole seconds. Default: until
	// the browser ends, and the service's policy.
	MaxAge time.Duration
	// Concurrency is what happens when requests of one session run at once.
	Concurrency Concurrency
	// Timeout is how long storing may take. It does not end with the request's context: what a handler did is stored
	// even when its visitor is gone. Default 10 s.
	Timeout time.Duration
	// ErrorHandler answers when the session cannot be stored and nothing was sent yet. The header is as it was before
	// the handler.
	// Default: a 409 for a conflict, else a 503.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
	// Logger gets what no handler and no visitor is told. Default: none.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Format != "" {
		if err := o.Format.Check(); err != nil {
			return o, fmt.Errorf("%w: %w", sessionstore.ErrInvalid, err)
		}
		o.Cookie = orDefault(o.Cookie, phpsession.CookieName)
	}
	o.Cookie = orDefault(o.Cookie, "session")
	o.Path = orDefault(o.Path, "/")
	o.SameSite = orDefault(o.SameSite, http.SameSiteLaxMode)
	o.Timeout = orDefault(o.Timeout, 10*time.Second)
	o.Logger = orDefault(o.Logger, slog.New(slog.DiscardHandler))
	if o.ErrorHandler == nil {
		o.ErrorHandler = answerError
	}
	if err := o.cookie("x", 0).Valid(); err != nil {
		return o, fmt.Errorf("%w: cookie: %w", sessionstore.ErrInvalid, err)
	}
	if o.MaxAge != 0 && (o.MaxAge < time.Second || o.MaxAge > sessionstore.MaxDuration) {
		return o, fmt.Errorf("%w: cookie's age %v is not within 1s and %v", sessionstore.ErrInvalid, o.MaxAge, sessionstore.MaxDuration)
	}
	if o.Timeout < 0 {
		return o, fmt.Errorf("%w: time-out %v is negative", sessionstore.ErrInvalid, o.Timeout)
	}
	if o.Concurrency < LastWriterWins || o.Concurrency > Lease {
		return o, fmt.Errorf("%w: unknown concurrency %d", sessionstore.ErrInvalid, o.Concurrency)
	}
	return o, nil
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// cookie returns the cookie with a value and an age in seconds, below 0 for one that is to be deleted.
func (o Options) cookie(value string, maxAge int) *http.Cookie {
	c := &http.Cookie{
		Name: o.Cookie, Value: phpsession.CookieValue(value), Path: o.Path, Domain: o.Domain,
		MaxAge: maxAge, HttpOnly: true, Secure: o.Secure, SameSite: o.SameSite,
	}
	switch {
	case maxAge > 0:
		c.Expires = time.Now().Add(time.Duration(maxAge) * time.Second)
	case maxAge < 0:
		c.Expires = time.Unix(1, 0)
	}
	return c
}

// Middleware gives handlers sessions of one namespace. Its methods may be called concurrently.
type Middleware struct {
	sessions sessionstore.Sessions
	opts     Options
}

// New returns a middleware over the sessions of a namespace: those of a [sessionstore.Service] in this process or of a
// client. The error wraps [sessionstore.ErrInvalid].
func New(s sessionstore.Sessions, o Options) (*Middleware, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("session middleware: %w", err)
	}
	return &Middleware{sessions: s, opts: o}, nil
}

type contextKey struct{ string }

var visitKey = contextKey{"visit"}

// Wrap returns a handler that calls next with a session at hand.
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Middleware: m}
		if c, err := r.Cookie(m.opts.Cookie); err == nil {
			if id := phpsession.CookieID(c.Value); sessionstore.CheckID(id) == nil {
				v.cookie = id
			}
		}
		r = r.WithContext(context.WithValue(r.Context(), visitKey, v))
		v.request = r
		a := &answer{ResponseWriter: w, visit: v, before: w.Header().Clone()}
		defer v.release() // also when the handler panics: nothing is stored then
		next.ServeHTTP(a.withAbilities(), r)
		a.finish()
	})
}

// ErrNoMiddleware is the error of [Get] in a handler that no [Middleware] wraps.
var ErrNoMiddleware = errors.New("no session middleware wraps this handler")

// Get returns the session of the request with this context, the same one each time. The first call loads it, and waits
// for its lease with [Lease].
//
// Errors: those of [sessionstore.Sessions].Open; [ErrCommitted] if the answer has begun before the first call;
// [ErrNoMiddleware].
func Get(ctx context.Context) (*Session, error) {
	v, ok := ctx.Value(visitKey).(*visit)
	if !ok {
		return nil, ErrNoMiddleware
	}
	return v.load(ctx)
}

// answerError is the default error handler. The details are for the log: they may name hosts.
func answerError(w http.ResponseWriter, _ *http.Request, err error) {
	if errors.Is(err, sessionstore.ErrConflict) {
		http.Error(w, "another request changed the session meanwhile", http.StatusConflict)
		return
	}
	wait := time.Second
	var away *sessionstore.UnavailableError
	if errors.As(err, &away) {
		wait = max(wait, away.RetryAfter)
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	http.Error(w, "the session could not be saved", http.StatusServiceUnavailable)
}
