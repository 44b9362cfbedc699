package middleware_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/middleware"
)

func Example() {
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil)
	if err != nil {
		log.Fatal(err)
	}
	shop, err := svc.Namespace("shop") // or client.New, for a remote sessiond
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := middleware.New(shop, middleware.Options{Concurrency: middleware.Lease})
	if err != nil {
		log.Fatal(err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := middleware.Get(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		var visits int
		if _, err := session.Get("visits", &visits); err != nil {
			http.Error(w, "please log in again", http.StatusInternalServerError)
			return
		}
		visits++
		if err := session.Set("visits", visits); err != nil {
			http.Error(w, "please try again", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "visit %d", visits) // stored by the time the visitor reads this
	})
	server := httptest.NewServer(sessions.Wrap(page))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	for range 3 {
		resp, err := browser.Get(server.URL)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(string(body))
	}
	// Output:
	// visit 1
	// visit 2
	// visit 3
}
