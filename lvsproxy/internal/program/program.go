// Package program runs the programs that a configuration names: external checks, fallback commands, callbacks. Each runs
// for a bounded time in a process group of its own, which ends with it, and what it prints is kept up to a bound.
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// maxOutput is how many bytes of a program's output are kept: the last ones.
	maxOutput = 4 << 10
	// grace is how long a program may take to end after SIGTERM, and those that it left behind to close its output.
	grace = time.Second
)

// Run is [Feed] without an input.
func Run(ctx context.Context, timeout time.Duration, path string, args ...string) (output string, err error) {
	return Feed(ctx, timeout, nil, path, args...)
}

// Feed runs a program without a shell and waits for its end. The environment is this process's own, and output and errors come back together, cut to their last 4 KiB. The error is nil only if the program ended by itself
// with status 0. When ctx ends or the time is up, the program's group gets SIGTERM, and SIGKILL a second later.
func Feed(ctx context.Context, timeout time.Duration, input []byte, path string, args ...string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var kept tail
	cmd.Stdout, cmd.Stderr = &kept, &kept
	if input != nil {
		cmd.Stdin = bytes.NewReader(input)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = grace
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	err = cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		// The group may have other members that ignored SIGTERM. With none left, this does nothing.
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	switch {
	case ctx.Err() != nil && cmd.Process != nil:
		err = fmt.Errorf("did not end within %v", timeout)
	case errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		err = nil // it left something running behind that holds its output open
	}
	return kept.String(), err
}

// LastLine returns the last line of an output that is not blank, at most 200 bytes of it.
func LastLine(output string) string {
	output = strings.TrimSpace(output)
	line := strings.TrimSpace(output[strings.LastIndexByte(output, '\n')+1:])
	return line[:min(len(line), 200)]
}

// tail keeps the last maxOutput bytes that were written to it.
type tail struct{ kept []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b[max(0, len(b)-maxOutput):]...)
	if over := len(t.kept) - maxOutput; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return string(bytes.ToValidUTF8(t.kept, []byte("?"))) }
