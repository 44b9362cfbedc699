package load_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

func plan(t *testing.T, c *load.Config, faults ...string) {
	t.Helper()
	for _, f := range faults {
		if err := c.Set("at", f); err != nil {
			t.Fatal(err)
		}
	}
}

func within(m load.Millis, low, high time.Duration) bool {
	return time.Duration(m) >= low && time.Duration(m) <= high
}

// The time to recover of a server that is stopped is the time for which it is stopped; of one that is killed, the time until
// another one is up.
func TestFaultsAndRecovery(t *testing.T) {
	const ms = time.Millisecond
	p, addr := siteProcess(t)
	pidfile := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pidfile, []byte(strconv.Itoa(p.PID())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := load.Config{URL: "http://" + addr + "/", Users: 50, Rate: 100, Duration: 8 * time.Second, NoProbe: true, AllowErrors: -1}
	again := fmt.Sprintf("sleep 0.7; %s=%s setsid -f %s > /dev/null 2>&1; echo started", asSite, addr, os.Args[0])
	plan(t, &c, fmt.Sprintf("1s+800ms stop %d", p.PID()), "4s kill "+pidfile, "4s run "+again, "6500ms run exit 3")
	t.Cleanup(func() { stopListener(t, addr) })
	r, err := load.Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Faults) != 4 {
		t.Fatalf("%+v", r.Faults)
	}
	stop, kill, restart, nothing := r.Faults[0], r.Faults[1], r.Faults[2], r.Faults[3]
	if stop.Error != "" || !stop.Disturbed || !stop.Recovered || !within(stop.Recovery, 700*ms, 2500*ms) || stop.Errors != 0 || !within(stop.Ended-stop.Began, 790*ms, 1500*ms) {
		t.Errorf("stopped for 800 ms: %+v", stop)
	}
	if kill.Error != "" {
		t.Errorf("kill: %+v", kill)
	}
	if restart.Error != "" || restart.Output != "started" || !restart.Disturbed || !restart.Recovered || restart.Errors < 20 || !within(restart.Recovery, 600*ms, 2000*ms) {
		t.Errorf("away for 700 ms: %+v", restart)
	}
	if nothing.Error != "exit status 3" || nothing.Disturbed || nothing.Recovery != 0 {
		t.Errorf("a command that fails: %+v", nothing)
	}
	// The sessions were in the memory of the process that was killed: that is what the load is to find.
	if r.ViolationsByKind[load.Logout] == 0 || r.Proven {
		t.Errorf("sessions were lost, and %v", r.ViolationsByKind)
	}
}

// stopListener kills whoever listens at the address: the site that a fault's command has started.
func stopListener(t *testing.T, addr string) {
	_, port, _ := strings.Cut(addr, ":")
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		env, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(env)+"\x00", asSite+"=127.0.0.1:"+port+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil {
			err = kill(pid)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	if err := p.Kill(); err != nil && err != os.ErrProcessDone {
		return err
	}
	return nil
}

// A link that is cut or slow is felt for as long as it is.
func TestFaultsOfLinks(t *testing.T) {
	const ms = time.Millisecond
	rig := namespaces.Need(t)
	addr := namespaces.Real1IP + ":8080"
	siteIn(t, rig.Command(t.Context(), namespaces.Real1, os.Args[0]), addr, func() error {
		conn, err := rig.Dial(t.Context(), namespaces.Client, "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	})
	c := load.Config{URL: "http://" + addr + "/", Users: 100, Rate: 100, Duration: 8 * time.Second, NoProbe: true, AllowErrors: -1, KeepAlive: true}
	link := rig.Name(namespaces.Director) + "/" + namespaces.ToReal1
	plan(t, &c, "1s+1s delay "+link+"=200ms", "4s+1s link-down "+link)
	r := loadIn(t, rig.Command(t.Context(), namespaces.Client, os.Args[0]), c)
	slow, cut := r.Faults[0], r.Faults[1]
	if netem := rig.Command(t.Context(), namespaces.Director, "tc", "qdisc", "add", "dev", "lo", "root", "netem").Run() == nil; !netem {
		if !strings.Contains(slow.Error, "exit status") || !strings.Contains(slow.Output, "unknown") || slow.Disturbed {
			t.Errorf("this kernel has no netem, and that is not told: %+v", slow)
		}
	} else if slow.Error != "" || !slow.Disturbed || !slow.Recovered || !within(slow.Recovery, 900*ms, 1500*ms) || slow.Errors != 0 {
		t.Errorf("slow for a second: %+v", slow)
	}
	if cut.Error != "" || !cut.Disturbed || !within(cut.Recovery, 900*ms, 4000*ms) {
		t.Errorf("cut for a second: %+v", cut)
	}
	if r.ViolationsTotal != 0 {
		t.Errorf("%+v", r.Violations)
	}
}
