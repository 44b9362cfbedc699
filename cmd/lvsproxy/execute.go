package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// executed is the environment variable that names the files whose directors this one was started by, joined by line feeds.
// It keeps a file from executing itself for ever.
const executed = "LVSPROXY_EXECUTED_BY"

// executions are the directors of the files that execute= names: each a process of its own with the same options, as with
// ldirectord, whose admin socket and state file lie beside this one's. They end with this process, however it ends.
type executions struct {
	options options
	stderr  io.Writer
	log     *slog.Logger
	wg      sync.WaitGroup

	mu      sync.Mutex
	ended   bool
	ending  chan struct{}         // closed with ended
	running map[string]*execution // by path
}

// startAgain is how long after its end a director that was not told to end is started again.
const startAgain = 2 * time.Second

// execution is one of them.
type execution struct {
	process *os.Process
	done    chan struct{}
}

func newExecutions(o options, stderr io.Writer, log *slog.Logger) *executions {
	return &executions{options: o, stderr: stderr, log: log, ending: make(chan struct{}), running: map[string]*execution{}}
}

// set has exactly the directors of these files running. Those that run already read their files again. One that ends by
// itself is started again; what cannot be started at all is logged, and tried again the next time.
func (e *executions) set(files []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return
	}
	wanted := map[string]bool{}
	for _, f := range files {
		path := executePath(e.options.config, f)
		wanted[path] = true
		if running := e.running[path]; running != nil && running.signal(syscall.SIGHUP) {
			continue
		}
		if err := e.start(path); err != nil {
			e.log.Error("execute: no director for this file", "file", path, "error", err)
		}
	}
	for path, running := range e.running {
		if !wanted[path] {
			running.signal(syscall.SIGTERM)
			delete(e.running, path)
		}
	}
}

// stop tells all of them to end, and starts no more. wait waits for that.
func (e *executions) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return
	}
	e.ended = true
	close(e.ending)
	for _, running := range e.running {
		running.signal(syscall.SIGTERM)
	}
}

func (e *executions) wait() { e.wg.Wait() }

// signal reports whether the process was there to get it.
func (x *execution) signal(s syscall.Signal) bool {
	select {
	case <-x.done:
		return false
	default:
		return x.process.Signal(s) == nil
	}
}

func (e *executions) start(path string) error {
	self, err := filepath.Abs(e.options.config)
	if err != nil {
		return err
	}
	by := append(strings.Split(os.Getenv(executed), "\n"), self)
	if slices.Contains(by, path) {
		return fmt.Errorf("it is executed by itself")
	}
	cmd := exec.Command(programPath())
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "NOTIFY_SOCKET=") }) // it is ours to notify
	cmd.Env = append(env, e.options.executing(path).lines()...)
	cmd.Env = append(cmd.Env, executed+"="+strings.Join(by, "\n"))
	cmd.Stderr = e.stderr
	// A group of its own: what a terminal sends to this process's group is passed on by stop, once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	x := &execution{done: make(chan struct{})}
	started := make(chan error)
	e.wg.Go(func() {
		// The kernel sends the parent-death signal when the thread that forked ends, see prctl(2).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		x.process = cmd.Process
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		close(x.done)
		e.log.Info("execute: a director has ended", "file", path, "status", err)
		e.restart(path, x)
	})
	if err := <-started; err != nil {
		return err
	}
	e.running[path] = x
	e.log.Info("execute: a director has started", "file", path, "pid", x.process.Pid, "admin", e.options.executing(path).admin)
	return nil
}

// restart starts a director again that has ended though nobody told it to.
func (e *executions) restart(path string, x *execution) {
	select {
	case <-e.ending:
		return
	case <-time.After(startAgain):
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || e.running[path] != x {
		return
	}
	if err := e.start(path); err != nil {
		e.log.Error("execute: no director for this file", "file", path, "error", err)
	}
}

// executePath finds a file that execute= names: as it is if it is absolute, or else beside the file that names it, or in
// the folder conf there; ldirectord looks in /etc/ha.d and /etc/ha.d/conf.
func executePath(config, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	dir := filepath.Dir(config)
	for _, path := range []string{filepath.Join(dir, name), filepath.Join(dir, "conf", name)} {
		if abs, err := filepath.Abs(path); err == nil {
			if info, err := os.Stat(abs); err == nil && info.Mode().IsRegular() {
				return abs
			}
		}
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return abs
}

// executing returns the options of the director of another file. Its metrics are those of its admin socket alone.
func (o options) executing(path string) options {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if o.admin != noAdmin {
		o.admin = strings.TrimSuffix(o.admin, ".sock") + "." + name + ".sock"
	}
	if o.stateFile != "" && o.stateFile != noState {
		o.stateFile += "." + name
	}
	o.config, o.metrics = path, ""
	return o
}
