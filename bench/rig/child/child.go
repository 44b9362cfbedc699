// Package child runs the servers that tests need as child processes which cannot outlive the test: they end with the
// program that started them, even when that is killed.
package child

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Process is a running child in a process group of its own.
type Process struct {
	pid  int
	done chan struct{}
	err  error
}

// Start starts the command. The kernel kills the child with SIGKILL when this program ends, however it ends.
func Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the parent-death signal when the *thread* that forked ends (prctl(2), PR_SET_PDEATHSIG), so
		// that thread must stay until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Kill kills the child and its group with SIGKILL and waits for its end. It may be called at any time, repeatedly.
func (p *Process) Kill() {
	if p.Alive() {
		syscall.Kill(-p.pid, syscall.SIGKILL) // an error means that it is gone already
	}
	<-p.done
}

// Signal sends a signal to the child alone.
func (p *Process) Signal(s syscall.Signal) error {
	if !p.Alive() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.pid, s)
}

// PID is the child's process id.
func (p *Process) PID() int { return p.pid }

// Alive tells whether the child still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the child ended, once Done is closed.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Tail returns the last lines of a log file, for error messages.
func Tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 16<<10 {
		f.Seek(-16<<10, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// Port returns a TCP port on 127.0.0.1 that was free just now and that no other call in this process got. It lies below
// the range of ephemeral ports, so that no outgoing connection takes it while its server is down.
func Port() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 200 {
		port := 10_000 + rand.N(22_000)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		ports.given[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("found no free port on 127.0.0.1 in 200 tries")
}

var ends struct {
	sync.Mutex
	ready bool
	list  []func()
}

// Main runs a package's tests and then ends what they shared, see [AtEnd]. Call it from TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(child.Main(m)) }
func Main(m *testing.M) int {
	ends.Lock()
	ends.ready = true
	ends.Unlock()
	code := m.Run()
	ends.Lock()
	list := ends.list
	ends.list = nil
	ends.Unlock()
	for i := len(list) - 1; i >= 0; i-- {
		list[i]()
	}
	return code
}

// AtEnd has [Main] call f after all tests. It fails the test where the package's TestMain does not call Main.
func AtEnd(t testing.TB, f func()) {
	t.Helper()
	ends.Lock()
	defer ends.Unlock()
	if !ends.ready {
		t.Fatal("this package's TestMain must call child.Main, which stops the servers that its tests share")
	}
	ends.list = append(ends.list, f)
}
