// Package redis starts real Redis servers on loopback, by Debian's package redis-server, to measure against. Each has a
// folder, a port and a Unix socket of its own and never outlives the process that started it.
package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/peers"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// Fsync is Redis's appendfsync: when a change is on disk.
type Fsync string

// Values of Fsync.
const (
	Always   Fsync = "always"   // before it is acknowledged
	EverySec Fsync = "everysec" // within a second or two
)

// ErrNotInstalled says that there is no Redis on this machine, and how to get it.
var ErrNotInstalled = errors.New("redis-server is not installed: apt-get install redis-server")

// Server is a running Redis with an append-only file and otherwise Redis's defaults, as bench/peers has it.
type Server struct {
	dir     string
	port    int
	process *child.Process
}

// StartDir starts a server whose files lie in dir, which must exist, and returns once it answers. The path of dir must be
// short enough for a Unix socket in it. The caller stops the server and removes dir.
func StartDir(ctx context.Context, dir string, fsync Fsync) (*Server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, ErrNotInstalled
	}
	s := &Server{dir: dir}
	if s.port, err = child.Port(); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	conf := filepath.Join(dir, "redis.conf")
	settings := map[string]string{"Dir": dir, "Port": strconv.Itoa(s.port), "Fsync": string(fsync)}
	if err := peers.WriteFile(conf, "stores/redis.conf", settings); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, conf)
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = child.Start(cmd); err != nil {
		return nil, err
	}
	if err := s.await(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("redis-server: %w\n%s", err, child.Tail(log.Name(), 20))
	}
	return s, nil
}

// Start starts a server for one test, or skips the test where there is no Redis.
func Start(t testing.TB, fsync Fsync) *Server {
	t.Helper()
	need.Program(t, "redis-server", "redis-server")
	dir, err := os.MkdirTemp("", "redis-") // not t.TempDir(): its path may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := StartDir(t.Context(), dir, fsync)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("ended: %w", errors.Join(s.process.Err(), err))
		case <-ctx.Done():
			return fmt.Errorf("does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.Socket())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		err = fmt.Errorf("answered PING with %q", answer)
	}
	return err
}

// Addr returns host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Socket returns the path of the Unix socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, "socket") }

// PID is the server's process id.
func (s *Server) PID() int { return s.process.PID() }

// Stop kills the server and waits until it is gone. It may be called again.
func (s *Server) Stop() { s.process.Kill() }
