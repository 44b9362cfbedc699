package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// asProgram makes this test binary behave as the lab.
const asProgram = "LAB_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestLab: what the lab prints works as it stands there, and however the lab ends, nothing is left of it.
func TestLab(t *testing.T) {
	need.Program(t, "nginx", "nginx-light")
	need.Program(t, "curl", "curl")
	namespaces.Need(t).Stop() // or skip
	need.Program(t, "keepalived", "keepalived")
	for _, tt := range []struct {
		signal    syscall.Signal
		directors int
		dataplane string
	}{
		{syscall.SIGINT, 1, "userspace"}, {syscall.SIGKILL, 2, "userspace"}, {syscall.SIGINT, 2, "ebpf"}, {syscall.SIGKILL, 1, "ebpf"},
	} {
		t.Run(fmt.Sprintf("%s, %d directors, %v", tt.dataplane, tt.directors, tt.signal), func(t *testing.T) {
			cmd, commands := startLab(t, "--directors", fmt.Sprint(tt.directors), "--dataplane", tt.dataplane)
			if len(commands) != 3+tt.directors {
				t.Fatalf("the lab names the commands %q", commands)
			}
			eventually(t, "the VIP is there", func() bool { return exec.Command("sh", "-c", commands[0]).Run() == nil })
			seen := map[string]bool{}
			for range 2 {
				for _, command := range commands[:2] {
					seen[output(t, command)] = true
				}
			}
			if len(seen) != 2 || !seen["real1\n"] || !seen["real2\n"] {
				t.Errorf("through the VIP answer %v", seen)
			}
			if table := output(t, commands[2]); !strings.Contains(table, namespaces.VIP+":80 rr") {
				t.Errorf("%s:\n%s", commands[2], table)
			}
			dir := filepath.Dir(strings.Fields(commands[len(commands)-1])[2])
			if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); (err == nil) != (tt.signal == syscall.SIGINT) {
				t.Errorf("the lab ended with %v", err)
			}
			eventually(t, "nothing is left", func() bool {
				return !exists(dir) && !exists("/sys/fs/bpf/"+filepath.Base(dir)) && !strings.Contains(output(t, "ip netns list"), filepath.Base(dir)+"-")
			})
		})
	}
}

// startLab starts a lab and returns the commands that it names.
func startLab(t *testing.T, args ...string) (cmd *exec.Cmd, commands []string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		for _, begins := range []string{"ip netns exec", "/", "tail"} {
			if strings.HasPrefix(line, begins) {
				commands = append(commands, line)
			}
		}
		if strings.HasPrefix(line, "tail") {
			break
		}
	}
	return cmd, commands
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !f(); time.Sleep(10 * time.Millisecond) { // between two looks
		if time.Now().After(until) {
			t.Fatalf("not in a minute: %s", what)
		}
	}
}

func output(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestFailure: a lab whose director cannot run says why.
func TestFailure(t *testing.T) {
	need.Program(t, "nginx", "nginx-light")
	namespaces.Need(t).Stop()
	config := filepath.Join(t.TempDir(), "broken.cf")
	if err := os.WriteFile(config, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), options{dataplane: "userspace", config: config, directors: 1}, t.Output())
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
}
