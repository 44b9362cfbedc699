package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/child"
)

// asDemo is set in the environment of a process of this test that is to be the demo.
const asDemo = "LVSESSION_TEST_DEMO"

func TestMain(m *testing.M) {
	if os.Getenv(asDemo) != "" {
		os.Args = []string{"demo", "--addr", "127.0.0.1:0"}
		main()
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2")) // sleeps for 10 s after its end
}

// screen is the program's output; url gets the VIP as soon as it is printed.
type screen struct {
	bytes.Buffer
	url chan string
}

func (s *screen) Write(p []byte) (int, error) {
	if rest, ok := strings.CutPrefix(string(p), "ready "); ok {
		url, _, _ := strings.Cut(rest, "\n")
		s.url <- url
	}
	return s.Buffer.Write(p)
}

// TestDemo does what the demo tells its user to try.
func TestDemo(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, ctrlC := context.WithCancel(t.Context())
	out := &screen{url: make(chan string, 1)}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"--addr", "127.0.0.1:0"}, out) }()
	var url string
	select {
	case url = <-out.url:
	case err := <-ended:
		t.Fatalf("ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("not ready within a minute")
	}
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar, Transport: &http.Transport{}}
	defer c.CloseIdleConnections()

	first := 0
	for visit := 1; visit <= 6; visit++ {
		var server, count int
		body := get(t, c, url)
		if _, err := fmt.Sscanf(body, "web%d: visit %d\n", &server, &count); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if visit == 1 {
			first = server
		}
		if want := (first-1+visit-1)%2 + 1; server != want || count != visit {
			t.Fatalf("visit %d came from web%d with count %d, want web%d", visit, server, count, want)
		}
	}
	result, err := load.Run(t.Context(), load.Config{URL: url + "count", Users: 10, Requests: 10}, nil)
	if err != nil || !result.Proven || result.Acknowledged != 100 || len(result.Shares) != 2 {
		t.Fatalf("vipbench: %+v, %v", result, err)
	}
	res, err := c.Post(url+"logout", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if !strings.HasSuffix(string(b), "visit 1\n") {
		t.Fatalf("after logging out: %q", b)
	}
	r, _ := http.NewRequest("GET", url, nil)
	r.Header.Set("Accept", "text/html")
	if res, err = c.Do(r); err != nil || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("as a browser: %v, %v", res, err)
	}
	res.Body.Close()

	ctrlC()
	if err := <-ended; err != nil {
		t.Fatalf("ended with %v", err)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDemoStandsStill: whatever piles up while the director and all behind it stand still for a second is answered well, refused, or not
// answered at all; no request loses what it asked for, or gets what is no page's answer.
func TestDemoStandsStill(t *testing.T) {
	for name, keep := range map[string]bool{"a connection a request": false, "connections kept": true} {
		t.Run(name, func(t *testing.T) {
			demo, url := demoProcess(t)
			c := load.Config{URL: url + "count", Users: 100, Rate: 200, Duration: 3 * time.Second, Timeout: 700 * time.Millisecond, AllowErrors: -1, KeepAlive: keep}
			for name, value := range map[string]string{
				"at": fmt.Sprintf("500ms+1s stop %d", demo.PID()), "mix": "visit=5,read=3,login=1,logout=1", "payload": "0-4k", "retries": "2",
			} {
				if err := c.Set(name, value); err != nil {
					t.Fatal(err)
				}
			}
			r, err := load.Run(t.Context(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.ViolationsTotal > 0 || r.Faults[0].Error != "" {
				t.Errorf("%s, %+v", r.Reason, r.Faults)
			}
			for _, e := range r.Errors {
				if e.Class == load.BadBody || e.Class == load.BadHTTP || strings.HasPrefix(string(e.Class), "http_4") {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// demoProcess is the demo in a process of its own, and the URL of its VIP.
func demoProcess(t *testing.T) (*child.Process, string) {
	t.Helper()
	out := &screen{url: make(chan string, 1)}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asDemo+"=1", "TMPDIR="+t.TempDir())
	cmd.Stdout, cmd.Stderr = struct{ io.Writer }{out}, t.Output() // not the buffer's ReadFrom
	demo, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(demo.Kill)
	var url string
	select {
	case url = <-out.url:
	case <-demo.Done():
		t.Fatal("the demo ended")
	case <-time.After(time.Minute):
		t.Fatal("not ready within a minute")
	}
	return demo, url
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, args := range map[string][]string{
		"address already in use": {"--addr", taken.Addr().String()},
		"--addr":                 {"--addr", "nowhere"},
		"not defined":            {"--frobnicate"},
		"not a directory":        {"--data", "/dev/null/x"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
