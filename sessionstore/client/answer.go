package client

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/lvsession/lvsession/sessionstore"
)

// parseSession reads the answer that holds the session with this key.
func parseSession(key sessionstore.Key, resp *fasthttp.Response) (s sessionstore.Session, err error) {
	s.Key = key
	if s.Version, err = parseVersion(resp); err != nil {
		return sessionstore.Session{}, err
	}
	if s.Created, err = parseTime(resp, "Session-Created"); err == nil {
		s.Expires, err = parseTime(resp, "Session-Expires")
	}
	if err == nil && len(resp.Header.Peek("Session-Deadline")) != 0 {
		s.Deadline, err = parseTime(resp, "Session-Deadline")
	}
	if err != nil {
		return sessionstore.Session{}, err
	}
	s.Payload = bytes.Clone(resp.Body()) // the buffer is used again
	return s, nil
}

func parseVersion(resp *fasthttp.Response) (uint64, error) {
	tag := resp.Header.Peek("ETag")
	if len(tag) > 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
		if v, err := strconv.ParseUint(string(tag[1:len(tag)-1]), 10, 64); err == nil && v != 0 && v != sessionstore.AnyVersion {
			return v, nil
		}
	}
	return 0, fmt.Errorf("answer's ETag %.40q is no version", tag)
}

func parseTime(resp *fasthttp.Response, header string) (time.Time, error) {
	ms, err := strconv.ParseInt(string(resp.Header.Peek(header)), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("answer's %s %.40q is no time", header, resp.Header.Peek(header))
	}
	return time.UnixMilli(ms), nil
}

// parseID reads the id that the answer names. The id itself is never quoted.
func parseID(resp *fasthttp.Response) (string, error) {
	id := string(resp.Header.Peek("Session-Id"))
	if err := sessionstore.CheckID(id); err != nil {
		return "", fmt.Errorf("answer's Session-Id: %s", err)
	}
	return id, nil
}

// parseLease reads the lease that open took, none where the namespace's policy gives none.
func parseLease(resp *fasthttp.Response) (l sessionstore.Lease, err error) {
	if len(resp.Header.Peek("Session-Lease")) == 0 {
		return l, nil
	}
	if l.Token, err = strconv.ParseUint(string(resp.Header.Peek("Session-Lease")), 10, 64); err != nil || l.Token == 0 {
		return sessionstore.Lease{}, fmt.Errorf("answer's Session-Lease %.40q is no token", resp.Header.Peek("Session-Lease"))
	}
	if l.Until, err = parseTime(resp, "Session-Lease-Until"); err != nil {
		return sessionstore.Lease{}, err
	}
	return l, nil
}
