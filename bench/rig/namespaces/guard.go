package namespaces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
dir=$1 pins=$2
shift 2
for name; do
	kill -s KILL $(ip netns pids "$name")
	ip netns del "$name"
done
rm -rf -- "$dir" "$pins"`

func startGuard(r *Rig) (*guard, error) {
	cmd := exec.Command("sh", append([]string{"-c", guarding, "sh", r.Dir(), r.Pins()}, r.names()...)...)
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

// folders are where rigs have files.
var folders = []string{os.TempDir(), bpffs}

// bpffs is where programs and maps of BPF are pinned.
const bpffs = "/sys/fs/bpf"

var (
	ours       = regexp.MustCompile(`^lvsession-(\d+)-\d+-[a-z0-9]+$`)
	oursFolder = regexp.MustCompile(`^lvsession-(\d+)-\d+$`)
)

// reap removes what processes that are no more have left behind, their guards with them.
func reap(ctx context.Context) {
	out, err := exec.CommandContext(ctx, "ip", "netns", "list").Output()
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); orphaned(ours, name) {
			remove(name)
		}
	}
	for _, folder := range folders {
		entries, _ := os.ReadDir(folder)
		for _, e := range entries {
			if orphaned(oursFolder, e.Name()) {
				os.RemoveAll(filepath.Join(folder, e.Name()))
			}
		}
	}
}

// orphaned tells whether a name is a rig's whose process is no more.
func orphaned(names *regexp.Regexp, name string) bool {
	match := names.FindStringSubmatch(name)
	if match == nil {
		return false
	}
	pid, err := strconv.Atoi(match[1])
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
