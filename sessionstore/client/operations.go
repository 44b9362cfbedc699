package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// Open implements [sessionstore.Sessions]. An Open with a lock that its context ends gives the lease back if it is
// granted all the same.
func (c *Client) Open(ctx context.Context, id string, o sessionstore.OpenOptions) (sessionstore.Opened, error) {
	if id == "" { // sessiond would do no more
		return sessionstore.Opened{ID: sessionstore.NewID(), New: true}, nil
	}
	if err := sessionstore.CheckID(id); err != nil {
		return sessionstore.Opened{}, err
	}
	if !o.Lock {
		return c.open(ctx, id, o)
	}
	if err := ctx.Err(); err != nil {
		return sessionstore.Opened{}, fmt.Errorf("open session: %w", err)
	}
	return c.openLocked(ctx, id, o)
}

// openLocked does not give up its request when the context ends: the lease might be granted to nobody, and keep the
// session locked until it ends by itself. So the request goes on in the background, and the lease is given back.
func (c *Client) openLocked(ctx context.Context, id string, o sessionstore.OpenOptions) (sessionstore.Opened, error) {
	if err := c.begin(); err != nil {
		return sessionstore.Opened{}, &sessionstore.UnavailableError{Op: "open session", Cause: err}
	}
	type outcome struct {
		opened sessionstore.Opened
		err    error
	}
	done := make(chan outcome)
	go func() {
		defer c.strays.Done()
		opened, err := c.open(c.ctx, id, o)
		select {
		case done <- outcome{opened, err}:
		case <-ctx.Done():
			if err == nil && opened.Lease.Token != 0 {
				c.Close(c.ctx, opened.ID, opened.Lease.Token) // if this fails too, it ends by itself
			}
		}
	}()
	select {
	case out := <-done:
		return out.opened, out.err
	case <-ctx.Done():
		return sessionstore.Opened{}, fmt.Errorf("open session: %w", ctx.Err())
	}
}

func (c *Client) open(ctx context.Context, id string, o sessionstore.OpenOptions) (opened sessionstore.Opened, err error) {
	if err := o.OnLocked.Check(); err != nil {
		return opened, err
	}
	if o.LockTTL != 0 {
		if err := sessionstore.CheckDuration("lock ttl", o.LockTTL); err != nil {
			return opened, err
		}
	}
	r := c.request("open session", "POST", id, "/open")
	if o.Lock {
		wait := milliseconds(o.LockWait)
		if o.LockWait < 0 {
			wait = -1
		}
		body := map[string]any{"lock": true, "lock_ttl_ms": milliseconds(o.LockTTL), "lock_wait_ms": wait}
		if o.OnLocked != "" {
			body["on_locked"] = o.OnLocked
		}
		r.json(body)
		switch {
		case o.LockWait > 0:
			r.wait = o.LockWait
		case o.LockWait == 0:
			r.wait = c.opts.LockWait
		}
	}
	r.parse = func(resp *fasthttp.Response) (err error) {
		opened = sessionstore.Opened{}
		if opened.ID, err = parseID(resp); err != nil {
			return err
		}
		if opened.New = resp.StatusCode() == 201; opened.New {
			return nil
		}
		if opened.ID != id {
			return errors.New("answer is about another session")
		}
		if opened.Lease, err = parseLease(resp); err != nil {
			return err
		}
		opened.ReadOnly = len(resp.Header.Peek("Session-Read-Only")) > 0
		opened.Session, err = parseSession(c.key(id), resp)
		return err
	}
	if _, err := c.do(ctx, r); err != nil {
		return sessionstore.Opened{}, err
	}
	return opened, nil
}

// Read implements [sessionstore.Sessions].
func (c *Client) Read(ctx context.Context, id string) (s sessionstore.Session, err error) {
	if err := sessionstore.CheckID(id); err != nil {
		return s, err
	}
	r := c.request("read session", "GET", id, "")
	r.parse = func(resp *fasthttp.Response) (err error) {
		s, err = parseSession(c.key(id), resp)
		return err
	}
	if _, err := c.do(ctx, r); err != nil {
		return sessionstore.Session{}, err
	}
	return s, nil
}

// Write implements [sessionstore.Sessions].
func (c *Client) Write(ctx context.Context, id string, w sessionstore.WriteOptions) (version uint64, err error) {
	if err := sessionstore.CheckID(id); err != nil {
		return 0, err
	}
	if len(w.Payload) > sessionstore.MaxPayload {
		return 0, fmt.Errorf("%w: %d bytes, the limit is %d", sessionstore.ErrTooLarge, len(w.Payload), sessionstore.MaxPayload)
	}
	if err := checkIdle(w.Idle); err != nil {
		return 0, err
	}
	if w.Release && w.Token == 0 {
		return 0, fmt.Errorf("%w: a write without a token has no lease to release", sessionstore.ErrInvalid)
	}
	if len(w.Subject) > sessionstore.MaxSubjectLength {
		return 0, fmt.Errorf("%w: a subject has at most %d bytes, this one has %d", sessionstore.ErrInvalid, sessionstore.MaxSubjectLength, len(w.Subject))
	}
	r := c.request("write session", "PUT", id, "")
	r.http.SetBodyRaw(w.Payload)
	r.http.Header.SetContentType("application/octet-stream")
	switch w.IfVersion {
	case sessionstore.AnyVersion:
	case 0:
		r.http.Header.Set("If-None-Match", "*")
	default:
		r.http.Header.Set("If-Match", `"`+strconv.FormatUint(w.IfVersion, 10)+`"`)
	}
	r.lease(w.Token)
	if w.Release {
		r.lastLease(w.Token)
	}
	if w.Idle != 0 {
		r.http.Header.Set("Session-Idle", strconv.FormatInt(milliseconds(w.Idle), 10))
	}
	if w.Subject != "" {
		r.http.Header.Set("Session-Subject", url.PathEscape(w.Subject))
	}
	r.parse = func(resp *fasthttp.Response) (err error) {
		version, err = parseVersion(resp)
		return err
	}
	repeated, err := c.do(ctx, r)
	if repeated && (w.IfVersion != sessionstore.AnyVersion || w.Release) && errors.Is(err, sessionstore.ErrConflict) {
		return c.settle(ctx, id, w, err)
	}
	return version, err
}

// settle finds out whether a write on a condition, or the last one under a lease, that was sent more than once took effect
// the first time, see the package comment.
func (c *Client) settle(ctx context.Context, id string, w sessionstore.WriteOptions, conflict error) (uint64, error) {
	s, err := c.Read(ctx, id)
	switch {
	case errors.Is(err, sessionstore.ErrNotFound):
		return 0, conflict
	case err != nil:
		return 0, fmt.Errorf("write session, outcome unknown: %w", err)
	}
	// The first write of a session continues the versions of an expired one, so its version proves nothing.
	if (w.IfVersion == 0 || w.IfVersion == sessionstore.AnyVersion || s.Version == w.IfVersion+1) && bytes.Equal(s.Payload, w.Payload) {
		return s.Version, nil
	}
	return 0, conflict
}

// Touch implements [sessionstore.Sessions].
func (c *Client) Touch(ctx context.Context, id string, o sessionstore.TouchOptions) error {
	if err := sessionstore.CheckID(id); err != nil {
		return err
	}
	if err := checkIdle(o.Idle); err != nil {
		return err
	}
	r := c.request("touch session", "POST", id, "/touch")
	r.json(map[string]any{"create": o.Create, "idle_ms": milliseconds(o.Idle)})
	r.lastLease(o.Release)
	_, err := c.do(ctx, r)
	return err
}

// Destroy implements [sessionstore.Sessions].
func (c *Client) Destroy(ctx context.Context, id string) error {
	if err := sessionstore.CheckID(id); err != nil {
		return err
	}
	_, err := c.do(ctx, c.request("destroy session", "DELETE", id, ""))
	return err
}

// Regenerate implements [sessionstore.Sessions].
func (c *Client) Regenerate(ctx context.Context, id string, o sessionstore.RegenerateOptions) (newID string, s sessionstore.Session, err error) {
	if err := sessionstore.CheckID(id); err != nil {
		return "", s, err
	}
	r := c.request("regenerate session", "POST", id, "/regenerate")
	r.lease(o.Token)
	if o.Drop {
		r.json(map[string]any{"drop": true})
	}
	r.parse = func(resp *fasthttp.Response) (err error) {
		if newID, err = parseID(resp); err == nil {
			s, err = parseSession(c.key(newID), resp)
		}
		return err
	}
	if _, err := c.do(ctx, r); err != nil {
		return "", sessionstore.Session{}, err
	}
	return newID, s, nil
}

// Close implements [sessionstore.Sessions].
func (c *Client) Close(ctx context.Context, id string, token uint64) error {
	if err := sessionstore.CheckID(id); err != nil || token == 0 {
		return err
	}
	r := c.request("close session", "POST", id, "/close")
	r.lease(token)
	_, err := c.do(ctx, r)
	return err
}

// GC implements [sessionstore.Sessions].
func (c *Client) GC(ctx context.Context) (removed int, err error) {
	r := c.request("collect", "POST", "", "")
	r.http.SetRequestURI("/v1/gc")
	r.wait = time.Minute // a run of collection is bounded, but longer than other operations
	r.parse = func(resp *fasthttp.Response) error {
		var answer struct{ Removed *int }
		if err := json.Unmarshal(resp.Body(), &answer); err != nil || answer.Removed == nil {
			return errors.New("answer does not say how many were removed")
		}
		removed = *answer.Removed
		return nil
	}
	_, err = c.do(ctx, r)
	return removed, err
}

func (c *Client) key(id string) sessionstore.Key { return sessionstore.NewKey(c.namespace, id) }

// checkIdle refuses what milliseconds on the wire would turn into something else.
func checkIdle(idle time.Duration) error {
	if idle == 0 {
		return nil
	}
	return sessionstore.CheckDuration("idle time-out", idle)
}

// milliseconds rounds up.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
