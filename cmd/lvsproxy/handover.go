package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/lvsession/lvsession/lvsproxy/service"
)

// handover is a restart that nobody notices. On SIGUSR2 this process starts its program anew with the same arguments and
// gives it all its sockets. The new process reads the configuration, opens the services on those sockets, and checks the
// real servers, while this one goes on. As soon as the new one is ready this one takes no more, lets its connections
// finish, and ends. The sockets never close in between, so what waits in their queues is not lost. If the new process
// fails, this one goes on as if nothing had been.
type handover struct {
	log       *slog.Logger
	program   string
	dataplane service.Dataplane
	keep      func() error   // writes the state file, which the new process reads
	listeners []net.Listener // beside those of the dataplane
}

// handing is what a dataplane may be able to do: give copies of its sockets.
type handing interface {
	Sockets() ([]*os.File, error)
}

// programPath returns where this program is, now and after it was replaced by a newer one.
func programPath() string {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return os.Args[0]
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// run hands over whenever a signal asks for it, until that succeeds. It reports false if ctx ended before.
func (h *handover) run(ctx context.Context, asked <-chan os.Signal) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-asked:
		}
		err := h.once(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			h.log.Error("handover failed; going on as before", "error", err)
		}
	}
}

// once hands over, and returns nil once the new process is ready.
func (h *handover) once(ctx context.Context) error {
	files, err := h.files()
	defer closeFiles(files)
	if err != nil {
		return err
	}
	if err := h.keep(); err != nil {
		return err // what was changed by hand must not be undone by a restart
	}
	heard, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer heard.Close()
	cmd := exec.Command(h.program, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = append([]*os.File{tell}, files...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "LISTEN_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, envHandover+"="+strconv.Itoa(len(files)))
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // it ends after this process, as a rule
	h.log.Info("handing over", "sockets", len(files), "pid", cmd.Process.Pid)
	stop := context.AfterFunc(ctx, func() { heard.Close() })
	defer stop()
	if n, _ := heard.Read(make([]byte, 1)); n == 1 {
		h.log.Info("handed over", "pid", cmd.Process.Pid)
		return nil
	}
	if ctx.Err() != nil { // this process is to end, so nobody may take its place now
		cmd.Process.Signal(syscall.SIGTERM)
	}
	if err := <-ended; err != nil {
		return fmt.Errorf("the new process ended: %w", err)
	}
	return errors.New("the new process ended")
}

// files returns copies of all sockets.
func (h *handover) files() (files []*os.File, err error) {
	if d, ok := h.dataplane.(handing); ok {
		if files, err = d.Sockets(); err != nil {
			return files, err
		}
	}
	for _, l := range h.listeners {
		l, ok := l.(interface{ File() (*os.File, error) })
		if !ok {
			continue
		}
		f, err := l.File()
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// leave keeps this process from removing the files of sockets, and the services in the kernel, that are another's now.
func (h *handover) leave() {
	if leaver, ok := h.dataplane.(service.Leaver); ok {
		leaver.Leave()
	}
	for _, l := range h.listeners {
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
	}
}
