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
)

// Program is a built sessiond.
type Program struct {
	path string
	help string
}

// Build builds the program into dir. The working directory must lie in the checkout.
func Build(ctx context.Context, dir string) (*Program, error) {
	p := &Program{path: filepath.Join(dir, "sessiond")}
	if _, err := p.output(ctx, "go", "build", "-o", p.path, "github.com/lvsession/lvsession/cmd/sessiond"); err != nil {
		return nil, err
	}
	help, err := p.output(ctx, p.path, "--help")
	p.help = help
	return p, err
}

// ApplySchema brings a database to the schema that the program needs.
func (p *Program) ApplySchema(ctx context.Context, dsn string) error {
	_, err := p.output(ctx, p.path, "schema", "apply", "--dsn", dsn)
	return err
}

// Knows tells whether the program has an option, such as "--redis".
func (p *Program) Knows(option string) bool { return strings.Contains(p.help, option+" ") }

func (p *Program) output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out)
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

// Tail returns the end of the log.
func (s *Server) Tail() string { return child.Tail(s.log, 20) }

// Stop kills the server and waits until it is gone. It may be called again.
func (s *Server) Stop() { s.process.Kill() }
