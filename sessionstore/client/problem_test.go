package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
)

func TestProblems(t *testing.T) {
	now := time.Now()
	const json = "application/problem+json"
	for name, x := range map[string]struct {
		status      int
		contentType string
		body        string
		want        error // of the contract; nil where the answer is not to be believed
	}{
		"not found":      {404, json, `{"title":"not found","status":404,"detail":"session not found"}`, sessionstore.ErrNotFound},
		"with a charset": {412, json + "; charset=utf-8", `{"title":"conflict"}`, sessionstore.ErrConflict},
		"destroyed":      {410, json, `{"title":"destroyed"}`, sessionstore.ErrDestroyed},
		"locked":         {423, json, `{"title":"locked"}`, sessionstore.ErrLocked},
		"too large":      {413, json, `{"title":"too large"}`, sessionstore.ErrTooLarge},
		"invalid":        {400, json, `{"title":"invalid"}`, sessionstore.ErrInvalid},
		"unavailable":    {503, json, `{"title":"unavailable"}`, sessionstore.ErrUnavailable},
		"no secret":      {401, json, `{"title":"unauthorized","status":401,"detail":"x"}`, sessionstore.ErrInvalid},
		"too many":       {429, json, `{"title":"too many sessions","status":429,"detail":"x"}`, sessionstore.ErrUnavailable},
		"another status": {500, json, `{"title":"not found"}`, nil},
		"another type":   {404, "text/html", `{"title":"not found"}`, nil},
		"no JSON":        {404, json, `<html>`, nil},
		"no title":       {404, json, `{}`, nil},
		"method":         {405, json, `{"title":"method not allowed"}`, nil},
		"empty":          {404, json, ``, nil},
	} {
		err := parseProblem(x.status, []byte(x.contentType), []byte("3"), []byte(x.body), now)
		if err == nil || (x.want != nil && !errors.Is(err, x.want)) || (x.want == nil && errors.Unwrap(err) != nil) {
			t.Errorf("%s: %v", name, err)
		}
		var locked *sessionstore.LockedError
		if errors.As(err, &locked) && !locked.Until.Equal(now.Add(3*time.Second)) {
			t.Errorf("%s: until %v", name, locked.Until)
		}
	}
}

// FuzzAnswer reads what an endpoint may send: nothing may panic, and what is no proper answer must not pass for one.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nETag: \"7\"\r\nSession-Id: aaaaaaaaaaaaaaaaaaaaaaaa\r\nSession-Created: 1\r\nSession-Expires: 2\r\nContent-Length: 1\r\n\r\nx"))
	f.Add([]byte("HTTP/1.1 423 Locked\r\nContent-Type: application/problem+json\r\nRetry-After: 2\r\nContent-Length: 33\r\n\r\n{\"title\":\"locked\",\"detail\":\"\u00e4\"}\n"))
	f.Add([]byte("HTTP/1.1 503 X\r\nRetry-After: 99999999999999\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		resp := fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(resp)
		if err := resp.ReadLimitBody(bufio.NewReaderSize(bytes.NewReader(wire), readBuffer), maxBody); err != nil {
			return
		}
		var session sessionstore.Session
		r := request{op: "fuzz", parse: func(resp *fasthttp.Response) (err error) {
			session, err = parseSession(sessionstore.Key{}, resp)
			if _, idErr := parseID(resp); idErr != nil {
				return idErr
			}
			return err
		}}
		err := r.read(resp)
		if err == nil && (session.Version == 0 || session.Version == sessionstore.AnyVersion) {
			t.Fatalf("took %q for a session %+v", wire, session)
		}
		var answer *answerError
		if errors.As(err, &answer) && (answer.retryAfter < time.Second || answer.retryAfter > maxRetryAfter) {
			t.Fatalf("retry after %v", answer.retryAfter)
		}
	})
}

func TestRoutesSpreadAndStay(t *testing.T) {
	var urls []string
	for i := range 4 {
		urls = append(urls, fmt.Sprintf("http://10.0.0.%d:7080", i+1))
	}
	all, err := New(urls, "shop", Options{})
	if err != nil {
		t.Fatal(err)
	}
	turned, err := New([]string{urls[2], urls[0], urls[3], urls[1]}, "shop", Options{})
	if err != nil {
		t.Fatal(err)
	}
	without, err := New(urls[:3], "shop", Options{})
	if err != nil {
		t.Fatal(err)
	}
	share := map[string]int{}
	for range 4000 {
		id := sessionstore.NewID()
		first := all.route(id).ranked[0].address
		share[first]++
		if got := turned.route(id).ranked[0].address; got != first {
			t.Fatalf("the order of the endpoints moves a session from %s to %s", first, got)
		}
		if got := without.route(id).ranked[0].address; first != "10.0.0.4:7080" && got != first {
			t.Fatalf("the loss of another endpoint moves a session from %s to %s", first, got)
		}
	}
	for address, n := range share {
		if n < 850 || n > 1150 { // 1000 ± 5 standard deviations
			t.Errorf("%s has %d of 4000 sessions", address, n)
		}
	}
}

// Whatever happens, an endpoint that is away is tried by one request at a time, and one that answered is good again.
func TestHealth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := health{avoid: time.Second}
		now := time.Unix(1000, 0)
		trials, ill := 0, good
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "s")) * time.Second) },
			"admit": func(t *rapid.T) {
				least := condition(rapid.IntRange(int(good), int(away)).Draw(t, "least"))
				waited := h.wait(now) == 0
				got := h.admit(now, least)
				switch {
				case ill == good && !got:
					t.Fatal("a good endpoint is avoided")
				case ill == away && trials > 0 && got:
					t.Fatal("two requests try an endpoint that is away")
				case ill != good && !waited && ill > least && got:
					t.Fatal("an endpoint is tried before its time")
				case ill == away && trials == 0 && (waited || least == away) && !got:
					t.Fatal("an endpoint that is due is not tried")
				}
				if got && ill != good {
					trials++
				}
			},
			"well":  func(*rapid.T) { h.well(); trials, ill = 0, good },
			"poor":  func(*rapid.T) { h.ill(now, poor); trials, ill = 0, poor },
			"away":  func(*rapid.T) { h.ill(now, away); trials, ill = 0, away },
			"spare": func(*rapid.T) { h.spare(); trials = 0 },
			"": func(t *rapid.T) {
				if w := h.wait(now); w < 0 || w > 16*time.Second || (ill == good && w != 0) {
					t.Fatalf("wait %v", w)
				}
			},
		})
	})
}
