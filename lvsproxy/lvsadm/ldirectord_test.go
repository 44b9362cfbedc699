package lvsadm_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
	"github.com/lvsession/lvsession/lvsproxy/lvsadm"
)

// asIpvsadm is this test binary called by the name ipvsadm.
func asIpvsadm() {
	p := lvsadm.Program{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Resolver: config.SystemResolver{}, Names: lvsadm.SystemNames}
	os.Exit(p.Run(context.Background(), os.Args, os.Getenv))
}

// site is a web server with a name that can go away and come back at its address.
type site struct {
	t    *testing.T
	name string
	addr string

	mu     sync.Mutex
	server *http.Server
}

func startSite(t *testing.T, name, ip string) *site {
	s := &site{t: t, name: name, addr: ip + ":0"}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *site) start() {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprintf(w, "I am %s\n", s.name)
	})}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go server.Serve(l)
}

func (s *site) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.Close()
}

// reserve returns a VIP and what hands its socket to a dataplane, so that no other process can take the port before.
func reserve(t *testing.T) (vip string, inherit func(config.VirtualID) []*os.File) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	vip = l.Addr().String()
	return vip, func(id config.VirtualID) []*os.File {
		f, err := l.(*net.TCPListener).File()
		if id.Addr.String() != vip || err != nil {
			return nil
		}
		l.Close()
		return []*os.File{f}
	}
}

// safeBuffer takes what a process says while a test looks at it.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// startLdirectord runs Debian's ldirectord in the foreground, where it calls ./ipvsadm if there is one, and returns what ends
// it.
func startLdirectord(t *testing.T, admin, text string) (stop func()) {
	t.Helper()
	program := need.Program(t, "ldirectord", "ldirectord")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "ipvsadm")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "lvsadm-test.cf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	log := &safeBuffer{}
	cmd := exec.Command(program, "-d", file, "start")
	cmd.Dir = dir
	// A program with the race detector waits for a second before it exits, and ldirectord calls this one all the time.
	cmd.Env = append(os.Environ(), "LVSPROXY_ADMIN="+admin, "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	stop = sync.OnceFunc(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(patience):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-exited
		}
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("ldirectord:\n%s", log)
		}
	})
	return stop
}

// awaitTable waits until the director's table, as -L -n prints it without its first lines, is the wanted one.
func (d *director) awaitTable(want ...string) {
	d.t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		out, stderr, code := d.run("", "lvsadm", "-L", "-n")
		if code != 0 {
			d.t.Fatal(stderr)
		}
		got = nil
		for _, line := range strings.Split(strings.TrimSpace(out), "\n")[3:] {
			fields := strings.Fields(line) // without the connections: they come and go
			got = append(got, strings.Join(fields[:min(len(fields), 4)], " "))
		}
		if slices.Equal(got, want) {
			return
		}
		time.Sleep(50 * time.Millisecond) // nothing tells when a process of its own has edited the table
	}
	d.t.Fatalf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
}

// TestLdirectord: the real ldirectord, which knows nothing of lvsproxy, checks servers and edits the director's table
// through lvsadm under ipvsadm's name; the director carries the connections.
func TestLdirectord(t *testing.T) {
	for _, quiescent := range []string{"no", "yes"} {
		t.Run("quiescent="+quiescent, func(t *testing.T) {
			a, b, spare := startSite(t, "a", "127.0.0.2"), startSite(t, "b", "127.0.0.3"), startSite(t, "spare", "127.0.0.4")
			vip, inherit := reserve(t)
			d := startDirectorWith(t, "", userspace.New(userspace.Options{Inherit: inherit}))
			stop := startLdirectord(t, d.path, fmt.Sprintf(`checktimeout=2
negotiatetimeout=2
checkinterval=1
quiescent=%s
virtual=%s
	real=%s masq 3
	real=%s masq 2
	fallback=%s masq
	service=http
	scheduler=wrr
	protocol=tcp
	checktype=negotiate
	request="/"
	receive="I am"
`, quiescent, vip, a.addr, b.addr, spare.addr))
			service, inA, inB, inSpare := "TCP "+vip+" wrr", "-> "+a.addr+" Masq 3", "-> "+b.addr+" Masq 2", "-> "+spare.addr+" Masq 1"
			down := func(server string) []string {
				if quiescent == "yes" {
					return []string{strings.TrimRight(server, "0123456789") + "0"}
				}
				return nil
			}
			d.awaitTable(service, inA, inB)
			d.answers(vip, "a", "b")

			a.stop()
			d.awaitTable(slices.Concat([]string{service}, down(inA), []string{inB})...)
			d.answers(vip, "b")
			b.stop()
			d.awaitTable(slices.Concat([]string{service}, down(inA), down(inB), []string{inSpare})...)
			d.answers(vip, "spare")
			a.start()
			d.awaitTable(slices.Concat([]string{service, inA}, down(inB))...)
			d.answers(vip, "a")
			b.start()
			d.awaitTable(service, inA, inB)
			d.answers(vip, "a", "b")

			stop()
			d.awaitTable()
		})
	}
}

// answers checks who answers ten connections to the VIP.
func (d *director) answers(vip string, want ...string) {
	d.t.Helper()
	seen := map[string]bool{}
	for range 10 {
		conn, err := net.DialTimeout("tcp", vip, patience)
		if err != nil {
			d.t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "I am "); ok {
				seen[name] = true
			}
		}
		conn.Close()
	}
	got := make([]string, 0, len(seen))
	for name := range seen {
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		d.t.Errorf("%v answered, want %v", got, want)
	}
}
