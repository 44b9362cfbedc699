package qemu

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/need"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGuest boots once: each boot takes its time.
func TestGuest(t *testing.T) {
	g := Start(t)
	t.Run("commands", func(t *testing.T) {
		for _, c := range []struct {
			command Command
			want    Result
		}{
			{Command{Args: []string{"echo", "a", "b"}}, Result{Stdout: "a b\n"}},
			{Command{Args: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}}, Result{Stdout: "out\n", Stderr: "err\n", Code: 3}},
			{Command{Args: []string{"cat"}, Stdin: "one\n\xff\x00two"}, Result{Stdout: "one\n\xff\x00two"}},
			{Command{Args: []string{"sh", "-c", "echo $A $HOME; pwd"}, Env: []string{"A=1"}, Dir: "/etc"}, Result{Stdout: "1 /root\n/etc\n"}},
			{Command{Args: []string{"sh", "-c", "kill -TERM $$"}}, Result{Code: 128 + 15}},
			{Command{Args: []string{"sh", "-c", "sleep 1000 & sleep 1000"}, Timeout: time.Second}, Result{Code: 128 + 9, TimedOut: true}},
			{Command{Args: []string{"ipvsadm", "-Sn"}}, Result{}},
			{Command{Args: []string{"ldirectord", "--version"}}, Result{}},
		} {
			got, err := g.Run(t.Context(), c.command)
			if err != nil {
				t.Fatal(err)
			}
			if c.command.Args[0] == "ldirectord" {
				got.Stdout = "" // it is long; that it starts is enough
			}
			if got != c.want {
				t.Errorf("%q: got %+v, want %+v", c.command.Args, got, c.want)
			}
		}
		if _, err := g.Run(t.Context(), Command{Args: []string{"no-such-program"}}); err == nil {
			t.Error("a missing program ran")
		}
	})
	t.Run("many at once, each with its own IPVS table", func(t *testing.T) {
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				// A listing may show a service twice while others are added elsewhere: see bench/rig/qemu/record.
				const script = "ip link set lo up && ipvsadm -A -t 10.0.0.1:80 && ipvsadm -Sn | sort -u"
				r, err := g.Run(t.Context(), Command{Args: []string{"sh", "-c", script}, NewNet: true})
				if want := (Result{Stdout: "-A -t 10.0.0.1:80 -s wlc\n"}); err != nil || r != want {
					t.Errorf("got %+v, %v", r, err)
				}
			})
		}
		group.Wait()
	})
	t.Run("programs of ours", func(t *testing.T) {
		big := strings.Repeat("x", 3<<20)
		if err := g.Put(t.Context(), "/srv/some/where/big", 0o640, []byte(big)); err != nil {
			t.Fatal(err)
		}
		r, err := g.Run(t.Context(), Command{Args: []string{"cat", "/srv/some/where/big"}})
		if err != nil || r.Stdout != big {
			t.Errorf("a file of %d bytes came back with %d: %v", len(big), len(r.Stdout), err)
		}
		if err := g.Install(t.Context(), "github.com/lvsession/lvsession/cmd/lvsproxy"); err != nil {
			t.Fatal(err)
		}
		if r, err := g.Run(t.Context(), Command{Args: []string{"lvsproxy", "--help"}}); err != nil || r.Code != 0 {
			t.Errorf("lvsproxy --help: %+v, %v", r, err)
		}
	})
	t.Run("the end", func(t *testing.T) {
		_, err := g.Run(t.Context(), Command{Args: []string{"sh", "-c", "echo b >/proc/sysrq-trigger"}})
		if !errors.Is(err, ErrEnded) {
			t.Errorf("a command that ends the guest: %v", err)
		}
		if _, err := g.Run(t.Context(), Command{Args: []string{"true"}}); !errors.Is(err, ErrEnded) {
			t.Errorf("a command after the end: %v", err)
		}
		g.Stop()
		if err := syscall.Kill(g.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("qemu is still there: %v", err)
		}
	})
}

func TestBootGivesUpWithItsContext(t *testing.T) {
	need.Program(t, "qemu-system-x86_64", "qemu-system-x86")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Boot(ctx); err == nil {
		t.Error("booted")
	}
}

func TestModuleOrder(t *testing.T) {
	if _, err := moduleOrder(t.TempDir(), []string{"ip_vs"}); err == nil {
		t.Error("found a module in an empty folder")
	}
	if order, err := moduleOrder(t.TempDir(), nil); err != nil || !slices.Equal(order, nil) {
		t.Errorf("no modules: %v, %v", order, err)
	}
}
