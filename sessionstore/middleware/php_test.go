package middleware_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/middleware"
	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

const phpID = "n0jq3v2o0e,c8i1m5-l1q8k4h2"

// phpShop is a shop whose one session a PHP page wrote.
func phpShop(t *testing.T, payload string) (*flaky, *middleware.Middleware, *http.Cookie) {
	t.Helper()
	s := shop(t)
	if _, err := s.Sessions.Write(t.Context(), phpID, sessionstore.WriteOptions{Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
	m, err := middleware.New(s, middleware.Options{Format: phpsession.PHP})
	if err != nil {
		t.Fatal(err)
	}
	return s, m, &http.Cookie{Name: "PHPSESSID", Value: strings.ReplaceAll(phpID, ",", "%2C")}
}

func wantsPHP(t *testing.T, s *flaky, payload string) {
	t.Helper()
	stored, err := s.Sessions.Read(t.Context(), phpID)
	if err != nil || string(stored.Payload) != payload {
		t.Errorf("PHP finds %q, %v\nwant      %q", stored.Payload, err, payload)
	}
}

func TestValuesOfPHP(t *testing.T) {
	const payload = `user|a:2:{s:4:"name";s:4:"anna";s:5:"roles";a:1:{i:0;s:5:"admin";}}n|i:7;f|d:0.10000000000000001;o|O:3:"App":1:{s:1:"p";i:1;}`
	s, m, cookie := phpShop(t, payload)
	type user struct {
		Name  string   `php:"name"`
		Roles []string `php:"roles"`
	}
	visit(t, m, cookie, func(session *middleware.Session) {
		if session.IsNew() || session.ID() != phpID {
			t.Errorf("the session is new: %v", session.IsNew())
		}
		var u user
		if found, err := session.Get("user", &u); err != nil || !found || !reflect.DeepEqual(u, user{"anna", []string{"admin"}}) {
			t.Errorf("user %+v, %v, %v", u, found, err)
		}
		var n string
		if _, err := session.Get("n", &n); !errors.Is(err, phpsession.ErrUnsupported) {
			t.Errorf("an int into a string: %v", err)
		}
		if found, err := session.Get("none", &n); found || err != nil {
			t.Errorf("none: %v, %v", found, err)
		}
		if names, err := session.Names(); err != nil || !reflect.DeepEqual(names, []string{"f", "n", "o", "user"}) {
			t.Errorf("names %q, %v", names, err)
		}
		if string(session.Bytes()) != payload {
			t.Errorf("bytes %q", session.Bytes())
		}
	})
	wantsPHP(t, s, payload)
	visit(t, m, cookie, func(session *middleware.Session) {
		for name, value := range map[string]any{"17": 1, "a|b": 1, "f": func() {}} {
			if err := session.Set(name, value); !errors.Is(err, phpsession.ErrUnsupported) {
				t.Errorf("set %q: %v", name, err)
			}
		}
		if err := errors.Join(session.Set("n", 8), session.Delete("user"), session.Set("list", []int{1})); err != nil {
			t.Error(err)
		}
		if err := session.PHP(func(values *phpsession.Array) error { return values.Set("x", "o", "p") }); err != nil {
			t.Error(err)
		}
	})
	wantsPHP(t, s, `n|i:8;f|d:0.10000000000000001;o|O:3:"App":1:{s:1:"p";s:1:"x";}list|a:1:{i:0;i:1;}`)
	visit(t, m, cookie, func(session *middleware.Session) {
		for _, name := range []string{"n", "f", "o", "list"} {
			if err := session.Delete(name); err != nil {
				t.Error(err)
			}
		}
	})
	wantsPHP(t, s, "")
}

func TestPHPBeginsInGo(t *testing.T) {
	s, m, _ := phpShop(t, "")
	cookie := visit(t, m, nil, func(session *middleware.Session) {
		if err := session.Set("user", "anna"); err != nil {
			t.Error(err)
		}
	})
	if cookie == nil || cookie.Name != "PHPSESSID" {
		t.Fatalf("cookie %v", cookie)
	}
	stored, err := s.Sessions.Read(t.Context(), cookie.Value)
	if err != nil || string(stored.Payload) != `user|s:4:"anna";` {
		t.Errorf("PHP finds %q, %v", stored.Payload, err)
	}
}

// What cannot be read stays as it is.
func TestPHPPayloadsThatCannotBeRead(t *testing.T) {
	for _, payload := range []string{`c|C:3:"Old":2:{xy}n|i:1;m|R:2;`, `{"json":true}`} {
		s, m, cookie := phpShop(t, payload)
		visit(t, m, cookie, func(session *middleware.Session) {
			var n int
			if _, err := session.Get("n", &n); err == nil {
				t.Error("a value was read")
			}
			if err := session.Set("n", 1); err == nil {
				t.Error("a value was set")
			}
			if err := session.PHP(func(*phpsession.Array) error { return nil }); err == nil {
				t.Error("the values were read")
			}
		})
		wantsPHP(t, s, payload)
	}
}

func TestPHPNeedsAFormatOfPHPs(t *testing.T) {
	if _, err := middleware.New(shop(t), middleware.Options{Format: "wddx"}); !errors.Is(err, sessionstore.ErrInvalid) {
		t.Errorf("a format that is gone: %v", err)
	}
	m, err := middleware.New(shop(t), middleware.Options{})
	if err != nil {
		t.Fatal(err)
	}
	visit(t, m, nil, func(session *middleware.Session) {
		if err := session.PHP(func(*phpsession.Array) error { return nil }); !errors.Is(err, phpsession.ErrUnsupported) {
			t.Errorf("JSON as PHP: %v", err)
		}
	})
}
