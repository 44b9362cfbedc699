package main

import (
	"fmt"
	"log/slog"
	"log/syslog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLogFile: the log also goes where logfile= says, to a new file once the old one was rotated, and a reload can move it.
func TestLogFile(t *testing.T) {
	dir := t.TempDir()
	conf, first, second := filepath.Join(dir, "x.cf"), filepath.Join(dir, "first.log"), filepath.Join(dir, "second.log")
	text := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	write(t, conf, fmt.Sprintf("logfile=%q\n", first))
	p := start(t, conf)
	p.await("msg=ready")
	if got := text(first); !strings.Contains(got, "msg=ready") {
		t.Errorf("%s has %q", first, got)
	}
	if err := os.Rename(first, first+".1"); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.await("configuration loaded")
	if got := text(first); !strings.Contains(got, "configuration loaded") || strings.Contains(got, "msg=ready") {
		t.Errorf("%s has %q after it was rotated", first, got)
	}
	write(t, conf, fmt.Sprintf("logfile=%q\n", second))
	p.signal(syscall.SIGHUP)
	p.await("configuration loaded")
	if got := text(second); strings.Count(got, "configuration loaded") != 1 {
		t.Errorf("%s has %q", second, got)
	}
	write(t, conf, fmt.Sprintf("logfile=%q\n", filepath.Join(dir, "absent", "x.log")))
	p.signal(syscall.SIGHUP)
	p.await("the log goes to standard error only")
	p.await("configuration loaded")
	p.signal(syscall.SIGTERM)
	if err := p.exit(); err != nil {
		t.Error(err)
	}
}

// TestSyslog: each line has the facility of logfile=, and the priority of its level.
func TestSyslog(t *testing.T) {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l := newLogFile(options{logFormat: "text", logLevel: slog.LevelDebug})
	l.dial = func(p syslog.Priority, tag string) (*syslog.Writer, error) {
		return syslog.Dial("unixgram", socket.LocalAddr().String(), p, tag)
	}
	defer l.set("")
	for facility, number := range map[string]int{"local0": 16, "LOCAL7": 23, "daemon": 3} {
		if err := l.set(facility); err != nil {
			t.Fatal(err)
		}
		log := slog.New(l.handler()).With("service", "web").WithGroup("server").With("name", "a")
		for level, priority := range map[slog.Level]int{slog.LevelDebug: 7, slog.LevelInfo: 6, slog.LevelWarn: 4, slog.LevelError: 3} {
			log.Log(t.Context(), level, "hello", "weight", 3)
			line := make([]byte, 1024)
			if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			n, err := socket.Read(line)
			if err != nil {
				t.Fatal(err)
			}
			got := string(line[:n])
			if want := fmt.Sprintf("<%d>", number*8+priority); !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %s", got, want)
			}
			if want := "lvsproxy["; !strings.Contains(got, want) || !strings.Contains(got, "msg=hello service=web server.name=a server.weight=3") {
				t.Errorf("got %q", got)
			}
		}
	}
	for _, wrong := range []string{"local9", "lvsproxy.log"} {
		if err := l.set(wrong); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("logfile=%s: %v", wrong, err)
		}
	}
	slog.New(l.handler()).Info("goes nowhere")
}
