package gorilla_test

import (
	"encoding/gob"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
)

type basket struct {
	Items map[string]int
	Since time.Time
}

func init() {
	gob.Register(basket{})
	gob.Register(map[string]any{})
}

// roundTrip saves the values in one request and loads them in the next.
func roundTrip(t *rapid.T, store *gorilla.Store, values map[any]any) map[any]any {
	first := httptest.NewRequest("GET", "/", nil)
	session, err := store.Get(first, "sid")
	if err != nil {
		t.Fatal(err)
	}
	session.Values = values
	answer := httptest.NewRecorder()
	if err := session.Save(first, answer); err != nil {
		t.Fatal(err)
	}
	second := httptest.NewRequest("GET", "/", nil)
	second.AddCookie(answer.Result().Cookies()[0])
	again, err := store.Get(second, "sid")
	if err != nil || again.IsNew || again.ID != session.ID {
		t.Fatalf("loaded %+v, %v", again, err)
	}
	return again.Values
}

func TestGobRoundTrip(t *testing.T) {
	s, _ := shop(t)
	store := gorilla.New(s, key)
	name := rapid.OneOf(rapid.String().AsAny(), rapid.Int().AsAny(), rapid.Bool().AsAny())
	value := rapid.OneOf(rapid.String().AsAny(), rapid.Int64().AsAny(), rapid.Float64().AsAny(), rapid.Bool().AsAny(),
		rapid.Just[any](nil), rapid.SliceOfN(rapid.Byte(), 1, 50).AsAny(), rapid.Custom(func(t *rapid.T) any {
			return basket{
				Items: rapid.MapOfN(rapid.String(), rapid.Int(), 1, 5).Draw(t, "items"),
				Since: time.UnixMilli(rapid.Int64Range(0, 1<<40).Draw(t, "since")).UTC(),
			}
		}))
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.MapOf(name, value).Draw(t, "values")
		if got := roundTrip(t, store, values); !reflect.DeepEqual(got, values) {
			t.Fatalf("saved %#v, loaded %#v", values, got)
		}
	})
}

func TestJSONRoundTrip(t *testing.T) {
	s, _ := shop(t)
	store := gorilla.New(s, key)
	store.Serializer = gorilla.JSONSerializer{}
	value := rapid.OneOf(rapid.String().AsAny(), rapid.Float64().AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil))
	rapid.Check(t, func(t *rapid.T) {
		values := map[any]any{}
		for k, v := range rapid.MapOf(rapid.String(), value).Draw(t, "values") {
			values[k] = v
		}
		if got := roundTrip(t, store, values); !reflect.DeepEqual(got, values) {
			t.Fatalf("saved %#v, loaded %#v", values, got)
		}
	})
}

// FuzzCookie feeds cookies from outside: none may panic, and none but a signed one may be taken for a session.
func FuzzCookie(f *testing.F) {
	s, _ := shop(f)
	store := gorilla.New(s, key)
	for _, id := range []string{sessionstore.NewID(), "", "../etc/passwd"} {
		value, err := securecookie.EncodeMulti("sid", id, store.Codecs...)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add("")
	f.Add("MTY5|x|y")
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = []string{"sid=" + value}
		session, _ := store.New(r, "sid")
		if session == nil || !session.IsNew || session.ID != "" || len(session.Values) != 0 {
			t.Fatalf("a cookie from outside gave %+v", session)
		}
	})
}

// FuzzPayload feeds payloads that another program may have written.
func FuzzPayload(f *testing.F) {
	session := sessions.NewSession(nil, "sid")
	session.Values["n"] = 1
	session.AddFlash("x")
	for _, serializer := range []gorilla.Serializer{gorilla.GobSerializer{}, gorilla.JSONSerializer{}, &gorilla.PHPSerializer{}} {
		payload, err := serializer.Serialize(session)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Add([]byte(`php|a:0:{}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, serializer := range []gorilla.Serializer{gorilla.GobSerializer{}, gorilla.JSONSerializer{}, &gorilla.PHPSerializer{}} {
			session := sessions.NewSession(nil, "sid")
			if err := serializer.Deserialize(payload, session); err == nil && session.Values == nil {
				t.Fatalf("%T: decoded without values", serializer)
			}
		}
	})
}

func TestValuesRefused(t *testing.T) {
	session := sessions.NewSession(nil, "sid")
	session.Values["nil"] = (*basket)(nil)
	if _, err := (gorilla.GobSerializer{}).Serialize(session); err == nil {
		t.Error("gob took a nil pointer")
	}
	session.Values = map[any]any{1: "x"}
	if _, err := (gorilla.JSONSerializer{}).Serialize(session); err == nil {
		t.Error("JSON took a key that is no string")
	}
}
