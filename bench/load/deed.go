package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds of what a fault runs.
const (
	deedTime   = time.Minute // for a command, from its start
	deedOutput = 4 << 10     // bytes kept of what it says
)

// deed is a built-in action of a fault.
type deed struct {
	target string // what the target is, for people
	do     func(ctx context.Context, target string) (output string, err error)
	undo   func(ctx context.Context, target string) (output string, err error) // nil if it cannot be undone
}

const (
	aProcess = "a process: its id, its name if no other has it, or the path of a file with the id"
	aLink    = "a link, such as eth0, or lb/eth0 in the network namespace lb"
)

// deeds are all actions by name.
var deeds = map[string]deed{
	"run":       {"a command for the shell", shell, nil},
	"kill":      {aProcess, signal(syscall.SIGKILL), nil},
	"term":      {aProcess, signal(syscall.SIGTERM), nil},
	"reload":    {aProcess, signal(syscall.SIGHUP), nil},
	"stop":      {aProcess, signal(syscall.SIGSTOP), signal(syscall.SIGCONT)},
	"cont":      {aProcess, signal(syscall.SIGCONT), nil},
	"link-down": {aLink, setLink("down"), setLink("up")},
	"link-up":   {aLink, setLink("up"), nil},
	"delay":     {aLink + ", and how long, such as eth0=50ms", delayLink, undelayLink},
	"no-delay":  {aLink, undelayLink, nil},
}

func actionNames() []string { return slices.Sorted(maps.Keys(deeds)) }

func shell(ctx context.Context, command string) (string, error) {
	return output(ctx, "/bin/sh", "-c", command)
}

// output runs a program with all that it starts in a group of its own, and returns the beginning of what it says. What the
// program leaves running goes on.
func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deedTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for what it left running with our end of its output
	var said firstBytes
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return strings.TrimSpace(strings.ToValidUTF8(said.String(), "?")), err
}

// firstBytes keeps the first bytes that are written.
type firstBytes struct{ bytes.Buffer }

func (f *firstBytes) Write(b []byte) (int, error) {
	f.Buffer.Write(b[:min(len(b), deedOutput-f.Len())])
	return len(b), nil
}

func signal(sig syscall.Signal) func(context.Context, string) (string, error) {
	return func(_ context.Context, target string) (string, error) {
		pid, err := findProcess(target)
		if err != nil {
			return "", err
		}
		if err := syscall.Kill(pid, sig); err != nil {
			return "", fmt.Errorf("signal process %d: %w", pid, err)
		}
		return "", nil
	}
}

// findProcess returns the id of a process that is named by its id, a file with its id, or its name.
func findProcess(target string) (int, error) {
	text := target
	if strings.Contains(target, "/") {
		b, err := os.ReadFile(target)
		if err != nil {
			return 0, err
		}
		text = strings.TrimSpace(string(b))
	}
	if pid, err := strconv.Atoi(text); err == nil {
		if pid < 2 || pid == os.Getpid() {
			return 0, fmt.Errorf("process %d is not to be signalled", pid)
		}
		return pid, nil
	}
	if text != target {
		return 0, fmt.Errorf("%s holds no process id", target)
	}
	return processNamed(target)
}

// processNamed returns the only process of that name.
func processNamed(name string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return 0, err
	}
	var found []int
	for _, f := range files {
		comm, err := os.ReadFile(f)
		if err != nil || strings.TrimSuffix(string(comm), "\n") != name {
			continue // a process that ended meanwhile
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			found = append(found, pid)
		}
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d processes are named %s: name one by its id or a file with it", len(found), name)
	}
	return found[0], nil
}

// linkArgs takes a link apart: options of ip and tc for its namespace, and its name.
func linkArgs(target string) (args []string, link string) {
	if namespace, link, found := strings.Cut(target, "/"); found {
		return []string{"-n", namespace}, link
	}
	return nil, target
}

func setLink(state string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, target string) (string, error) {
		args, link := linkArgs(target)
		return output(ctx, "ip", append(args, "link", "set", "dev", link, state)...)
	}
}

func delayLink(ctx context.Context, target string) (string, error) {
	target, by, found := strings.Cut(target, "=")
	d, err := time.ParseDuration(by)
	if !found || err != nil || d <= 0 {
		return "", errors.New("a delay needs a link and how long, such as eth0=50ms")
	}
	args, link := linkArgs(target)
	return output(ctx, "tc", append(args, "qdisc", "replace", "dev", link, "root", "netem", "delay", fmt.Sprintf("%dus", d.Microseconds()))...)
}

func undelayLink(ctx context.Context, target string) (string, error) {
	target, _, _ = strings.Cut(target, "=")
	args, link := linkArgs(target)
	return output(ctx, "tc", append(args, "qdisc", "del", "dev", link, "root")...)
}

// saboteur carries out the faults of a load, each at its time.
type saboteur struct {
	collector *collector
	wg        sync.WaitGroup
}

// start begins to wait for the faults' times. stop ends the waiting: no fault begins later, and what has to be undone is at once.
func (s *saboteur) start(stop context.Context) {
	for i, f := range s.collector.watch.faults { // nobody else uses them yet
		s.wg.Go(func() { s.fault(stop, i, f.FaultPlan) })
	}
}

func (s *saboteur) fault(stop context.Context, i int, p FaultPlan) {
	begin := s.collector.start.Add(time.Duration(p.At))
	if !sleep(stop, time.Until(begin)) {
		return
	}
	d := deeds[p.Action]
	s.collector.faultBegan(i, time.Now())
	ctx := context.WithoutCancel(stop) // a command that restarts something must not be cut in the middle
	said, err := d.do(ctx, p.Target)
	if p.For > 0 && err == nil {
		sleep(stop, time.Until(begin.Add(time.Duration(p.For))))
		more, failed := d.undo(ctx, p.Target)
		said, err = strings.TrimSpace(said+"\n"+more), errors.Join(err, failed)
	}
	s.collector.faultEnded(i, time.Now(), said, err)
}
