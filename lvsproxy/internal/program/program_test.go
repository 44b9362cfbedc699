package program

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	tests := []struct{ script, output, err string }{
		{`echo "$1 $2"; echo more >&2`, "a b c\nmore\n", ""},
		{`exit 3`, "", "exit status 3"},
		{`kill -KILL $$`, "", "signal: killed"},
		{`sleep 60 & exit 0`, "", ""}, // holds the output open, and is not waited for
		{`sleep 60 & wait`, "", "did not end within 300ms"},
		{`trap "" TERM; while :; do sleep 0.01; done`, "", "did not end within 300ms"},
	}
	for _, tt := range tests {
		start := time.Now()
		timeout := 30 * time.Second
		if strings.HasPrefix(tt.err, "did not") {
			timeout = 300 * time.Millisecond
		}
		output, err := Run(t.Context(), timeout, "/bin/sh", "-c", tt.script, "sh", "a", "b c")
		if got := text(err); output != tt.output || got != tt.err {
			t.Errorf("%s: got %q, %q; want %q, %q", tt.script, output, got, tt.output, tt.err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", tt.script, took)
		}
	}
	if _, err := Run(t.Context(), time.Minute, "/no/such/program"); err == nil {
		t.Error("a program that is not there: no error")
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestGroup: what a program started ends with it when the time is up, or the context ends.
func TestGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, time.Minute, "/bin/sh", "-c", `sh -c 'trap "" TERM; echo $$ >'"$1"'.new; mv $1.new $1; while :; do sleep 0.01; done' sh $1`, "sh", file)
		done <- err
	}()
	var pid int
	for pid == 0 {
		if b, err := os.ReadFile(file); err == nil {
			pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("no error after the context ended")
	}
	for syscall.Kill(pid, 0) == nil { // until it is gone, and reaped
		if b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); strings.Contains(string(b), ") Z ") {
			break
		}
		time.Sleep(time.Millisecond)
	}
}

func TestTail(t *testing.T) {
	output, err := Run(t.Context(), time.Minute, "/bin/sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
	if err != nil || len(output) != maxOutput || LastLine(output) != "line 1999" {
		t.Errorf("got %d bytes, the last line %q, %v", len(output), LastLine(output), err)
	}
	if got := LastLine(strings.Repeat("x", 999) + "\n \n"); len(got) != 200 {
		t.Errorf("got a line of %d bytes", len(got))
	}
}
