package httpapi_test

import (
	"strings"
	"testing"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// TestSubject: what Session-Subject names reaches the store as its hash, and nothing tells it back.
func TestSubject(t *testing.T) {
	store := memory.New(nil)
	f := start(t, store, httpapi.Options{}, nil)
	path := "/v1/shop/sessions/" + strings.Repeat("a", 22)
	f.want(f.do("PUT", path, "x", "Session-Subject", "Zo%C3%AB%20%2F%0D%0A"), 204, "")
	f.want(f.do("PUT", path, "y"), 204, "")
	a := f.do("GET", path, "")
	f.want(a, 200, "y")
	for name, values := range a.Header {
		if strings.Contains(strings.ToLower(name), "subject") {
			t.Errorf("the answer tells %s: %q", name, values)
		}
	}
	got, err := store.Walk(t.Context(), sessionstore.Walk{Limit: 10, Subject: sessionstore.NewSubject("shop", "Zoë /\r\n")})
	if err != nil || len(got.Sessions) != 1 || got.Sessions[0].Namespace != "shop" {
		t.Errorf("found %+v, %v", got, err)
	}
	for _, wrong := range []string{"%zz", strings.Repeat("x", sessionstore.MaxSubjectLength+1)} {
		a := f.do("PUT", path, "z", "Session-Subject", wrong)
		f.refused(a, 400, "invalid")
		if strings.Contains(a.body, wrong) {
			t.Errorf("the error tells the subject: %s", a.body)
		}
	}
}
