package scsstore_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/alexedwards/scs/v2"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/scsstore"
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
	manager := scs.New()
	manager.Store = scsstore.New(shop)

	server := httptest.NewServer(manager.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := manager.GetInt(r.Context(), "visits") + 1
		manager.Put(r.Context(), "visits", n)
		fmt.Fprintf(w, "visit %d", n)
	})))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Jar: jar, Transport: transport}
	for range 2 {
		res, err := browser.Get(server.URL)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(string(body))
	}
	// Output:
	// visit 1
	// visit 2
}
