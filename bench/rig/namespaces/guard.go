package namespaces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// guard is a process that removes the network when this one is no more.
type guard struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// A guard reads until this process's end of the pipe is gone; a terminal's Ctrl-C does not reach it.
const guarding = `trap '' HUP INT TERM
read -r end
for name; do
	kill -s KILL $(ip netns pids "$name")
	ip netns del "$name"
done`

func startGuard(names []string) (*guard, error) {
	cmd := exec.Command("sh", append([]string{"-c", guarding, "sh"}, names...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the rig's guard: %w", err)
	}
	return &guard{cmd, stdin}, nil
}

func (g *guard) stop() {
	if g == nil {
		return
	}
	g.stdin.Close()
	g.cmd.Wait() // it says nothing: what it would remove is gone already
}

// remove kills what runs in a namespace and removes it. With the namespace its devices go, and their other ends.
func remove(name string) {
	out, _ := exec.Command("ip", "netns", "pids", name).Output() // an error means that it is not there
	for _, field := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil && pid != os.Getpid() { // a thread of ours may be there, see Do
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	exec.Command("ip", "netns", "del", name).Run()
}

var ours = regexp.MustCompile(`^lvsession-(\d+)-\d+-[a-z0-9]+$`)

// reap removes what processes that are no more have left behind, their guards with them.
func reap(ctx context.Context) {
	out, err := exec.CommandContext(ctx, "ip", "netns", "list").Output()
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		match := ours.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		if pid, err := strconv.Atoi(match[1]); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			remove(name)
		}
	}
}
