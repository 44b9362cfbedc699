package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/load/counterpage"
	"github.com/lvsession/lvsession/sessionstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session is a session in memory.
type session struct {
	w      http.ResponseWriter
	id     string
	visits counterpage.Visits
	store  *sync.Map
	forget bool
}

func (s *session) Get() counterpage.Visits  { return s.visits }
func (s *session) Set(v counterpage.Visits) { s.visits = v }
func (s *session) ID() string               { return s.id }
func (s *session) Save() error {
	http.SetCookie(s.w, &http.Cookie{Name: "sid", Value: s.id, Path: "/"})
	if !s.forget || s.visits.Count < 3 {
		s.store.Store(s.id, s.visits)
	}
	return nil
}

// serve starts a counter page. If it is forgetful it counts to 2 only.
func serve(t *testing.T, forgetful bool) string {
	var store sync.Map
	server := httptest.NewServer(counterpage.Handler("web1", func(w http.ResponseWriter, r *http.Request) (counterpage.Session, error) {
		s := &session{w: w, id: sessionstore.NewID(), store: &store, forget: forgetful}
		if c, err := r.Cookie("sid"); err == nil {
			if v, found := store.Load(c.Value); found {
				s.id, s.visits = c.Value, v.(counterpage.Visits)
			}
		}
		return s, nil
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// call runs the command without a terminal.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = vipbench(t.Context(), args, &out, &err, nil)
	return status, out.String(), err.String()
}

func TestExitStatus(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + l.Addr().String() + "/"
	l.Close()
	good, bad := serve(t, false), serve(t, true)
	tests := []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"proven", []string{"--users", "4", "--requests", "5", good}, 0, "PROVEN: 4 sessions, 20 acknowledged", ""},
		{"violated", []string{"--users", "4", "--requests", "5", bad}, 1, "NOT PROVEN: 8 violations", ""},
		{"errors", []string{"--users", "1", "--requests", "2", "--no-probe", dead}, 1, "NOT PROVEN: 2 errors, 0 allowed", ""},
		{"nothing shown", []string{"--users", "1", "--requests", "2", "--allow-errors", "-1", "--no-probe", dead}, 1, "no request was acknowledged", ""},
		{"unreachable", []string{"--retry-wait", "1ms", dead}, 3, "", "refused"},
		{"no URL", nil, 2, "", "one URL is needed"},
		{"two URLs", []string{good, good}, 2, "", "one URL is needed"},
		{"unknown option", []string{"--nonsense", good}, 2, "", "nonsense"},
		{"no users", []string{"--users", "0", good}, 2, "", "users: must be"},
		{"bad weights", []string{"--weights", "web1", good}, 2, "", "is not name=weight"},
		{"weight twice", []string{"--weights", "web1=1,web1=2", good}, 2, "", "two weights"},
		{"weight without number", []string{"--weights", "web1=x", good}, 2, "", "not a whole number"},
		{"ftp", []string{"ftp://127.0.0.1/"}, 2, "", "http://"},
		{"no scenario", []string{"--scenario", "testdata/none"}, 2, "", "no such file"},
		{"scenario", []string{"--scenario", "testdata/scenario", "--requests", "5", good}, 0, "PROVEN: 4 sessions, 20 acknowledged", ""},
		{"scenario without URL", []string{"--scenario", "testdata/scenario"}, 2, "", "one URL is needed"},
		{"help", []string{"--help"}, 0, "", "Exit status:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := call(t, tt.args...)
			if status != tt.status || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s", status, tt.status, stdout, stderr)
			}
		})
	}
}

// The manual's scenario is one.
func TestManualsScenario(t *testing.T) {
	manual, err := os.ReadFile("../../docs/engineer.md")
	if err != nil {
		t.Fatal(err)
	}
	_, scenario, _ := strings.Cut(string(manual), "```\nname ")
	scenario, _, found := strings.Cut(scenario, "```")
	if !found {
		t.Fatal("the manual has no scenario")
	}
	c, err := load.ReadScenario(strings.NewReader("name " + scenario))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Defaults().Check(); err != nil || len(c.Phases) != 3 || c.Mix.Read != 37 {
		t.Errorf("%v: %+v", err, c)
	}
}

func TestFault(t *testing.T) {
	status, stdout, stderr := call(t, "--users", "2", "--rate", "50", "--duration", "600ms", "--at", "100ms run echo broken", "--quiet", serve(t, false))
	if status != 0 || !strings.Contains(stdout, "run echo broken") || !strings.Contains(stdout, "not felt") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	if status, _, stderr := call(t, "--at", "100ms explode it", "http://127.0.0.1/"); status != 2 || !strings.Contains(stderr, "no action") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, err bytes.Buffer
	if status := vipbench(ctx, []string{serve(t, false)}, &out, &err, nil); status != exitInterrupted {
		t.Errorf("status %d: %s", status, err.String())
	}
}

func TestJSON(t *testing.T) {
	status, stdout, stderr := call(t, "--users", "3", "--requests", "4", "--weights", "web1=2,web2=0", "--json", "--quiet", serve(t, false))
	var r load.Result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if status != 0 || stderr != "" || !r.Proven || r.Acknowledged != 12 || len(r.Shares) != 2 || r.Config.Weights["web1"] != 2 || r.Config.Concurrency != 3 {
		t.Errorf("status %d, %s%+v", status, stderr, r)
	}
}

// Every option has its line in the manual, and the manual has no other.
func TestManualIsComplete(t *testing.T) {
	manual, err := os.ReadFile("../../docs/engineer.md")
	if err != nil {
		t.Fatal(err)
	}
	_, _, help := call(t, "--help")
	inHelp := regexp.MustCompile(`(?m)^  (--[a-z-]+)`).FindAllStringSubmatch(help, -1)
	inManual := regexp.MustCompile("(?m)^\\| `(--[a-z-]+)").FindAllStringSubmatch(string(manual), -1)
	names := func(matches [][]string) (names []string) {
		for _, m := range matches {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return names
	}
	if h, m := names(inHelp), names(inManual); len(h) != 32 || !slices.Equal(h, m) {
		t.Errorf("the help has %v, the manual %v", h, m)
	}
}
