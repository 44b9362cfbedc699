package gorilla_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/gorilla/sessions"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

// php is a store of sessions that a PHP page wrote one of.
type php struct {
	*testing.T
	sessionstore.Sessions
	store *gorilla.Store
	id    string
}

func newPHP(t *testing.T, payload string) *php {
	t.Helper()
	s, _ := shop(t)
	store, err := gorilla.NewPHP(s, phpsession.PHP)
	if err != nil {
		t.Fatal(err)
	}
	p := &php{t, s, store, "n0jq3v2o0e,c8i1m5-l1q8k4h2"}
	if _, err := s.Write(t.Context(), p.id, sessionstore.WriteOptions{Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
	return p
}

// page runs a Go page on the session that the browser's cookie names.
func (p *php) page(cookie string, f func(r *http.Request, w http.ResponseWriter, s *sessions.Session, loaded error)) []*http.Cookie {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", gorilla.PHPCookie+"="+cookie)
	w := httptest.NewRecorder()
	s, err := p.store.Get(r, gorilla.PHPCookie)
	f(r, w, s, err)
	return w.Result().Cookies()
}

// cookie is the cookie as PHP sends it.
func (p *php) cookie() string { return strings.ReplaceAll(p.id, ",", "%2C") }

func (p *php) wants(payload string) {
	p.Helper()
	stored, err := p.Read(p.Context(), p.id)
	if err != nil || string(stored.Payload) != payload {
		p.Errorf("PHP finds %q, %v\nwant      %q", stored.Payload, err, payload)
	}
}

func TestValuesOfPHP(t *testing.T) {
	const payload = `user|a:2:{s:4:"name";s:4:"anna";s:5:"roles";a:1:{i:0;s:5:"admin";}}n|i:7;cart|a:1:{i:17;d:0.10000000000000001;}` +
		`o|O:3:"App":1:{s:1:"p";i:1;}same|r:8;_flash|a:1:{i:0;s:5:"hello";}`
	p := newPHP(t, payload)
	cookies := p.page(p.cookie(), func(r *http.Request, w http.ResponseWriter, s *sessions.Session, err error) {
		if err != nil || s.IsNew || s.ID != p.id {
			t.Fatalf("loaded %+v, %v", s, err)
		}
		user := map[string]any{"name": "anna", "roles": []any{"admin"}}
		if !reflect.DeepEqual(s.Values["user"], user) || s.Values["n"] != 7 {
			t.Errorf("values %#v", s.Values)
		}
		if o, ok := s.Values["o"].(*phpsession.Object); !ok || o.Class() != "App" || s.Values["same"] != o {
			t.Errorf("objects %v and %v", s.Values["o"], s.Values["same"])
		}
		if err := s.Save(r, w); err != nil {
			t.Fatal(err)
		}
	})
	if len(cookies) != 1 || cookies[0].Value != p.cookie() || cookies[0].MaxAge != 0 || !cookies[0].Expires.IsZero() {
		t.Errorf("cookies %v", cookies)
	}
	p.wants(payload)

	p.page(p.cookie(), func(r *http.Request, w http.ResponseWriter, s *sessions.Session, err error) {
		s.Values["n"] = s.Values["n"].(int) + 1
		s.Values["user"].(map[string]any)["name"] = "bob"
		if flashes := s.Flashes(); len(flashes) != 1 || flashes[0] != "hello" {
			t.Errorf("flashes %v", flashes)
		}
		s.AddFlash("from Go", "note")
		s.Values[18] = "key"
		delete(s.Values, "cart")
		if err := s.Save(r, w); err == nil {
			t.Error("saved an integer name, which PHP would lose")
		}
		delete(s.Values, 18)
		if err := s.Save(r, w); err != nil {
			t.Fatal(err)
		}
	})
	p.wants(`user|a:2:{s:4:"name";s:3:"bob";s:5:"roles";a:1:{i:0;s:5:"admin";}}n|i:8;o|O:3:"App":1:{s:1:"p";i:1;}same|r:6;note|a:1:{i:0;s:7:"from Go";}`)
}

func TestPHPLogsOut(t *testing.T) {
	p := newPHP(t, `user|s:4:"anna";`)
	cookies := p.page(p.cookie(), func(r *http.Request, w http.ResponseWriter, s *sessions.Session, err error) {
		s.Options.MaxAge = -1
		if err := s.Save(r, w); err != nil {
			t.Fatal(err)
		}
	})
	if len(cookies) != 1 || cookies[0].MaxAge >= 0 {
		t.Errorf("cookies %v", cookies)
	}
	if _, err := p.Read(t.Context(), p.id); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("PHP finds the session: %v", err)
	}
}

// A cookie that is no id, or that of no session, makes a new session without an error, as in PHP with strict mode.
func TestPHPCookiesFromOutside(t *testing.T) {
	p := newPHP(t, `n|i:1;`)
	for _, cookie := range []string{"", "x", "%2C", "../../etc/passwd", strings.Repeat("a", 26), strings.Repeat("a", 300), `"` + p.id + `x"`} {
		p.page(cookie, func(r *http.Request, w http.ResponseWriter, s *sessions.Session, err error) {
			if err != nil || !s.IsNew || s.ID != "" {
				t.Fatalf("%q: %+v, %v", cookie, s, err)
			}
			if err := s.Save(r, w); err != nil || s.ID == cookie {
				t.Errorf("%q: saved as %q, %v", cookie, s.ID, err)
			}
		})
	}
}

// What only PHP can read is not overwritten; what PHP cannot read either begins anew.
func TestPHPPayloadsThatCannotBeRead(t *testing.T) {
	const odd = `c|C:3:"Old":2:{xy}n|i:1;m|R:2;`
	p := newPHP(t, odd)
	p.page(p.cookie(), func(r *http.Request, w http.ResponseWriter, s *sessions.Session, err error) {
		if !errors.Is(err, phpsession.ErrUnsupported) {
			t.Errorf("loaded with %v", err)
		}
		if err := s.Save(r, w); !errors.Is(err, phpsession.ErrUnsupported) {
			t.Errorf("saved with %v", err)
		}
	})
	p.wants(odd)

	p = newPHP(t, `{"json":true}`)
	p.page(p.cookie(), func(r *http.Request, w http.ResponseWriter, s *sessions.Session, err error) {
		if !errors.Is(err, phpsession.ErrFormat) {
			t.Errorf("loaded with %v", err)
		}
		if err := s.Save(r, w); err != nil || s.ID == p.id {
			t.Errorf("saved as %q, %v", s.ID, err)
		}
	})
	p.wants(`{"json":true}`)
}

func TestPHPFormats(t *testing.T) {
	s, _ := shop(t)
	if _, err := gorilla.NewPHP(s, "wddx"); !errors.Is(err, phpsession.ErrUnsupported) {
		t.Errorf("a format that is gone: %v", err)
	}
	for _, f := range []phpsession.Format{phpsession.PHPSerialize, phpsession.PHPBinary, phpsession.Igbinary} {
		store, err := gorilla.NewPHP(s, f)
		if err != nil {
			t.Fatal(err)
		}
		p := page(count)
		web := serve(t, store, nil, &p)
		for _, want := range []string{"1 true", "2 false", "3 false"} {
			web.wants(want)
		}
	}
	session := sessions.NewSession(nil, "")
	session.Values[1.5] = 1
	if _, err := (&gorilla.PHPSerializer{}).Serialize(session); err == nil {
		t.Error("a float as a key was saved")
	}
	session.Values = map[any]any{1: 1, "1": 1}
	if _, err := (&gorilla.PHPSerializer{Format: phpsession.PHPSerialize}).Serialize(session); err == nil {
		t.Error("a key was saved twice")
	}
	if _, err := (gorilla.PlainID{}).Encode("", 1); err == nil {
		t.Error("a plain cookie took an integer")
	}
	if err := (gorilla.PlainID{}).Decode("", "x", new(int)); err == nil {
		t.Error("a plain cookie went into an integer")
	}
}
