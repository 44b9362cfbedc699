package lvsproxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/alert"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// awaitFile waits until a file holds what a pattern asks for, and returns it.
func awaitFile(t testing.TB, path, pattern string) string {
	t.Helper()
	wanted := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		b, _ := os.ReadFile(path)
		if wanted.Match(b) {
			return string(b)
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q in %s:\n%s", pattern, path, b)
		}
	}
}

// TestStateFile: a restart neither marks all up nor all down: what is known goes on, and failurecount counts from there.
func TestStateFile(t *testing.T) {
	a, b := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b"))
	state := filepath.Join(t.TempDir(), "state")
	v := vips{}
	text := func(vip string) string {
		return fmt.Sprintf("failurecount=100000\nvirtual=%s\n\tchecktype=connect\n\treal=%s masq\n\treal=%s masq\n", vip, a.addr, b.addr)
	}
	b.kill()
	vip := v.add(t, "127.0.0.1")
	d := run(t, v, text(vip), lvsproxy.Options{StateFile: state})
	awaitFile(t, state, "down.*up|up.*down")
	d.stop()
	if !strings.Contains(awaitFile(t, state, "."), `"state":"up"`) {
		t.Fatal("the file is gone after the end")
	}

	// The one that was up is not there at the start, and the one that was down is: each has to prove it.
	a.kill()
	again := vips{}
	moved := again.add(t, "127.0.0.1")
	rewrite(t, state, vip, moved)
	d = run(t, again, text(moved), lvsproxy.Options{StateFile: state})
	if got, want := d.listed(), a.addr+"=1"; got != want {
		t.Errorf("after the restart, the table is %q, want %q", got, want)
	}
	if e := d.await(service.ServerUp, a.addr); e.Reason != "known from before the restart" {
		t.Errorf("got %+v", e)
	}
	b.start()
	d.await(service.ServerUp, b.addr)
	if got := d.listed(); !strings.Contains(got, a.addr) {
		t.Errorf("100,000 failures are not over, but the table is %q", got)
	}
	d.stop()
}

// rewrite puts another VIP into a state file.
func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), from, to)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStateFileOfNoUse: a file that is too old, damaged, of another version or not there counts for nothing.
func TestStateFileOfNoUse(t *testing.T) {
	a := startServer(t, "127.0.0.2", named("a"))
	old, _ := json.Marshal(time.Now().Add(-lvsproxy.StateMaxAge - time.Minute))
	future, _ := json.Marshal(time.Now().Add(lvsproxy.StateMaxAge + time.Minute))
	now, _ := json.Marshal(time.Now())
	for _, tt := range []struct{ content, why string }{
		{fmt.Sprintf(`{"version":1,"written":%s}`, old), "expected at most"},
		{fmt.Sprintf(`{"version":1,"written":%s}`, future), "expected at most"},
		{fmt.Sprintf(`{"version":9,"written":%s}`, now), "version 9"},
		{`{"version":1,"wri`, "unexpected EOF"},
		{"", "EOF"},
	} {
		state := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(state, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		v, log := vips{}, newLines()
		vip := v.add(t, "127.0.0.1")
		d := run(t, v, fmt.Sprintf("virtual=%s\n\tchecktype=connect\n\treal=%s masq\n", vip, a.addr),
			lvsproxy.Options{StateFile: state, Logger: slog.New(slog.NewTextHandler(log, nil))})
		log.await(t, tt.why)
		d.stop()
	}
}

// TestFallbackCommand: start when the last server goes, stop when the first is back, and each once.
func TestFallbackCommand(t *testing.T) {
	a, b := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b"))
	dir := t.TempDir()
	script, out := filepath.Join(dir, "command"), filepath.Join(dir, "out")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$@\" >>"+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	d := run(t, v, fmt.Sprintf("virtual=%s\n\tchecktype=connect\n\tfallbackcommand=%s one\n\treal=%s masq\n\treal=%s masq\n", vip, script, a.addr, b.addr), lvsproxy.Options{})
	awaitFile(t, out, "^one stop "+vip+" tcp\n$")
	a.kill()
	d.await(service.ServerDown, a.addr)
	b.kill()
	awaitFile(t, out, "^one stop .*\none start "+vip+" tcp\n$")
	b.start()
	awaitFile(t, out, "^one stop .*\none start .*\none stop "+vip+" tcp\n$")
	a.start()
	d.await(service.ServerUp, a.addr)
	d.stop()
	if got := strings.Count(awaitFile(t, out, "."), "\n"); got != 3 {
		t.Errorf("it ran %d times", got)
	}
}

// TestMonitorFile: each result makes a line of ldirectord's form, also after the file was moved away.
func TestMonitorFile(t *testing.T) {
	a := startServer(t, "127.0.0.2", named("a"))
	file := filepath.Join(t.TempDir(), "monitor")
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	run(t, v, fmt.Sprintf("virtual=%s\n\tchecktype=connect\n\tmonitorfile=%s\n\treal=%s masq 3\n", vip, file, a.addr), lvsproxy.Options{})
	ip, port, _ := strings.Cut(a.addr, ":")
	line := fmt.Sprintf(`(?m)^\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\] \[%d\] connect tcp %s %s 3 masq / \[`, os.Getpid(), ip, port)
	awaitFile(t, file, line+`up\] connected$`)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	a.kill()
	awaitFile(t, file, line+`down\] connect check: dial tcp .*connection refused$`)
}

// TestCallback: the program gets the path whenever the file changes, with autoreload or without.
func TestCallback(t *testing.T) {
	a := startServer(t, "127.0.0.2", named("a"))
	dir := t.TempDir()
	script, out, path := filepath.Join(dir, "callback"), filepath.Join(dir, "out"), filepath.Join(dir, "test.cf")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$@\" >>"+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	v := vips{}
	text := fmt.Sprintf("callback=\"%s\"\ncheckinterval=1\nvirtual=%s\n\tchecktype=connect\n\treal=%s masq\n", script, v.add(t, "127.0.0.1"), a.addr)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d := run(t, v, text, lvsproxy.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { d.Follow(ctx, path, config.SystemResolver{}, nil); close(done) }()
	defer func() { cancel(); <-done }()
	for n := 1; ; n++ { // until Follow has begun to look
		if err := os.WriteFile(path, []byte(text+strings.Repeat("#", n)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(out); len(b) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	awaitFile(t, out, "^"+path+"\n")
}

// TestAlerts: a webhook hears of all that happens, with what the director is doing; and nothing known is told again.
func TestAlerts(t *testing.T) {
	posts := make(chan alert.Post, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var p alert.Post
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
		}
		posts <- p
	}))
	defer hook.Close()
	next := func(kind service.EventKind, phase alert.Phase) {
		t.Helper()
		select {
		case p := <-posts:
			if p.Event != kind || p.Phase != phase {
				t.Errorf("got %+v, want %s while %s", p, kind, phase)
			}
		case <-time.After(patience):
			t.Fatalf("no %s while %s", kind, phase)
		}
	}
	a := startServer(t, "127.0.0.2", named("a"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	text := fmt.Sprintf("virtual=%s\n\tchecktype=connect\n\t#lvsproxy: webhook=%s\n\treal=%s masq\n", vip, hook.URL, a.addr)
	d := run(t, v, text, lvsproxy.Options{})
	next(service.ServiceAdded, alert.Starting)
	next(service.ServerUp, alert.Starting)
	a.kill()
	next(service.ServerDown, alert.Running)
	if err := d.Reload(parse(t, text+"\treal=127.0.0.9:1 masq\n")); err != nil {
		t.Fatal(err)
	}
	next(service.ServerAdded, alert.Reloading)
	next(service.ServerDown, alert.Running)
	d.stop()
	next(service.ServiceRemoved, alert.Stopping)
}
