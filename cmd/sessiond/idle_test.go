package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// TestIdleClients bounds what sessiond needs for 10,000 clients that keep their connections and say nothing.
func TestIdleClients(t *testing.T) {
	const clients, limit = 10_000, 150 // MiB
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < clients+500 {
		need.Skip(t, fmt.Sprintf("%d files may be open, 10,500 are needed: ulimit -n 16384", files.Cur))
	}
	program := filepath.Join(t.TempDir(), "sessiond") // not the test binary: the race detector needs memory of its own
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	d := startProgram(t, program, "--data", t.TempDir())
	addr := strings.TrimPrefix(d.url, "http://")
	conns := make([]net.Conn, clients)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		conns[i] = c
		path := fmt.Sprintf("/v1/shop/sessions/%052d", i)
		if status := exchange(t, c, "PUT "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"+strings.Repeat("x", 2000)); status != 204 {
			t.Fatalf("connection %d: %d", i, status)
		}
	}
	got := resident(t, d)
	t.Logf("%d idle clients: %d MiB resident", clients, got)
	if got >= limit {
		t.Errorf("%d MiB resident, the limit is %d", got, limit)
	}
	for _, i := range []int{0, clients / 2, clients - 1} {
		if status := exchange(t, conns[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); status != 200 {
			t.Errorf("connection %d is no good any more: %d", i, status)
		}
	}
}

func exchange(t *testing.T, c net.Conn, request string) (status int) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// resident returns the process's resident memory in MiB.
func resident(t *testing.T, d *daemon) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}
