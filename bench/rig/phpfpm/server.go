package phpfpm

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
)

const (
	// HealthPath is a page that nginx answers with 200 and [HealthBody] by itself, for health checks.
	HealthPath = "/lvscheck.html"
	// HealthBody is what HealthPath holds. It matches the pattern C.* of the usual ldirectord.cf.
	HealthBody = "Check OK\n"

	pingPath  = "/php-fpm-ping" // answered by a php-fpm child, through nginx
	startTime = 20 * time.Second
	killTime  = 10 * time.Second
)

// Options say what a server serves.
type Options struct {
	// Addr is the address to listen on, with port 0 for any free one; "" means 127.0.0.1:0.
	Addr string
	// Root is the folder of the pages. A request for / gets Index.
	Root string
	// Index is the page for /; "" means counter.php.
	Index string
	// Env is the environment of the pages, all that getenv knows besides PATH.
	Env map[string]string
	// INI overrides settings of php.ini.
	INI map[string]string
	// Children is how many requests PHP works on at a time; 0 means 4.
	Children int
	// Within runs a function in the network namespace whose address Addr is; nil means this process's own. Only nginx's
	// socket is there: the pages speak to the network of this process.
	Within func(func() error) error
}

// Server is a running nginx with its php-fpm.
type Server struct {
	addr string
	dir  string
	cmd  *exec.Cmd

	life  io.Closer     // the processes end themselves once this end of their standard input is gone
	gone  *os.File      // reads EOF once the last of the processes is gone
	ended chan struct{} // closed once php-fpm's master has been waited for
	once  sync.Once
}

// Start starts a server and returns once PHP answers through it. The server ends with the test, and also if the test
// process dies; when the test failed, the logs of nginx and php-fpm are in its output. The test is skipped where nginx
// or php-fpm is not installed.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	programs, err := find()
	if err != nil {
		need.Skip(t, err.Error())
	}
	dir, err := os.MkdirTemp("", "phpfpm") // not t.TempDir: the path of a Unix socket must stay under 108 bytes
	if err != nil {
		t.Fatalf("make a folder for php-fpm: %v", err)
	}
	s, err := start(programs, dir, o.withDefaults())
	if err != nil {
		logs := logs(dir)
		os.RemoveAll(dir)
		t.Fatalf("start nginx and php-fpm: %v\n%s", err, logs)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("server %s:\n%s", s.addr, s.Logs())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the folder of php-fpm: %v", err)
		}
	})
	return s
}

// StartDir starts a server whose files lie in dir, which is empty and whose path is short enough for a Unix socket in it.
// The caller closes the server and then removes dir.
func StartDir(dir string, o Options) (*Server, error) {
	programs, err := find()
	if err != nil {
		return nil, err
	}
	s, err := start(programs, dir, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("start nginx and php-fpm: %w\n%s", err, logs(dir))
	}
	return s, nil
}

// Addr returns host and port that the server listens on.
func (s *Server) Addr() string { return s.addr }

// URL returns the address of a page, which begins with a slash.
func (s *Server) URL(page string) string { return "http://" + s.addr + page }

// Logs returns what nginx and php-fpm have logged.
func (s *Server) Logs() string { return logs(s.dir) }

// Kill ends all processes of the server with SIGKILL, as a power cut would, and returns once they are gone. The address
// is free then: Start can take it again.
func (s *Server) Kill() { s.Close() }

// Close ends the server like Kill. It may be called again.
func (s *Server) Close() {
	s.once.Do(func() {
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // ESRCH only says that they are gone already
		<-s.ended
		s.life.Close()
		s.gone.SetReadDeadline(time.Now().Add(killTime))
		io.Copy(io.Discard, s.gone)
		s.gone.Close()
	})
}

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Index == "" {
		o.Index = "counter.php"
	}
	if o.Children == 0 {
		o.Children = 4
	}
	if o.Within == nil {
		o.Within = func(f func() error) error { return f() }
	}
	return o
}

func start(p programs, dir string, o Options) (*Server, error) {
	var socket *os.File
	var addr string
	if err := o.Within(func() (err error) {
		socket, addr, err = listen(o.Addr)
		return err
	}); err != nil {
		return nil, err
	}
	s := &Server{addr: addr, dir: dir, ended: make(chan struct{})}
	err := writeConfig(p, dir, addr, o)
	if err == nil {
		err = s.run(p, socket, o)
	}
	socket.Close() // from here on it is nginx's alone
	if err != nil {
		return nil, err
	}
	if err := s.ready(o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// listen opens the socket that nginx will take over, so that a free port cannot be lost to someone else in between.
func listen(addr string) (*os.File, string, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, "", err
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, "", fmt.Errorf("hand the socket to nginx: %w", err)
	}
	return socket, listener.Addr().String(), nil
}

// near returns an address like this one, but of the loopback device where it is any of the machine's. A dialer would try two for
// that, in goroutines of its own, which are not within the namespace.
func near(addr string) string {
	a, err := netip.ParseAddrPort(addr)
	switch {
	case err != nil || !a.Addr().IsUnspecified():
		return addr
	case a.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port()).String()
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port()).String()
}

// run starts the processes, in a process group of their own.
func (s *Server) run(p programs, socket *os.File, o Options) error {
	gone, held, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer held.Close()
	s.cmd = p.command(s.dir, o)
	s.cmd.ExtraFiles = []*os.File{socket, held} // file descriptors 3 and 4
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := os.Create(filepath.Join(s.dir, outputLog))
	if err != nil {
		gone.Close()
		return fmt.Errorf("make a log: %w", err)
	}
	defer output.Close()
	s.cmd.Stdout, s.cmd.Stderr = output, output
	life, err := s.cmd.StdinPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		gone.Close()
		return fmt.Errorf("start the processes: %w", err)
	}
	s.life, s.gone = life, gone
	go func() {
		s.cmd.Wait() // how it ended says nothing: it is killed
		close(s.ended)
	}()
	return nil
}

// ready waits until PHP answers.
func (s *Server) ready(o Options) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	dial := func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = o.Within(func() (err error) {
			c, err = new(net.Dialer).DialContext(ctx, network, near(addr))
			return err
		})
		return c, err
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL(pingPath), nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(r)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("status %s", answer.Status)
		}
		select {
		case <-again.C:
		case <-s.ended:
			return fmt.Errorf("a process ended at once; last answer: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("no answer in %v: %w", startTime, err)
		}
	}
}
