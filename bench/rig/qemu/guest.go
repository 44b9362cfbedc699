package qemu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/bench/rig/qemu/internal/wire"
)

// ErrUnavailable says that this machine cannot run a guest, and what it lacks.
var ErrUnavailable = errors.New("no qemu guest here")

// ErrEnded says that the guest is no longer there.
var ErrEnded = errors.New("the guest ended")

// bootTimeout is generous: without KVM, on a busy machine, everything takes its time.
const bootTimeout = 3 * time.Minute

// Guest is a running machine. Its methods may be called at once.
type Guest struct {
	process *child.Process
	console *os.File
	hello   chan struct{}

	sending  sync.Mutex
	requests *os.File

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan<- wire.Response

	reading  sync.WaitGroup
	stopping sync.Once
}

// Start boots a guest for one test, or skips the test where the machine cannot run one.
func Start(t testing.TB) *Guest {
	t.Helper()
	for program, pkg := range map[string]string{"qemu-system-x86_64": "qemu-system-x86", "apt-get": "apt", "dpkg": "dpkg"} {
		need.Program(t, program, pkg)
	}
	g, err := Boot(t.Context())
	if errors.Is(err, ErrUnavailable) {
		need.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g
}

// Options are of a guest. The zero value is good.
type Options struct {
	// Counting has the guest's clock go on by one nanosecond with each instruction that its processor carries out, of which
	// there is one then: time that is measured in the guest is a count of instructions. While it has nothing to do its clock
	// runs ahead to the next timer.
	Counting bool
}

// processors are qemu's arguments.
func (o Options) processors() []string {
	if o.Counting {
		return []string{"-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1"}
	}
	return []string{"-accel", "tcg,thread=multi", "-smp", "2"}
}

// Boot boots a guest and returns once it takes commands. The caller stops it. The working directory must lie in the
// checkout, because the agent that runs in the guest is built of it.
func Boot(ctx context.Context) (*Guest, error) { return BootWith(ctx, Options{}) }

// BootWith is [Boot] with options.
func BootWith(ctx context.Context, o Options) (*Guest, error) {
	program, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return nil, fmt.Errorf("%w: qemu-system-x86_64 is not installed: apt-get install qemu-system-x86", ErrUnavailable)
	}
	image, err := findImage(ctx)
	if err != nil {
		return nil, err
	}
	initrd, err := withAgent(ctx, image.root)
	if err != nil {
		return nil, err
	}
	defer initrd.Close()
	g, err := start(program, image.kernel, initrd, o)
	if err != nil {
		return nil, err
	}
	if err := g.await(ctx); err != nil {
		g.Stop()
		return nil, err
	}
	return g, nil
}

// withAgent returns the root file system with the agent as its first process, in memory.
func withAgent(ctx context.Context, root string) (*os.File, error) {
	agent, err := Build(ctx, "github.com/lvsession/lvsession/bench/rig/qemu/init")
	if err != nil {
		return nil, err
	}
	initrd, err := memory("initrd")
	if err != nil {
		return nil, err
	}
	base, err := os.Open(root)
	if err == nil {
		_, err = io.Copy(initrd, base)
		base.Close()
	}
	if err == nil {
		archive := newCPIOWriter(initrd)
		archive.file("init", 0o755, agent)
		err = archive.close()
	}
	if err != nil {
		initrd.Close()
		return nil, err
	}
	return initrd, nil
}

// memory returns a file that exists only as long as somebody has it open.
func memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// start starts qemu. Its standard input and output are the port that the agent answers on.
func start(program, kernel string, initrd *os.File, o Options) (*Guest, error) {
	console, err := memory("console")
	if err != nil {
		return nil, err
	}
	stdin, requests, err := os.Pipe()
	if err != nil {
		console.Close()
		return nil, err
	}
	defer stdin.Close()
	responses, stdout, err := os.Pipe()
	if err != nil {
		console.Close()
		requests.Close()
		return nil, err
	}
	defer stdout.Close()

	cmd := exec.Command(program, append(o.processors(), "-cpu", "max", "-m", "1024", "-no-reboot",
		"-nodefaults", "-no-user-config", "-display", "none", "-kernel", kernel, "-initrd", "/dev/fd/3",
		"-append", "console=ttyS0 panic=-1 quiet loglevel=4",
		"-chardev", "file,id=console,path=/dev/fd/4,append=on", "-serial", "chardev:console",
		"-chardev", "stdio,id=agent,signal=off", "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=agent,name="+wire.Port)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, console
	cmd.ExtraFiles = []*os.File{initrd, console}
	g := &Guest{console: console, hello: make(chan struct{}), requests: requests, waiting: map[uint64]chan<- wire.Response{}}
	if g.process, err = child.Start(cmd); err != nil {
		console.Close()
		requests.Close()
		responses.Close()
		return nil, err
	}
	g.reading.Go(func() { g.read(responses) })
	return g, nil
}

func (g *Guest) await(ctx context.Context) error {
	timeout := time.NewTimer(bootTimeout)
	defer timeout.Stop()
	select {
	case <-g.hello:
		return nil
	case <-g.process.Done():
		return g.trouble(errors.Join(ErrEnded, g.process.Err()))
	case <-ctx.Done():
		return g.trouble(ctx.Err())
	case <-timeout.C:
		return g.trouble(fmt.Errorf("it did not boot within %v", bootTimeout))
	}
}

// trouble adds the console's last lines to an error.
func (g *Guest) trouble(err error) error {
	return fmt.Errorf("qemu guest: %w\n%s", err, child.Tail(fmt.Sprintf("/proc/self/fd/%d", g.console.Fd()), 20))
}

// read hands the agent's responses to those who wait for them, until qemu ends.
func (g *Guest) read(responses *os.File) {
	defer responses.Close()
	decoder := json.NewDecoder(bufio.NewReaderSize(responses, 1<<20))
	for {
		var r wire.Response
		if decoder.Decode(&r) != nil {
			return
		}
		if r.ID == wire.Hello {
			close(g.hello)
			continue
		}
		g.mu.Lock()
		waiting := g.waiting[r.ID]
		delete(g.waiting, r.ID)
		g.mu.Unlock()
		if waiting != nil {
			waiting <- r
		}
	}
}

// do sends a request and waits for its response.
func (g *Guest) do(ctx context.Context, r wire.Request) (wire.Response, error) {
	response := make(chan wire.Response, 1)
	g.mu.Lock()
	g.last++
	r.ID = g.last
	g.waiting[r.ID] = response
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.waiting, r.ID)
		g.mu.Unlock()
	}()
	if err := g.send(r); err != nil {
		return wire.Response{}, g.trouble(err)
	}
	select {
	case answer := <-response:
		if answer.Error != "" {
			return answer, errors.New(answer.Error)
		}
		return answer, nil
	case <-g.process.Done():
		return wire.Response{}, g.trouble(ErrEnded)
	case <-ctx.Done():
		return wire.Response{}, ctx.Err()
	}
}

func (g *Guest) send(r wire.Request) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	g.sending.Lock()
	defer g.sending.Unlock()
	if _, err := g.requests.Write(b); err != nil {
		return errors.Join(ErrEnded, err)
	}
	return nil
}

// Command is what [Guest.Run] runs.
type Command struct {
	// Args are the program, by path or by name, and its arguments.
	Args []string
	// Env is added to the environment, each NAME=value.
	Env   []string
	Stdin string
	// Dir is the working directory; / if empty.
	Dir string
	// Timeout is after which time the command is killed with its process group; a minute if 0.
	Timeout time.Duration
	// NewNet gives the command a network namespace of its own, in which not even lo is up. It ends with its last process.
	NewNet bool
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string // at most 16 MB each
	// Code is the exit code, or 128 and the number of the signal that ended the command.
	Code     int
	TimedOut bool
}

// Run runs a command and returns how it ended. An error says that it could not be run or did not end, never that it
// failed. When ctx ends first, the command goes on until its own timeout.
func (g *Guest) Run(ctx context.Context, c Command) (Result, error) {
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Dir == "" {
		c.Dir = "/"
	}
	r, err := g.do(ctx, wire.Request{Run: &wire.Run{Args: c.Args, Env: c.Env, Stdin: []byte(c.Stdin), Dir: c.Dir,
		Timeout: c.Timeout, NewNet: c.NewNet}})
	if err != nil {
		return Result{}, fmt.Errorf("run %q in the guest: %w", c.Args, err)
	}
	return Result{Stdout: string(r.Stdout), Stderr: string(r.Stderr), Code: r.Code, TimedOut: r.TimedOut}, nil
}

// Put writes a file in the guest, whose missing folders it makes.
func (g *Guest) Put(ctx context.Context, path string, mode os.FileMode, data []byte) error {
	if _, err := g.do(ctx, wire.Request{File: &wire.File{Path: path, Mode: uint32(mode.Perm()), Data: data}}); err != nil {
		return fmt.Errorf("write %s in the guest: %w", path, err)
	}
	return nil
}

// Install builds a command of this module and puts it into the guest's PATH, under its last name.
func (g *Guest) Install(ctx context.Context, pkg string) error {
	program, err := Build(ctx, pkg)
	if err != nil {
		return err
	}
	return g.Put(ctx, "/usr/local/bin/"+filepath.Base(pkg), 0o755, program)
}

// Build builds a command, given by its import path, without any libraries, so that it runs in any Linux.
func Build(ctx context.Context, pkg string) ([]byte, error) { return compile(ctx, "build", pkg) }

// compile has the go command make a program, statically.
func compile(ctx context.Context, command string, args ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", append([]string{command, "-trimpath", "-ldflags=-s -w", "-o", program}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go %s %v: %w: %s", command, args, err, bytes.TrimSpace(out))
	}
	return os.ReadFile(program)
}

// Inside reports whether this process is in a guest.
func Inside() bool { return os.Getenv(wire.Inside) != "" }

// Test builds the tests of a package of this module, runs those that a pattern of go test names in the guest, and fails with
// them. It returns what they have said. Nothing of what they need may be missing there, but Go and the checkout.
func (g *Guest) Test(t testing.TB, pkg, pattern string) string {
	t.Helper()
	began := time.Now()
	tests, err := compile(t.Context(), "test", "-c", pkg)
	if err != nil {
		t.Fatal(err)
	}
	program := "/srv/tests/" + filepath.Base(pkg)
	if err := g.Put(t.Context(), program, 0o755, tests); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: in the guest after %v", pkg, time.Since(began).Round(time.Millisecond))
	began = time.Now()
	r, err := g.Run(t.Context(), Command{
		Args: []string{program, "-test.v", "-test.run", pattern, "-test.timeout", testTimeout.String()},
		Env:  []string{need.NoSkip + "=1"}, Timeout: testTimeout + time.Minute, Dir: filepath.Dir(program),
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 || !strings.Contains(r.Stdout, "--- PASS") {
		t.Errorf("%s in the guest: exit code %d\n%s%s", pkg, r.Code, r.Stdout, r.Stderr)
	}
	t.Logf("%s: %s took %v", pkg, pattern, time.Since(began).Round(time.Millisecond))
	return r.Stdout
}

// testTimeout is how long the tests of one package may take in the guest, which has a tenth of its host's speed.
const testTimeout = 20 * time.Minute

// PID is qemu's process id.
func (g *Guest) PID() int { return g.process.PID() }

// Stop ends the guest at once and waits until it is gone. It may be called again.
func (g *Guest) Stop() {
	g.stopping.Do(func() {
		g.process.Kill()
		g.reading.Wait()
		g.requests.Close()
		g.console.Close()
	})
}
