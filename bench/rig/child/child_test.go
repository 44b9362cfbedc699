package child

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A test process that is killed must take its children along, so the test starts itself as such a process.
func TestMain(m *testing.M) {
	if os.Getenv("CHILD_TEST_PARENT") != "" {
		p, err := Start(exec.Command("sleep", "600"))
		if err != nil {
			panic(err)
		}
		fmt.Println(p.pid)
		<-p.Done()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestKill(t *testing.T) {
	p, err := Start(exec.Command("sh", "-c", "sleep 600 & wait"))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Fatal("it does not run")
	}
	p.Kill()
	p.Kill()
	if p.Alive() || p.Err() == nil {
		t.Fatalf("after Kill: alive %v, %v", p.Alive(), p.Err())
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal to a dead child: %v", err)
	}
}

func TestStartOfNothing(t *testing.T) {
	if _, err := Start(exec.Command("/nonexistent/program")); err == nil {
		t.Fatal("no error")
	}
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHILD_TEST_PARENT=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the grandchild does not run: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for end := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(end) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the grandchild outlived its parent")
		}
		time.Sleep(time.Millisecond)
	}
}

// alive tells whether a process runs; a zombie that nobody has waited for does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestPort(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		p, err := Port()
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] || p < 10_000 || p >= 32_000 {
			t.Fatalf("port %d", p)
		}
		seen[p] = true
	}
}
