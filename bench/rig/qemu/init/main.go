// Command init is the first process in the guest of package qemu, and the agent that runs what the host asks for.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/qemu/internal/wire"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		fatal(serve())
	}
	fatal(boot())
}

// fatal says on the console why the guest ends. The first process's end is a panic of the kernel, which ends qemu.
func fatal(err error) {
	fmt.Println("init:", err)
	os.Exit(1)
}

// boot makes the machine ready, starts the agent and reaps orphans for as long as it lives.
func boot() error {
	if err := errors.Join(mountAll(), loadModules()); err != nil {
		return err
	}
	os.Setenv("PATH", "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin")
	os.Setenv("HOME", "/root")
	os.Setenv("LC_ALL", "C")
	os.Setenv(wire.Inside, "1")
	if err := os.MkdirAll("/usr/local/bin", 0o755); err != nil {
		return err
	}
	if err := exec.Command("/bin/busybox", "--install", "-s", "/usr/local/bin").Run(); err != nil {
		return fmt.Errorf("install busybox: %w", err)
	}
	if err := os.Remove("/usr/local/bin/ip"); err != nil { // busybox's knows no namespaces; iproute2's is in the image too
		return err
	}
	if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	agent := exec.Command("/init", "agent")
	agent.Stdout, agent.Stderr = os.Stdout, os.Stderr
	if err := agent.Start(); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == nil && pid == agent.Process.Pid {
			return fmt.Errorf("the agent ended: exit code %d, signal %d", status.ExitStatus(), status.Signal())
		}
	}
}

func mountAll() error {
	var errs []error
	for _, m := range []struct{ kind, on string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
		{"bpf", "/sys/fs/bpf"},
	} {
		if err := unix.Mount(m.kind, m.on, m.kind, 0, ""); err != nil {
			errs = append(errs, fmt.Errorf("mount %s: %w", m.on, err))
		}
	}
	return errors.Join(errs...)
}

// loadModules loads the files in the order that the image says.
func loadModules() error {
	order, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(order)) {
		f, err := os.Open("/modules/" + name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return os.RemoveAll("/modules")
}

// openPort opens the virtio port of the name that the host knows it by.
func openPort() (*os.File, error) {
	for range 500 { // the driver finds its ports a moment after it was loaded
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, file := range names {
			name, err := os.ReadFile(file)
			if err == nil && strings.TrimSpace(string(name)) == wire.Port {
				device := "/dev/" + filepath.Base(filepath.Dir(file))
				return os.OpenFile(device, os.O_RDWR, 0)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.New("there is no virtio port " + wire.Port)
}

// serve does what the host asks for, each request on a goroutine of its own.
func serve() error {
	port, err := openPort()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	answers := bufio.NewWriterSize(port, 64<<10)
	answer := func(r wire.Response) {
		mu.Lock()
		defer mu.Unlock()
		if err := errors.Join(json.NewEncoder(answers).Encode(r), answers.Flush()); err != nil {
			fatal(err)
		}
	}
	answer(wire.Response{ID: wire.Hello})
	requests := json.NewDecoder(bufio.NewReaderSize(port, 1<<20))
	for {
		var r wire.Request
		if err := requests.Decode(&r); err != nil {
			return fmt.Errorf("read the host's request: %w", err)
		}
		go func() { answer(do(r)) }()
	}
}

func do(r wire.Request) wire.Response {
	response := wire.Response{}
	var err error
	if r.File != nil {
		err = write(r.File)
	}
	if err == nil && r.Run != nil {
		response, err = run(r.Run)
	}
	if err != nil {
		response.Error = err.Error()
	}
	response.ID = r.ID
	return response
}

// write replaces the file in one step, so that a running program can be replaced as well.
func write(f *wire.File) error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	part := f.Path + ".part"
	if err := os.WriteFile(part, f.Data, 0o600); err != nil {
		return err
	}
	return errors.Join(os.Chmod(part, os.FileMode(f.Mode)), os.Rename(part, f.Path))
}

// outputLimit is how much of each output of a command reaches the host.
const outputLimit = 16 << 20

func run(r *wire.Run) (wire.Response, error) {
	program, err := exec.LookPath(r.Args[0])
	if err != nil {
		return wire.Response{}, err
	}
	var stdout, stderr limited
	cmd := &exec.Cmd{Path: program, Args: r.Args, Dir: r.Dir, Stdin: bytes.NewReader(r.Stdin), Stdout: &stdout, Stderr: &stderr,
		Env: append(os.Environ(), r.Env...), WaitDelay: time.Second, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if r.NewNet {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	if err := cmd.Start(); err != nil {
		return wire.Response{}, err
	}
	timer := time.AfterFunc(r.Timeout, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err = cmd.Wait()
	timedOut := !timer.Stop()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return wire.Response{}, err
	}
	return wire.Response{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Code: code(cmd.ProcessState), TimedOut: timedOut}, nil
}

func code(state *os.ProcessState) int {
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// limited is a buffer that swallows what comes after outputLimit bytes.
type limited struct{ bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	if room := outputLimit - l.Len(); room > 0 {
		l.Buffer.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

var _ io.Writer = (*limited)(nil)
