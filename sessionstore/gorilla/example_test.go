package gorilla_test

import (
	"context"
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
	"github.com/lvsession/lvsession/sessionstore/phpsession"
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

// A Go page that knows who logged in at the site's PHP pages.
func ExampleNewPHP() {
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil)
	if err != nil {
		log.Fatal(err)
	}
	site, err := svc.Namespace("site") // client.New, with the PHP pages' lvsession.namespace
	if err != nil {
		log.Fatal(err)
	}
	store, err := gorilla.NewPHP(site, phpsession.PHP)
	if err != nil {
		log.Fatal(err)
	}
	page := func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, gorilla.PHPCookie)
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		user, _ := session.Values["user"].(map[string]any) // $_SESSION['user']
		n, _ := session.Values["visits"].(int)
		session.Values["visits"] = n + 1
		if err := session.Save(r, w); err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "%v, visit %d", user["name"], n+1)
	}

	// What a PHP page did before.
	id := sessionstore.NewID()
	payload := []byte(`user|a:1:{s:4:"name";s:4:"anna";}visits|i:1;`)
	if _, err := site.Write(context.Background(), id, sessionstore.WriteOptions{Payload: payload}); err != nil {
		log.Fatal(err)
	}
	r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
	r.Header.Set("Cookie", "PHPSESSID="+id)
	page(w, r)
	fmt.Println(w.Body)
	stored, err := site.Read(context.Background(), id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", stored.Payload)
	// Output:
	// anna, visit 2
	// user|a:1:{s:4:"name";s:4:"anna";}visits|i:2;
}
