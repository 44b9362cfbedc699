// Package sessiond builds the sessiond of this checkout and runs it as processes of their own, for measurements and tests
// from outside.
package sessiond

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
)

// Program is a built sessiond.
type Program struct {
	path string
	help string
}

// Build builds the program into dir. The working directory must lie in the checkout.
func Build(ctx context.Context, dir string) (*Program, error) { return build(ctx, dir, nil) }

// BuildAPI is [Build] with the NDB API, whose kit is found as package ndbcluster says.
func BuildAPI(ctx context.Context, dir string) (*Program, error) {
	env, err := ndbcluster.BuildEnv()
	if err != nil {
		return nil, err
	}
	return build(ctx, dir, env, "-tags", "ndbapi")
}

func build(ctx context.Context, dir string, env []string, flags ...string) (*Program, error) {
	p := &Program{path: filepath.Join(dir, "sessiond")}
	args := append([]string{"build", "-o", p.path}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/lvsession/lvsession/cmd/sessiond")...)
	cmd.Env = append(os.Environ(), env...)
	if _, err := output(cmd); err != nil {
		return nil, err
	}
	help, err := output(exec.CommandContext(ctx, p.path, "--help"))
	p.help = help
	return p, err
}

// Path returns where the program is.
func (p *Program) Path() string { return p.path }

// ApplySchema brings a database to the schema that the program needs. The options are those of schema apply beyond --dsn.
func (p *Program) ApplySchema(ctx context.Context, dsn string, options ...string) error {
	_, err := output(exec.CommandContext(ctx, p.path, append([]string{"schema", "apply", "--dsn", dsn}, options...)...))
	return err
}

// Knows tells whether the program has an option, such as "--redis".
func (p *Program) Knows(option string) bool { return strings.Contains(p.help, option+" ") }

func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
	}
	return string(out), nil
}

// Server is a running sessiond.
type Server struct {
	addr    string
	log     string
	process *child.Process
}

// Start starts a sessiond on a free port and returns once it is ready. Its log is the file log; args are what it is told
// beyond --http.
func (p *Program) Start(ctx context.Context, log string, args ...string) (*Server, error) {
	port, err := child.Port()
	if err != nil {
		return nil, err
	}
	s := &Server{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), log: log}
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd := exec.Command(p.path, append([]string{"--http", s.addr}, args...)...)
	cmd.Stdout, cmd.Stderr = file, file
	if s.process, err = child.Start(cmd); err != nil {
		return nil, err
	}
	if err := s.await(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("sessiond: %w\n%s", err, s.Tail())
	}
	return s, nil
}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	for s.process.Alive() && ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, "GET", s.URL()+"/readyz", nil)
		if err != nil {
			return err
		}
		if answer, err := transport.RoundTrip(req); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return errors.New("is not ready")
}

// Addr returns host and port of the HTTP face.
func (s *Server) Addr() string { return s.addr }

// URL is the address of the HTTP face.
func (s *Server) URL() string { return "http://" + s.addr }

// PID is the server's process id.
func (s *Server) PID() int { return s.process.PID() }

// Alive tells whether the server still runs.
func (s *Server) Alive() bool { return s.process.Alive() }

// Err is how a server that no longer runs has ended.
func (s *Server) Err() error { return s.process.Err() }

// Tail returns the end of the log.
func (s *Server) Tail() string { return child.Tail(s.log, 20) }

// Stop kills the server and waits until it is gone. It may be called again.
func (s *Server) Stop() { s.process.Kill() }
