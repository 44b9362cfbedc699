package middleware_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/middleware"
	"github.com/lvsession/lvsession/sessionstore/phpsession"
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

// A Go page that knows who logged in at the site's PHP pages, and adds to their cart.
func Example_php() {
	svc, err := sessionstore.NewService(memory.New(nil), sessionstore.DefaultPolicy(), nil)
	if err != nil {
		log.Fatal(err)
	}
	site, err := svc.Namespace("site") // client.New, with the PHP pages' lvsession.namespace
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := middleware.New(site, middleware.Options{
		Format:      phpsession.PHP,   // the PHP pages' session.serialize_handler
		Concurrency: middleware.Lease, // wait for each other, as PHP pages do
	})
	if err != nil {
		log.Fatal(err)
	}
	page := sessions.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := middleware.Get(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		var user struct {
			Name string `php:"name"`
		}
		if _, err := session.Get("user", &user); err != nil {
			http.Error(w, "please log in again", http.StatusInternalServerError)
			return
		}
		err = session.PHP(func(values *phpsession.Array) error {
			n, _ := values.GetInt("cart", "17")
			return values.Set(n+1, "cart", "17") // $_SESSION['cart'][17]++
		})
		if err != nil {
			http.Error(w, "please try again", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "in your cart, %s", user.Name)
	}))

	// What a PHP page did before.
	id := sessionstore.NewID()
	payload := []byte(`user|O:4:"User":1:{s:4:"name";s:4:"anna";}cart|a:1:{i:17;i:2;}`)
	if _, err := site.Write(context.Background(), id, sessionstore.WriteOptions{Payload: payload}); err != nil {
		log.Fatal(err)
	}
	r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
	r.Header.Set("Cookie", "PHPSESSID="+id)
	page.ServeHTTP(w, r)
	fmt.Println(w.Body)
	stored, err := site.Read(context.Background(), id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", stored.Payload)
	// Output:
	// in your cart, anna
	// user|O:4:"User":1:{s:4:"name";s:4:"anna";}cart|a:1:{i:17;i:3;}
}
