package phpfpm_test

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// ownIP is the address of all that listens here. On 127.0.0.1 a load test of another package may have every port in use.
const ownIP = "127.0.77.1"

// sessiondPath is the program under test, built once for all tests.
var sessiondPath string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "phpfpm-test")
	if err != nil {
		panic(err)
	}
	sessiondPath = filepath.Join(dir, "sessiond")
	build := exec.Command("go", "build", "-o", sessiondPath, "github.com/lvsession/lvsession/cmd/sessiond")
	if text, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build sessiond: %v\n%s", err, text)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// dependOnChildren makes the go command see that a test depends on files which only its child processes read: it would
// take an old result from its cache otherwise.
func dependOnChildren(t testing.TB) {
	t.Helper()
	for _, dir := range []string{"testdata", phpclient, "../../../cmd/sessiond", "../../../sessionstore"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sessiond is a running sessiond on the embedded store.
type sessiond struct {
	t    testing.TB
	addr string
	data string
	kill func() // returns once the process is gone
}

// startSessiond starts a sessiond on a free port and returns once it is ready.
func startSessiond(t testing.TB) *sessiond {
	t.Helper()
	dependOnChildren(t)
	s := &sessiond{t: t, addr: freeAddr(t), data: t.TempDir(), kill: func() {}}
	t.Cleanup(func() { s.kill() })
	s.start()
	return s
}

func (s *sessiond) url() string { return "http://" + s.addr }

// start starts the process, again after kill.
func (s *sessiond) start() {
	s.t.Helper()
	cmd := exec.Command(sessiondPath, "--http", s.addr, "--store", "embedded", "--data", s.data, "--log-level", "WARN")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the signal comes when the thread that started the process ends
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("start sessiond: %v", err)
	}
	s.kill = func() {
		cmd.Process.Kill()
		<-ended
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(20 * time.Second)
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		answer, err := client.Get(s.url() + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("status %s", answer.Status)
		}
		select {
		case <-again.C:
		case <-ended:
			s.t.Fatalf("sessiond ended at once")
		case <-deadline:
			s.t.Fatalf("sessiond is not ready: %v", err)
		}
	}
}

// header returns a header of the session as the HTTP API gives it.
func (s *sessiond) header(id, name string) string {
	s.t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(s.url() + "/v1/default/sessions/" + id)
	if err != nil {
		s.t.Fatalf("read the session: %v", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("read the session: status %s", answer.Status)
	}
	return answer.Header.Get(name)
}

// freeAddr returns an address of ownIP on which nobody listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", ownIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
