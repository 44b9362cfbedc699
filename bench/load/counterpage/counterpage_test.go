package counterpage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/sessionstore"
)

// fakeSession is a session in memory whose Save may fail.
type fakeSession struct {
	stored *Visits
	next   Visits
	err    error
}

func (s *fakeSession) Get() Visits  { return *s.stored }
func (s *fakeSession) Set(v Visits) { s.next = v }
func (s *fakeSession) ID() string   { return "hello" }
func (s *fakeSession) Save() error {
	if s.err == nil {
		*s.stored = s.next
	}
	return s.err
}

func TestHandlerCounts(t *testing.T) {
	var stored Visits
	h := Handler("web1", func(http.ResponseWriter, *http.Request) (Session, error) {
		return &fakeSession{stored: &stored}, nil
	})
	for i := int64(1); i <= 3; i++ {
		w := httptest.NewRecorder()
		// The name changes with every visit; the page must keep the first.
		h.ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprintf("/?user=u%d", i), nil))
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("visit %d: status %d, header %v", i, w.Code, w.Header())
		}
		a, err := load.ParseAnswer(w.Body.Bytes())
		if err != nil {
			t.Fatalf("visit %d: %v", i, err)
		}
		// SHA-256 of "hello" begins 2cf24dba.
		if want := (load.Answer{Server: "web1", ID: "2cf24dba", Count: i, User: "u1"}); a != want {
			t.Fatalf("visit %d: %+v, want %+v", i, a, want)
		}
	}
}

func TestHandlerAnswersExactlyTheContract(t *testing.T) {
	var stored Visits
	h := Handler("web1", func(http.ResponseWriter, *http.Request) (Session, error) {
		return &fakeSession{stored: &stored}, nil
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/?user="+url.QueryEscape(`"ü`), nil))
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"server": "web1", "id": "2cf24dba", "count": 1.0, "user": `"ü`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestHandlerRefuses(t *testing.T) {
	secret := errors.New("dial db.internal as root")
	wrap := func(err error) error { return fmt.Errorf("%w: %w", err, secret) }
	tests := []struct {
		name, method, query string
		open, save          error
		status              int
		body                string
	}{
		{"no user", "GET", "", nil, nil, 400, "query parameter user must have 1 to 64 bytes"},
		{"long user", "GET", "user=" + strings.Repeat("x", 65), nil, nil, 400, "query parameter user must have 1 to 64 bytes"},
		{"post", "POST", "user=u1", nil, nil, 405, "the counter page knows only GET"},
		{"locked", "GET", "user=u1", wrap(sessionstore.ErrLocked), nil, 423, "open session: locked"},
		{"away", "GET", "user=u1", wrap(sessionstore.ErrUnavailable), nil, 503, "open session: store unavailable"},
		{"conflict", "GET", "user=u1", nil, wrap(sessionstore.ErrConflict), 409, "save session: changed meanwhile"},
		{"destroyed", "GET", "user=u1", nil, wrap(sessionstore.ErrDestroyed), 503, "save session: destroyed"},
		{"unknown", "GET", "user=u1", nil, secret, 503, "save session: failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := Visits{}
			h := Handler("web1", func(http.ResponseWriter, *http.Request) (Session, error) {
				if tt.open != nil {
					return nil, tt.open
				}
				return &fakeSession{stored: &stored, err: tt.save}, nil
			})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tt.method, "/?"+tt.query, nil))
			body, _ := io.ReadAll(w.Body)
			if w.Code != tt.status || strings.TrimSpace(string(body)) != tt.body {
				t.Errorf("got %d %q, want %d %q", w.Code, body, tt.status, tt.body)
			}
			if stored.Count != 0 {
				t.Errorf("a refused visit was counted")
			}
		})
	}
}
