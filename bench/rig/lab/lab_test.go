package main

import (
	"bufio"
	"context"
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
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd, commands := startLab(t)
			if len(commands) != 4 {
				t.Fatalf("the lab names the commands %q", commands)
			}
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
			dir := filepath.Dir(strings.Fields(commands[3])[2])
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); (err == nil) != (signal == syscall.SIGINT) {
				t.Errorf("the lab ended with %v", err)
			}
			for until := time.Now().Add(time.Minute); exists(dir) || strings.Contains(output(t, "ip netns list"), filepath.Base(dir)+"-"); {
				if time.Now().After(until) {
					t.Fatalf("left behind: %s, or of\n%s", dir, output(t, "ip netns list"))
				}
			}
		})
	}
}

// startLab starts a lab and returns the commands that it names.
func startLab(t *testing.T) (cmd *exec.Cmd, commands []string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
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
	err := run(t.Context(), options{dataplane: "userspace", config: config}, t.Output())
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
}
