package main

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/gorilla/sessions"

	"github.com/lvsession/lvsession/bench/load/counterpage"
)

// page is the site of one web server: it counts the visits of a session, at / for people and at /count for vipbench.
func page(server string, store sessions.Store) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /count", counterpage.Handler(server, counterpage.Gorilla(store, "count")))
	mux.HandleFunc("GET /lvscheck", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "demo")
		if err != nil {
			unavailable(w, err)
			return
		}
		visits, _ := session.Values["visits"].(int)
		visits++
		session.Values["visits"] = visits
		if err := session.Save(r, w); err != nil {
			unavailable(w, err)
			return
		}
		answer(w, r, server, visits)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "demo")
		if err == nil {
			session.Options.MaxAge = -1
			err = session.Save(r, w)
		}
		if err != nil {
			unavailable(w, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	return mux
}

// document has no icon: a browser would fetch it through the director too, and so come back to the same server.
var document = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>lvsession demo</title>
<style>
body { font: 18px/1.5 system-ui, sans-serif; max-width: 34em; margin: 4em auto; padding: 0 1em; color: #222 }
h1 { font-weight: 600; font-size: 1.6em } b { color: #06c } button { font: inherit; padding: .3em 1em }
form { display: inline }
</style>
<h1>{{.Server}}: visit {{.Visits}}</h1>
<p>This answer came from <b>{{.Server}}</b>. It is visit <b>{{.Visits}}</b> of your session. Load the page again: the director
sends you to the other server, and the count goes on.
<p><form action="/"><button>Again</button></form> <form action="/logout" method="post"><button>Log out</button></form>
</html>
`))

// answer tells a browser in HTML and everyone else in a line of text. It closes the connection: the director balances
// connections, so a browser that kept its own would stay with one server.
func answer(w http.ResponseWriter, r *http.Request, server string, visits int) {
	w.Header().Set("Connection", "close")
	w.Header().Set("Cache-Control", "no-store")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		fmt.Fprintf(w, "%s: visit %d\n", server, visits)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	document.Execute(w, struct { // an error means that the browser is gone
		Server string
		Visits int
	}{server, visits})
}

func unavailable(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "the session cannot be had now: "+err.Error(), http.StatusServiceUnavailable)
}
