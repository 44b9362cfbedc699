package counterpage_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/gorilla/sessions"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/counterpage"
)

// The page proves a real gorilla store, one that keeps its sessions in files.
func TestGorilla(t *testing.T) {
	dir := t.TempDir()
	store := sessions.NewFilesystemStore(dir, []byte("a key of a test, and of nothing else"))
	server := httptest.NewServer(counterpage.Handler("web1", counterpage.Gorilla(store, "sid")))
	defer server.Close()
	r, err := load.Run(t.Context(), load.Config{URL: server.URL, Users: 10, Requests: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Proven || r.Acknowledged != 100 || r.Sessions != 10 {
		t.Errorf("%+v", r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "session_*"))
	if err != nil || len(files) != 11 { // one is the probe's
		t.Errorf("%d session files, %v", len(files), err)
	}
}

// A session that cannot be read is an error of the page, and must not turn its user into a new visitor.
func TestGorillaReportsErrors(t *testing.T) {
	dir := t.TempDir()
	store := sessions.NewFilesystemStore(dir, []byte("a key of a test, and of nothing else"))
	page := counterpage.Handler("web1", counterpage.Gorilla(store, "sid"))
	first := httptest.NewRecorder()
	page.ServeHTTP(first, httptest.NewRequest("GET", "/?user=u1", nil))
	if first.Code != 200 {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "session_*"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	again := httptest.NewRequest("GET", "/?user=u1", nil)
	again.AddCookie(first.Result().Cookies()[0])
	second := httptest.NewRecorder()
	page.ServeHTTP(second, again)
	if second.Code != 503 || second.Body.String() != "open session: failed\n" {
		t.Errorf("%d %s", second.Code, second.Body)
	}
}
