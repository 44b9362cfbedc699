package namespaces

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func namespaces(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// left says what there is of a rig.
func left(t *testing.T, prefix string) string {
	t.Helper()
	text := ""
	for line := range strings.Lines(namespaces(t)) {
		if strings.HasPrefix(line, prefix) {
			text += line
		}
	}
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(folder, strings.TrimSuffix(prefix, "-")))
		if err != nil {
			t.Fatal(err)
		}
		text += strings.Join(paths, "\n")
	}
	return text
}

// TestRig: every host reaches those that it must, and nothing is left behind.
func TestRig(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options Options
		reach   map[Host][]string
	}{
		{"one director", Options{MTU: 1400}, map[Host][]string{
			Client:   {VIP, VIP6, Real1IP, Real2IP, Real1IP6, Real2IP6},
			Director: {ClientIP, ClientIP6, Real1IP, Real2IP, Real1IP6, Real2IP6},
			Real1:    {GatewayIP, GatewayIP6, ClientIP, ClientIP6},
			Real2:    {GatewayIP, GatewayIP6, ClientIP, ClientIP6},
		}},
		{"two directors", Options{Directors: 2}, map[Host][]string{
			Client:    {"172.16.0.3", "172.16.0.4", "fd00:16::3", "fd00:16::4"},
			Director:  {ClientIP, ClientIP6, Real1IP, Real2IP, Real1IP6, Real2IP6},
			Director2: {ClientIP, ClientIP6, Real1IP, Real2IP, Real1IP6, Real2IP6},
			Real1:     {"192.168.0.3", "192.168.0.4", "fd00:192::3", "fd00:192::4"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NeedWith(t, tt.options)
			for from, addresses := range tt.reach {
				for _, to := range addresses {
					if err := refused(t, r, from, to); err != nil {
						t.Errorf("from %s to %s: %v; want an answer, which is a refusal", from, to, err)
					}
				}
			}
			r.Stop()
			if left := left(t, r.prefix); left != "" {
				t.Errorf("left behind:\n%s", left)
			}
		})
	}
}

func refused(t *testing.T, r *Rig, from Host, to string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := r.Dial(ctx, from, "tcp", net.JoinHostPort(to, "9"))
	if err == nil {
		c.Close()
		return errors.New("connected")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return nil
}

// TestVIPIsOneHost: with two directors and the real servers on one segment, nobody says that the VIP is there but who has it.
func TestVIPIsOneHost(t *testing.T) {
	r := NeedWith(t, Options{Directors: 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, vip := range []string{VIP, VIP6} {
		if _, err := r.Dial(ctx, Client, "tcp", net.JoinHostPort(vip, "9")); !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("to %s, which no director has: %v; want that there is no such host", vip, err)
		}
	}
}

func TestInside(t *testing.T) {
	r := Need(t)
	if got := Inside(); got != "" {
		t.Errorf("the test is in %q", got)
	}
	for _, h := range r.Hosts() {
		r.Do(h, func() error {
			if got := Inside(); got != r.Name(h) {
				t.Errorf("inside %q, want %q", got, r.Name(h))
			}
			return nil
		})
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Directors: 3}, {Directors: -1}, {MTU: 1279}, {MTU: 9001}} {
		if r, err := StartWith(t.Context(), o); err == nil {
			r.Stop()
			t.Errorf("%+v was taken", o)
		}
	}
}

// leave is a process that makes a rig, says its prefix and the guard's number, and waits to be killed.
func leave(t *testing.T, test string) (prefix string, guard int, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), "NAMESPACES_TEST_LEAVE=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
		stdin.Close()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if _, scanErr := fmt.Sscan(line, &prefix, &guard); err != nil || scanErr != nil {
		t.Fatalf("%q, %v", line, errors.Join(err, scanErr))
	}
	if !strings.Contains(namespaces(t), prefix) {
		t.Fatal("nothing was made")
	}
	return prefix, guard, kill
}

// leaving is the process of leave.
func leaving(t *testing.T) bool {
	if os.Getenv("NAMESPACES_TEST_LEAVE") == "" {
		return false
	}
	r, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir(), "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Println(r.prefix, r.guard.cmd.Process.Pid)
	bufio.NewReader(os.Stdin).ReadByte()
	return true
}

// TestGuard: when a process with a rig is killed, its guard removes the rig.
func TestGuard(t *testing.T) {
	if leaving(t) {
		return
	}
	Need(t)
	prefix, _, kill := leave(t, "TestGuard")
	kill()
	for until := time.Now().Add(time.Minute); left(t, prefix) != ""; {
		if time.Now().After(until) {
			t.Fatalf("left behind:\n%s", left(t, prefix))
		}
	}
}

// TestReap: a rig whose process and guard were killed is cleared away by the next one.
func TestReap(t *testing.T) {
	if leaving(t) {
		return
	}
	first := Need(t)
	prefix, guard, kill := leave(t, "TestReap")
	syscall.Kill(guard, syscall.SIGKILL)
	kill()
	if !strings.Contains(namespaces(t), prefix) {
		t.Fatal("nothing was left behind to be cleared away")
	}
	Need(t)
	if gone, stays := left(t, prefix), left(t, first.prefix); gone != "" || stays == "" {
		t.Errorf("after another rig has started:\n%s\nand of one whose process lives:\n%s", gone, stays)
	}
}
