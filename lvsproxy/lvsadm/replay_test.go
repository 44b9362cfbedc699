package lvsadm_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/none"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/lvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "ipvsadm" {
		asIpvsadm()
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// director is a running director and its admin socket.
type director struct {
	t    *testing.T
	path string
	*lvsproxy.Director
	events *admin.Record
	stop   func() // and wait for its end
}

// startDirector starts a director that carries nothing.
func startDirector(t *testing.T, text string) *director {
	t.Helper()
	return startDirectorWith(t, text, none.Dataplane{})
}

func startDirectorWith(t *testing.T, text string, dataplane service.Dataplane) *director {
	t.Helper()
	file, err := config.Parse("test.cf", []byte(text), config.SystemResolver{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := launch(t, file, lvsproxy.Options{Dataplane: dataplane})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// launch starts a director with a file. The error is that of [lvsproxy.New].
func launch(t *testing.T, file *config.File, o lvsproxy.Options) (*director, error) {
	t.Helper()
	d := &director{t: t, path: filepath.Join(t.TempDir(), "admin.sock"), events: admin.NewRecord()}
	onCheck := o.OnCheck
	o.DrainTimeout, o.OnEvent = -1, d.events.Event
	o.OnCheck = func(virtual config.VirtualID, server netip.AddrPort, r check.Result) {
		d.events.Check(virtual, server, r)
		if onCheck != nil {
			onCheck(virtual, server, r)
		}
	}
	var err error
	if d.Director, err = lvsproxy.New(file, o); err != nil {
		return nil, err
	}
	l, err := admin.Listen(d.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- d.Run(ctx) }()
	go func() { ended <- admin.Serve(ctx, l, admin.Handler(d.Director, d.events)) }()
	d.stop = sync.OnceFunc(func() {
		d.events.Close()
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(d.stop)
	select {
	case <-d.Ready():
	case <-time.After(patience):
		t.Fatal("the director is not ready")
	}
	return d, nil
}

// run calls lvsadm by a name.
func (d *director) run(stdin, name string, args ...string) (stdout, stderr string, code int) {
	var out, err strings.Builder
	p := lvsadm.Program{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err, Resolver: guest{}, Names: func(context.Context, []netip.Addr) ipvsadm.Names { return guest{} }}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code = p.Run(ctx, append([]string{name}, args...), func(name string) string {
		return map[string]string{"LVSPROXY_ADMIN": d.path}[name]
	})
	return out.String(), err.String(), code
}

// guest are the names that the guest of the recordings knows.
type guest struct{}

var hosts = map[string]string{
	"127.0.0.1": "localhost", "::1": "localhost", "10.0.0.1": "vip.example", "10.0.0.2": "vip2.example", "10.1.0.1": "rs1.example",
	"10.1.0.2": "rs2.example", "10.1.0.3": "rs3.example", "fd00::1": "vip6.example", "fd00:1::1": "rs6.example",
}

var ports = map[uint16]string{80: "http", 53: "domain", 443: "https", 8080: "http-alt", 25: "smtp", 22: "ssh"}

// hasUDP tells which of them /etc/services has for UDP too.
var hasUDP = map[uint16]bool{53: true, 443: true}

func (guest) Host(a netip.Addr) string { return hosts[a.String()] }

func (guest) Service(port uint16, p ipvsadm.Protocol) string {
	if p == "" || p == ipvsadm.UDP && !hasUDP[port] {
		return ""
	}
	return ports[port]
}

func (guest) Addr(host string, ipv6 bool) (netip.Addr, error) {
	for a, name := range hosts {
		if addr := netip.MustParseAddr(a); name == host && addr.Is6() == ipv6 {
			return addr, nil
		}
	}
	return netip.Addr{}, errors.New("unknown host")
}

func (guest) Port(service string, p config.Protocol) (uint16, error) {
	for port, name := range ports {
		if name == service && (p != config.UDP || hasUDP[port]) {
			return port, nil
		}
	}
	return 0, errors.New("unknown service")
}

// TestReplay: what the real ipvsadm said and did on the real IPVS, lvsadm says and does on a director.
func TestReplay(t *testing.T) {
	paths, err := filepath.Glob("../testdata/ipvs/ipvsadm/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		file, err := recording.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, scenario := range file.Scenarios {
			t.Run(filepath.Base(path)+"/"+scenario.Name, func(t *testing.T) { replay(t, scenario) })
		}
	}
}

// excused returns why a command may end differently here, or "". All that follows in its scenario is then not compared,
// where that depends on it.
func excused(step recording.Step) (reason string, rest bool) {
	has := func(text string) bool { return strings.Contains(step.Command, text) }
	switch {
	case step.Code == 0 && (has(" -h") || has(" --help")):
		return "the words of the help are our own", false
	case step.Code == 0 && has("--pe "):
		return "there are no persistence engines", true
	case (has("--start-daemon") || has("--stop-daemon")) && !strings.Contains(step.Stderr, "specified") && step.Code != 2:
		return "connections are not synchronized", true
	case has("twos"):
		return "the director has a scheduler that the recorded kernel does not have", true
	case has("10.255.255.255"):
		return "the director does not know the broadcast address of a network", true
	case has("--nosort") && strings.Count(step.Stdout, "\n") > 8 && strings.Contains(step.Stdout, "FWM"):
		return "the order of services is that of the kernel's hash table", false
	}
	return "", false
}

func replay(t *testing.T, scenario recording.Scenario) {
	d := startDirector(t, "")
	for _, step := range scenario.Steps {
		args := step.Args()
		got := step
		reason, rest := excused(step)
		if rest {
			t.Logf("$ %s: %s", step.Command, reason)
			return
		}
		switch args[0] {
		case "ipvsadm":
			got.Stdout, got.Stderr, got.Code = d.run(step.Stdin, "ipvsadm", args[1:]...)
		case "ipvsadm-save":
			got.Stdout, got.Stderr, got.Code = d.run("", "ipvsadm", append([]string{"-S"}, args[1:]...)...)
		case "ipvsadm-restore":
			d.run("", "ipvsadm", "-C")
			got.Stdout, got.Stderr, got.Code = d.run(step.Stdin, "ipvsadm", "-R")
		default:
			return // nothing is carried: what is counted from here on cannot be equal
		}
		if reason == "" && (got.Stdout != step.Stdout || got.Stderr != step.Stderr || got.Code != step.Code) {
			t.Errorf("$ %s\ngot  exit code %d, stderr %q, stdout\n%s\nwant exit code %d, stderr %q, stdout\n%s", step.Command,
				got.Code, got.Stderr, got.Stdout, step.Code, step.Stderr, step.Stdout)
		}
	}
}
