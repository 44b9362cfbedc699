package gorilla_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/client"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// The one line that changes in a program that used sessions.NewFilesystemStore or redistore.NewRediStore.
func Example() {
	// In production, over one sessiond or several:
	//	shop, err := client.New([]string{"http://10.0.0.5:7080", "http://10.0.0.6:7080"}, "shop", client.Options{})
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil)
	if err != nil {
		log.Fatal(err)
	}
	shop, err := svc.Namespace("shop")
	if err != nil {
		log.Fatal(err)
	}
	store := gorilla.New(shop, []byte("a secret of 32 bytes, from a file"[:32]))

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "sid")
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		n, _ := session.Values["visits"].(int)
		session.Values["visits"] = n + 1
		if err := session.Save(r, w); err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "visit %d", n+1)
	}))
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

// A program on another machine than sessiond.
func ExampleNew_remote() {
	shop, err := client.New([]string{"http://10.0.0.5:7080", "http://10.0.0.6:7080"}, "shop", client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	store := gorilla.New(shop, []byte("a secret of 32 bytes, from a file"[:32]))
	store.MaxAge(86400) // a day, for the cookie and in the store
	http.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "sid")
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		session.Values["user"] = "alice" // after checking the password
		if err := store.Regenerate(r, w, session); err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
		}
	})
}
