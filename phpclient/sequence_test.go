package phpclient_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/phpfpm"
)

// Scenarios: what the requests of one visitor do, one operation of tests/scripts/scenario.php each. "+" in front stands
// for a made-up id in the visitor's cookie.
var scenarios = []string{
	"write", "start", "+write", "+start",
	"write, start", "write, write, write", "write, not lazy",
	"write, write and close, start", "write, start again, start", "write, start while active, start",
	"write, regenerate, start", "write, regenerate and delete, start", "regenerate, start",
	"write, destroy, write", "write, destroy and begin anew, start", "destroy",
	"write, abort, start", "write, reset, start", "write, unset, start", "write, read and close, start", "read and close",
	"write, create id, start", "write, gc, start",
	"write, exit, start", "write, exception, start", "write, fatal error, start",
}

// adopted are the scenarios in which it counts that strict mode is off: PHP adopts any id then.
var adopted = []string{"+write", "+start", "write, start", "write, regenerate, start", "write, regenerate and delete, start"}

// comesBack are the scenarios in which an id is used again after its session was destroyed. Without strict mode PHP adopts
// it, and files know nothing of what was there; sessiond's tombstone refuses the write, so that a request in flight cannot
// bring a session back (docs/php.md says so). That is the one difference.
var comesBack = map[string]bool{"write, destroy, write": true, "write, destroy and begin anew, start": true}

// browser runs one request of a scenario and returns the page's answer and the session cookie, "" if it set none.
type browser func(t *testing.T, query url.Values, cookie string) (text, set string)

// seen is what a page of tests/scripts/scenario.php reports.
type seen struct {
	Version    string   `json:"version"`
	Calls      []string `json:"calls"`
	Results    []any    `json:"results"`
	Complaints []string `json:"complaints"`
	Session    any      `json:"session"`
	Status     int      `json:"status"`
	Kept       bool     `json:"kept"`
	Empty      bool     `json:"empty"`
	NewCookie  bool     `json:"-"`
}

// TestCallsAreThoseOfTheFilesHandler has real requests recorded, with PHP's files and with sessiond: PHP must call the
// same functions in the same order with the same outcome, and pages must see the same.
func TestCallsAreThoseOfTheFilesHandler(t *testing.T) {
	endpoint := startSessiond(t)
	t.Run("php-fpm", func(t *testing.T) {
		server := phpfpm.Start(t, phpfpm.Options{Root: "tests/scripts", Index: "scenario.php", Children: 1})
		compare(t, t.TempDir(), endpoint, scenarios, func(t *testing.T, query url.Values, cookie string) (text, set string) {
			return get(t, server.URL("/scenario.php?"+query.Encode()), cookie)
		})
	})
	wasm := startWasm(t, endpoint)
	for _, version := range []string{"7.4", "8.0", "8.1", "8.3", "8.4", "8.5"} {
		t.Run("WebAssembly "+version, func(t *testing.T) {
			compare(t, "/sessions", endpoint, adopted, func(t *testing.T, query url.Values, cookie string) (text, set string) {
				return wasm.run(t, version, "scenario.php", query.Encode(), cookie)
			})
			exchanges(t, version, func() string {
				text, _ := wasm.run(t, version, "exchanges.php", url.Values{"endpoints": {endpoint}}.Encode(), "")
				return text
			})
		})
	}
}

// compare runs all scenarios on both handlers in strict mode, and some without it.
func compare(t *testing.T, path, endpoint string, loose []string, run browser) {
	dependOn(t, ".", "../cmd/sessiond", "../sessionstore")
	for _, scenario := range scenarios {
		for _, strict := range []string{"1", "0"} {
			if strict == "0" && (comesBack[scenario] || !slices.Contains(loose, scenario)) {
				continue
			}
			query := url.Values{"strict": {strict}, "path": {path}, "endpoints": {endpoint}}
			query.Set("handler", "files")
			files := play(t, run, scenario, query)
			query.Set("handler", "ours")
			ours := play(t, run, scenario, query)
			for i := range files {
				if len(files[i].Calls) < 3 {
					t.Fatalf("%s: PHP called little, so this compares nothing: %s", scenario, show(files[i]))
				}
				if !reflect.DeepEqual(files[i], ours[i]) {
					t.Errorf("%s, strict mode %s, request %d:\nfiles %s\nours  %s", scenario, strict, i+1, show(files[i]), show(ours[i]))
				}
			}
		}
	}
}

// exchanges checks the client itself, over real sockets.
func exchanges(t *testing.T, version string, run func() string) {
	t.Helper()
	text := run()
	_, report, _ := strings.Cut(text, "\n{")
	var s seen
	if err := json.Unmarshal([]byte("{"+report), &s); err != nil {
		t.Fatalf("the page answers %q", text)
	}
	want := []string{
		"open: none", "write: 1", "open: as written", "write: 2", "write: conflict", "write: destroyed", "away: unavailable",
	}
	if !strings.HasPrefix(s.Version, version) || !slices.Equal(s.Calls, want) || len(s.Complaints) > 0 {
		t.Errorf("over a socket: %s", show(s))
	}
}

// play runs a scenario for a new visitor.
func play(t *testing.T, run browser, scenario string, query url.Values) (all []seen) {
	t.Helper()
	cookie := ""
	for op := range strings.SplitSeq(scenario, ", ") {
		if made, ok := strings.CutPrefix(op, "+"); ok {
			// Each handler gets one of its own, as each begins with no such session.
			op, cookie = made, fmt.Sprintf("PHPSESSID=%s%d%s", strings.Repeat("a", 20), cookies.next(), query.Get("handler"))
		}
		query.Set("op", op)
		text, set := run(t, query, cookie)
		_, report, _ := strings.Cut(text, "\n{")
		var s seen
		if err := json.Unmarshal([]byte("{"+report), &s); err != nil {
			t.Fatalf("%s, %s: the page answers %q", scenario, query.Get("handler"), text)
		}
		if set != "" {
			s.NewCookie, cookie = set != cookie, set
		}
		all = append(all, s)
	}
	return all
}

// counter counts.
type counter int

func (c *counter) next() int {
	*c++
	return int(*c)
}

var cookies counter

func show(s seen) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// get requests a page.
func get(t *testing.T, address, cookie string) (text, set string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != "" {
		request.Header.Set("Cookie", cookie)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), sessionCookie(answer.Header["Set-Cookie"])
}

// sessionCookie returns the session cookie that a page leaves in the browser: of several the last counts.
func sessionCookie(set []string) string {
	for i := len(set) - 1; i >= 0; i-- {
		if pair, _, _ := strings.Cut(set[i], ";"); strings.HasPrefix(pair, "PHPSESSID=") {
			return pair
		}
	}
	return ""
}

// packageDir is the folder of the PHP package.
func packageDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Clean(dir)
}
