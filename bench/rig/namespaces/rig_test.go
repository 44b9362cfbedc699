package namespaces

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func namespaces(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestRig: every host reaches those that it must, and nothing is left behind.
func TestRig(t *testing.T) {
	r := Need(t)
	for _, tt := range []struct {
		from Host
		to   string
	}{{Client, VIP}, {Director, ClientIP}, {Director, Real1IP}, {Director, Real2IP}, {Client, Real1IP}, {Client, Real2IP}, {Real1, GatewayIP}} {
		if out, err := r.Command(t.Context(), tt.from, "bash", "-c", "exec 3<>/dev/tcp/"+tt.to+"/9").CombinedOutput(); err == nil || !strings.Contains(string(out), "refused") {
			t.Errorf("from %s to %s: %s; want an answer, which is a refusal", tt.from, tt.to, out)
		}
	}
	r.Stop()
	if left := namespaces(t); strings.Contains(left, r.prefix) {
		t.Errorf("left behind:\n%s", left)
	}
}

// TestReap: a rig that was killed is cleared away by the next one.
func TestReap(t *testing.T) {
	if os.Getenv("NAMESPACES_TEST_LEAVE") != "" { // as the process that is killed
		if _, err := Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		os.Exit(0) // without Stop
	}
	first := Need(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestReap$")
	cmd.Env = append(os.Environ(), "NAMESPACES_TEST_LEAVE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	prefix := strings.Split(first.prefix, "-")[0] + "-" + strconv.Itoa(cmd.Process.Pid) + "-"
	if !strings.Contains(namespaces(t), prefix) {
		t.Fatal("nothing was left behind to be cleared away")
	}
	Need(t)
	if left := namespaces(t); strings.Contains(left, prefix) || !strings.Contains(left, first.prefix) {
		t.Errorf("after another rig has started:\n%s", left)
	}
}
