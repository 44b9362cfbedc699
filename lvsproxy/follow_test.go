package lvsproxy_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// lines is a log that a test reads while it is written.
type lines struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func newLines() *lines { return &lines{wrote: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *lines) await(t testing.TB, part string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		text := l.text.String()
		l.mu.Unlock()
		if strings.Contains(text, part) {
			return
		}
		select {
		case <-l.wrote:
		case <-timeout:
			t.Fatalf("no %q in the log:\n%s", part, text)
		}
	}
}

// count returns how often the log has a part.
func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func TestFollow(t *testing.T) {
	a, b := startServer(t, "127.0.0.2", named("a")), startServer(t, "127.0.0.3", named("b"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	path := filepath.Join(t.TempDir(), "ldirectord.cf")
	write := func(text string) {
		t.Helper()
		// By a rename, as editors do, so that the file is never read half written.
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	const header = "autoreload=yes\ncheckinterval=1\n"
	first := header + section(vip, "checktype=on", "real="+a.addr+" masq")
	write(first)
	log := newLines()
	d := run(t, v, first, lvsproxy.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	reload := make(chan os.Signal, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Follow(ctx, path, config.SystemResolver{}, reload)
	}()
	defer func() { cancel(); <-done }()

	write(header + section(vip, "checktype=on", "real="+a.addr+" masq", "nonsense=1"))
	reload <- os.Interrupt
	log.await(t, path+`:7: unknown directive`)
	if got := sequence(t, vip, 2); got != "aa" {
		t.Errorf("after a bad file: %s", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	reload <- os.Interrupt
	log.await(t, "no such file")

	write(header + section(vip, "checktype=on", "real="+b.addr+" masq")) // found by itself, within a second
	d.await(service.ServerRemoved, a.addr)
	d.await(service.ServerUp, b.addr)
	if got := sequence(t, vip, 2); got != "bb" {
		t.Errorf("after the file changed: %s", got)
	}
}

// TestCallbackWithoutReload: the callback is run when the content has changed, whether the file is loaded or not.
func TestCallbackWithoutReload(t *testing.T) {
	a := startServer(t, "127.0.0.2", named("a"))
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	dir := t.TempDir()
	path, program := filepath.Join(dir, "ldirectord.cf"), filepath.Join(dir, "callback")
	text := "checkinterval=1\ncallback=\"" + program + "\"\n" + section(vip, "checktype=on", "real="+a.addr+" masq")
	replace := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	replace(path, text, 0o600)
	replace(program, "#!/bin/sh\necho called with $1\n", 0o700)
	log := newLines()
	d := run(t, v, text, lvsproxy.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	reload := make(chan os.Signal)
	go func() {
		defer close(done)
		d.Follow(ctx, path, config.SystemResolver{}, reload)
	}()
	defer func() { cancel(); <-done }()
	reload <- os.Interrupt // Follow has seen the file as it is
	log.await(t, "configuration loaded")

	replace(path, text+"# changed\n", 0o600)
	log.await(t, "called with "+path)
	replace(program, "#!/bin/sh\nexit 3\n", 0o700)
	replace(path, text+"# changed again\n", 0o600)
	log.await(t, "exit status 3")
	if got := log.count("configuration loaded"); got != 1 {
		t.Errorf("loaded %d times, want once: there is no autoreload", got)
	}
}
