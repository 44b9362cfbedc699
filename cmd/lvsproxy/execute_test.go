package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestExecute: the files that execute= names get directors of their own, which follow a reload and end with the first.
func TestExecute(t *testing.T) {
	server := echo(t, "127.0.0.2", "real")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	section := func(vip string) string {
		return fmt.Sprintf("virtual=%s\n\tchecktype=connect\n\treal=%s masq\n", vip, server.Addr())
	}
	one, two := freeAddr(t), freeAddr(t)
	write("one.cf", "execute=main.cf\n"+section(one)) // which must not start the first again
	write("conf/two.cf", section(two))
	main := write("main.cf", "execute=one.cf\n")
	p := start(t, main)
	started := p.await("execute: a director has started")
	p.await("it is executed by itself")
	awaitAnswer(t, one, "real")
	table, err := command("table", "--admin", strings.TrimSuffix(p.admin, ".sock")+".one.sock").Output()
	if err != nil || !strings.Contains(string(table), one) {
		t.Errorf("the table of the other: %v\n%s", err, table)
	}

	kill(t, started) // killed from outside, it comes again
	p.await("execute: a director has ended")
	awaitAnswer(t, one, "real")

	write("main.cf", "execute=\"two.cf\"\n")
	p.signal(syscall.SIGHUP)
	awaitAnswer(t, two, "real")
	awaitAnswer(t, one, "")
	p.signal(syscall.SIGTERM)
	if err := p.exit(); err != nil {
		t.Error(err)
	}
	if answer(two) != "" {
		t.Error("the other goes on after the end of the first")
	}
}

// kill kills the process whose id stands in a line of the log.
func kill(t *testing.T, line string) {
	t.Helper()
	m := regexp.MustCompile(`pid=(\d+)`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no process in %q", line)
	}
	pid, err := strconv.Atoi(m[1])
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// answer returns the first line that a server says, or nothing if it is not there.
func answer(addr string) string {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 100)
	n, _ := c.Read(b)
	return strings.TrimSpace(string(b[:n]))
}

func awaitAnswer(t *testing.T, addr, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); answer(addr) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s says %q, want %q", addr, answer(addr), want)
		}
	}
}

func TestExecutePath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.cf", "conf/a.cf", "conf/b.cf"} {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	here, err := filepath.Abs("c.cf")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.cf": filepath.Join(dir, "a.cf"), "b.cf": filepath.Join(dir, "conf/b.cf"), "c.cf": here, "/x/../d.cf": "/d.cf",
	} {
		if got := executePath(filepath.Join(dir, "main.cf"), name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// TestExecuteFails: a file of which there can be no director is logged.
func TestExecuteFails(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "a.cf")
	e := newExecutions(options{config: path}, &log, slog.New(slog.NewTextHandler(&log, nil)))
	e.set([]string{path})
	e.stop()
	e.wait()
	if !strings.Contains(log.String(), "executed by itself") {
		t.Errorf("the log is %s", log.String())
	}
}
