package gorilla_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/sessions"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
)

// request is one with the cookies of an answer.
func request(cookies []*http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range cookies {
		if c.MaxAge >= 0 {
			r.AddCookie(c)
		}
	}
	return r
}

// mustGet returns the session of a name, which must load.
func mustGet(t *testing.T, store sessions.Store, r *http.Request, name string) *sessions.Session {
	t.Helper()
	session, err := store.Get(r, name)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// Several sessions of one request, of several stores, are saved by one call; each has options of its own.
func TestSeveralSessionsOfOneRequest(t *testing.T) {
	s, _ := shop(t)
	a, b := gorilla.New(s, key), gorilla.New(s, key)
	b.Options.Path, b.Options.Partitioned, b.Options.Secure = "/b", true, true
	r, w := request(nil), httptest.NewRecorder()
	for name, store := range map[string]sessions.Store{"one": a, "two": a, "three": b} {
		mustGet(t, store, r, name).Values["name"] = name
	}
	one := mustGet(t, a, r, "one")
	if one != mustGet(t, a, r, "one") || one.Name() != "one" || one.Store() != sessions.Store(a) {
		t.Error("Get gave two sessions of one name")
	}
	one.Options.MaxAge, one.Options.HttpOnly = 60, false
	if err := sessions.Save(r, w); err != nil {
		t.Fatal(err)
	}
	cookies := w.Result().Cookies()
	values := map[string]bool{}
	for _, c := range cookies {
		values[c.Value] = true
		if (c.MaxAge == 60 && !c.HttpOnly) != (c.Name == "one") || (c.Path == "/b" && c.Partitioned && c.Secure) != (c.Name == "three") {
			t.Errorf("cookie %v", c)
		}
	}
	if len(cookies) != 3 || len(values) != 3 {
		t.Errorf("cookies %v", cookies)
	}
	r = request(cookies)
	for name, store := range map[string]sessions.Store{"one": b, "two": a, "three": b} { // both stores know all of them
		if session := mustGet(t, store, r, name); session.IsNew || session.Values["name"] != name {
			t.Errorf("%s: %+v", name, session)
		}
	}
	mustGet(t, a, r, "two").Values["name"] = func() {} // cannot be saved
	mustGet(t, b, r, "three").Options.MaxAge = -1
	w = httptest.NewRecorder()
	var several sessions.MultiError
	if err := sessions.Save(r, w); !errors.As(err, &several) || len(several) != 1 {
		t.Errorf("saved with %v", err)
	}
	if cookies := w.Result().Cookies(); len(cookies) != 2 {
		t.Errorf("cookies of the other two: %v", cookies)
	}
}

// A cookie's name is part of what is signed: the cookie of one session is no good for another.
func TestCookieOfAnotherName(t *testing.T) {
	s, _ := shop(t)
	store := gorilla.New(s, key)
	r, w := request(nil), httptest.NewRecorder()
	mustGet(t, store, r, "admin").Values["user"] = "root"
	if err := sessions.Save(r, w); err != nil {
		t.Fatal(err)
	}
	c := w.Result().Cookies()[0]
	c.Name = "user"
	session, err := store.Get(request([]*http.Cookie{c}), "user")
	if err == nil || session == nil || !session.IsNew || len(session.Values) != 0 {
		t.Errorf("got %+v, %v", session, err)
	}
}

func TestNameThatIsNoCookies(t *testing.T) {
	s, _ := shop(t)
	if session, err := gorilla.New(s, key).Get(request(nil), "a b"); err == nil {
		t.Errorf("got %+v", session)
	}
}

// Too long a cookie is an error, with a session that works.
func TestLengths(t *testing.T) {
	s, _ := shop(t)
	store := gorilla.New(s, key)
	long := &http.Cookie{Name: "sid", Value: strings.Repeat("a", 5000)}
	r, w := request([]*http.Cookie{long}), httptest.NewRecorder()
	session, err := store.Get(r, "sid")
	if err == nil || session == nil || !session.IsNew {
		t.Fatalf("got %+v, %v", session, err)
	}
	session.Values["long"] = strings.Repeat("a", 100_000) // longer than any cookie
	if err := session.Save(r, w); err != nil {
		t.Fatal(err)
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || len(cookies[0].Value) > 256 {
		t.Errorf("cookies %v", cookies)
	}
	store.MaxLength(4096)
	if err := session.Save(r, httptest.NewRecorder()); !errors.Is(err, sessionstore.ErrTooLarge) {
		t.Errorf("more than MaxLength: %v", err)
	}
	again := mustGet(t, store, request(cookies), "sid")
	if len(again.Values["long"].(string)) != 100_000 {
		t.Error("the refused save changed the session")
	}
	delete(again.Values, "long")
	if err := again.Save(r, httptest.NewRecorder()); err != nil {
		t.Error(err)
	}
	store.MaxLength(0)
	again.Values["long"] = strings.Repeat("a", sessionstore.MaxPayload)
	if err := again.Save(r, httptest.NewRecorder()); !errors.Is(err, sessionstore.ErrTooLarge) {
		t.Errorf("more than the policy's: %v", err)
	}
}

// Without any key there is no cookie that anybody could trust.
func TestWithoutKeys(t *testing.T) {
	s, _ := shop(t)
	store := gorilla.New(s)
	r, w := request(nil), httptest.NewRecorder()
	session := mustGet(t, store, r, "sid")
	if err := session.Save(r, w); err == nil {
		t.Error("saved without a key")
	}
	if len(w.Result().Cookies()) != 0 || s.changes.Load() != 0 {
		t.Error("something was stored or sent")
	}
}
