package counterpage

import (
	"fmt"
	"net/http"

	"github.com/gorilla/sessions"
)

// The keys under which [Gorilla] keeps the visits in a session.
const (
	CountKey = "count"
	UserKey  = "user"
	// PayloadKey holds nothing unless vipbench asks for a payload.
	PayloadKey = "payload"
)

// Gorilla opens sessions of a gorilla/sessions store, under a cookie of this name. An error of the store is an error of
// the page, never a new visitor. The store must keep sessions under an id, as [sessions.CookieStore] does not.
func Gorilla(store sessions.Store, cookie string) Open {
	return func(w http.ResponseWriter, r *http.Request) (Session, error) {
		s, err := store.Get(r, cookie)
		if err != nil {
			return nil, fmt.Errorf("get session: %w", err)
		}
		return &gorillaSession{store, s, w, r}, nil
	}
}

type gorillaSession struct {
	store   sessions.Store
	session *sessions.Session
	w       http.ResponseWriter
	r       *http.Request
}

func (g *gorillaSession) Get() Visits {
	user, _ := g.session.Values[UserKey].(string)
	payload, _ := g.session.Values[PayloadKey].(string)
	return Visits{Count: whole(g.session.Values[CountKey]), User: user, Payload: payload}
}

// whole reads a number as the different codecs of stores return it.
func whole(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case int:
		return int64(n)
	case float64:
		return int64(n)
	}
	return 0
}

func (g *gorillaSession) Set(v Visits) {
	g.session.Values[CountKey] = v.Count
	g.session.Values[UserKey] = v.User
	if delete(g.session.Values, PayloadKey); v.Payload != "" {
		g.session.Values[PayloadKey] = v.Payload
	}
}

func (g *gorillaSession) Save() error { return g.session.Save(g.r, g.w) }
func (g *gorillaSession) ID() string  { return g.session.ID }

// Destroy implements [Destroyer]: a negative age is how gorilla/sessions ends a session.
func (g *gorillaSession) Destroy() error {
	age := g.session.Options.MaxAge
	g.session.Options.MaxAge = -1
	defer func() { g.session.Options.MaxAge = age }()
	return g.session.Save(g.r, g.w)
}

// Regenerate implements [Regenerator], for stores that can.
func (g *gorillaSession) Regenerate() error {
	s, able := g.store.(interface {
		Regenerate(*http.Request, http.ResponseWriter, *sessions.Session) error
	})
	if !able {
		return errUnable
	}
	return s.Regenerate(g.r, g.w, g.session)
}
