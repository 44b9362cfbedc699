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
)

// Gorilla opens sessions of a gorilla/sessions store, under a cookie of this name. An error of the store is an error of
// the page, never a new visitor. The store must keep sessions under an id, as [sessions.CookieStore] does not.
func Gorilla(store sessions.Store, cookie string) Open {
	return func(w http.ResponseWriter, r *http.Request) (Session, error) {
		s, err := store.Get(r, cookie)
		if err != nil {
			return nil, fmt.Errorf("get session: %w", err)
		}
		return &gorillaSession{s, w, r}, nil
	}
}

type gorillaSession struct {
	session *sessions.Session
	w       http.ResponseWriter
	r       *http.Request
}

func (g *gorillaSession) Get() Visits {
	user, _ := g.session.Values[UserKey].(string)
	return Visits{Count: whole(g.session.Values[CountKey]), User: user}
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
}

func (g *gorillaSession) Save() error { return g.session.Save(g.r, g.w) }
func (g *gorillaSession) ID() string  { return g.session.ID }
