package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// asProgram makes this test binary behave as lvsproxy.
const asProgram = "LVSPROXY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

const patience = 20 * time.Second

// process is a running lvsproxy.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	admin  string
	lines  chan string // of its standard error
	exited chan error
}

// command returns lvsproxy as a command that dies with the test.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func start(t *testing.T, config string, args ...string) *process {
	t.Helper()
	admin := filepath.Join(t.TempDir(), "admin.sock")
	return launch(t, admin, command(append([]string{"--config", config, "--admin", admin}, args...)...))
}

// launch starts lvsproxy by a command, whose admin socket is said to be admin.
func launch(t *testing.T, admin string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, admin: admin, lines: make(chan string, 1000), exited: make(chan error, 1)}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.lines <- s.Text()
		}
		p.exited <- p.cmd.Wait()
	}()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// await waits for a line of the log and returns it.
func (p *process) await(part string) string {
	p.t.Helper()
	timeout := time.After(patience)
	var seen []string
	for {
		select {
		case line := <-p.lines:
			if seen = append(seen, line); strings.Contains(line, part) {
				return line
			}
		case err := <-p.exited:
			p.t.Fatalf("lvsproxy ended (%v) before it logged %q:\n%s", err, part, strings.Join(seen, "\n"))
		case <-timeout:
			p.t.Fatalf("no %q in the log:\n%s", part, strings.Join(seen, "\n"))
		}
	}
}

func (p *process) signal(s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) exit() error {
	p.t.Helper()
	select {
	case err := <-p.exited:
		return err
	case <-time.After(patience):
		p.t.Fatal("lvsproxy does not end")
		return nil
	}
}

// echo is a TCP server that says its name and then echoes.
func echo(t *testing.T, ip, name string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintln(c, name)
				io.Copy(c, c)
			}()
		}
	}()
	return l
}

// ask returns the name of the server that answers, and the open connection.
func ask(vip string) (string, net.Conn, error) {
	c, err := net.DialTimeout("tcp", vip, patience)
	if err != nil {
		return "", nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	name, err := bufio.NewReader(io.LimitReader(c, 2)).ReadString('\n')
	if err != nil {
		c.Close()
		return "", nil, err
	}
	return strings.TrimSpace(name), c, nil
}

func mustAsk(t *testing.T, vip string) (string, net.Conn) {
	t.Helper()
	name, c, err := ask(vip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return name, c
}

// freeAddr returns a loopback address whose port nobody else is likely to take.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestProcess is an operator's day: start, look at the table, reload a good and a bad file under traffic, stop.
func TestProcess(t *testing.T) {
	a, b := echo(t, "127.0.0.2", "a"), echo(t, "127.0.0.3", "b")
	vip, path := freeAddr(t), filepath.Join(t.TempDir(), "ldirectord.cf")
	const global = "checkinterval=1\n"
	both := global + "virtual=" + vip + "\n\tchecktype=connect\n\tscheduler=rr\n\treal=" + a.Addr().String() + " masq\n\treal=" + b.Addr().String() + " masq 2\n"
	onlyA := global + "virtual=" + vip + "\n\tchecktype=connect\n\tscheduler=wrr\n\treal=" + a.Addr().String() + " masq 5\n"
	write(t, path, both)
	p := start(t, path)
	p.await("msg=ready")

	first, onB := mustAsk(t, vip)
	second, _ := mustAsk(t, vip)
	if first != "b" || second != "a" {
		t.Errorf("answers from %s, %s: want b, a: rr begins with the file's last server", first, second)
	}
	table, err := command("table", "--admin", p.admin).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"+
		"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"+
		"TCP  %s rr\n  -> %-28s Masq    1      1          0         \n  -> %-28s Masq    2      1          0         \n", vip, a.Addr(), b.Addr())
	if string(table) != want {
		t.Errorf("table\n%s\nwant\n%s", table, want)
	}

	stop := traffic(t, vip)
	write(t, path, onlyA)
	p.signal(syscall.SIGHUP)
	p.await("configuration loaded")
	if name, _ := mustAsk(t, vip); name != "a" {
		t.Errorf("answer from %s after b was removed", name)
	}
	write(t, path, onlyA+"\treal=10.0.0.1:80 gate\n")
	p.signal(syscall.SIGHUP)
	p.await(path + ":6: the userspace dataplane cannot forward by gate")
	write(t, path, both)
	p.signal(syscall.SIGHUP)
	p.await("server up")
	stop()
	fmt.Fprintln(onB, "x") // opened before all this, to a server that was removed
	if line, err := bufio.NewReader(onB).ReadString('\n'); line != "x\n" {
		t.Errorf("the old connection: got %q, %v", line, err)
	}

	p.signal(syscall.SIGTERM)
	p.await("draining")
	if out, err := command("table", "--admin", p.admin).Output(); err != nil || !strings.Contains(string(out), vip) {
		t.Errorf("table while draining: %v", err)
	}
	fmt.Fprintln(onB, "y")
	if line, err := bufio.NewReader(onB).ReadString('\n'); line != "y\n" {
		t.Errorf("while draining: got %q, %v", line, err)
	}
	p.signal(syscall.SIGTERM) // the test's connections are open still: no more patience
	if err := p.exit(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the second signal: %v", err)
	}
}

// traffic opens connections all the time, none of which may fail, until the returned function is called.
func traffic(t *testing.T, vip string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var asked atomic.Int64
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				name, c, err := ask(vip)
				if err != nil {
					t.Errorf("after %d connections: %q, %v", asked.Load(), name, err)
					return
				}
				c.Close()
				asked.Add(1)
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
		if asked.Load() == 0 {
			t.Error("there was no traffic")
		}
	}
}

// TestDrains: SIGTERM lets what is open finish, and then the process ends well.
func TestDrains(t *testing.T) {
	a := echo(t, "127.0.0.2", "a")
	vip, path := freeAddr(t), filepath.Join(t.TempDir(), "ldirectord.cf")
	write(t, path, "virtual="+vip+"\n\tchecktype=on\n\treal="+a.Addr().String()+" masq\n")
	p := start(t, path, "--log-format", "json")
	p.await(`"msg":"ready"`)
	_, c := mustAsk(t, vip)
	p.signal(syscall.SIGINT)
	p.await("draining")
	c.Close()
	if err := p.exit(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.admin); err == nil {
		t.Error("the admin socket's file is left behind")
	}
}

// TestExitCodes: what scripts rely on.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	good := file("good.cf", "cleanstop=no\nvirtual=127.0.0.1:1\n\treal=127.0.0.2:80 masq\n")
	bad := file("bad.cf", "virtual=127.0.0.1:1\n\tfoo=1\n\treal=10.0.0.1:80\n")
	gate := file("gate.cf", "virtual=127.0.0.1:1\n\treal=10.0.0.1:80 gate\n")
	rules := file("rules", "-A -t 10.0.0.1:80 -s rr -p 60\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 3\n")
	noVIP := file("vip.cf", "virtual=192.0.2.1:8080\n\tchecktype=on\n\treal=127.0.0.1:80 masq\n")
	tests := []struct {
		args []string
		env  string
		code int
		want string // regular expression for standard output and error together
	}{
		{[]string{"check", good}, "", 0, `(?s)^TCP 127.0.0.1:1 .line 2.\n  scheduler +wrr .default.\n.*-> 127.0.0.2:80 masq, weight 1, request "/" .line 3.\n\nwarning: [^\n]*good.cf:1: cleanstop=no has no effect[^\n]*\n[^\n]*good.cf is good: virtual services: 1, real servers: 1, warnings: 1\n$`},
		{[]string{"check"}, "LVSPROXY_CONFIG=" + good, 0, "is good"},
		{[]string{"check", "--json", good}, "", 0, `(?s)"good": true,.*"errors": \[\],.*"warnings": \[.*"line": 1,.*"virtual": "TCP 127.0.0.1:1",.*"topic": "scheduler",\s*"text": "wrr",\s*"line": 0`},
		{[]string{"check", "--json", bad}, "", 1, `(?s)"good": false,.*"errors": \[\s*\{\s*"line": 2,\s*"message": "unknown directive.*"virtuals": \[\]`},
		{[]string{"convert", good}, "", 0, `^-A -t 127.0.0.1:1 -s wrr\n-a -t 127.0.0.1:1 -r 127.0.0.2:80 -m -w 1\n$`},
		{[]string{"convert", "--state", "down", good}, "", 0, `^-A -t 127.0.0.1:1 -s wrr\n$`},
		{[]string{"convert", "--from", "ipvsadm", rules}, "", 0, `(?s)\nvirtual=10.0.0.1:80\n.*scheduler=rr\n.*persistent=60\n.*real=10.0.0.2:80 gate 3`},
		{[]string{"convert", "--from", "ipvsadm", good}, "", 1, "^error: .*good.cf:1: "},
		{[]string{"convert", bad}, "", 1, `bad.cf:2: unknown directive`},
		{[]string{"convert", "--from", "haproxy", good}, "", 2, `--from is "haproxy": expected ldirectord or ipvsadm`},
		{[]string{"check", bad}, "", 1, `^error: .*bad.cf:2: unknown directive "foo".*\nerror: .*bad.cf:3: "10.0.0.1:80" is no real server.*\n$`},
		{[]string{"check", gate}, "", 1, `error: .*gate.cf:2: the userspace dataplane cannot forward by gate: expected masq`},
		{[]string{"check", gate, "--dataplane", "auto"}, "", 1, `error: .*gate.cf:2: the userspace dataplane cannot forward by gate: expected masq .ebpf: `},
		{[]string{"check", good, "--dataplane", "auto"}, "", 0, `\n  dataplane +userspace: ebpf: .*default`},
		{[]string{"check", filepath.Join(dir, "absent.cf")}, "", 2, "no such file"},
		{[]string{"check", good, bad}, "", 2, "unexpected argument"},
		{[]string{"--config", bad, "--admin", "off"}, "", 1, "bad.cf:2: unknown directive"},
		{[]string{"--config", noVIP, "--admin", "off"}, "", 1, "ip address add 192.0.2.1/32 dev INTERFACE"},
		{[]string{"--config", good, "--admin", filepath.Join(dir, "absent", "x.sock")}, "", 1, "choose another place by --admin PATH, or do without by --admin off"},
		{[]string{"--config", filepath.Join(dir, "absent.cf")}, "", 2, "no such file"},
		{[]string{"--print-config", "--config", good, "--rise", "3"}, "LVSPROXY_MAX_CONNS=77", 0, `(?s)LVSPROXY_MAX_CONNS=77\n.*LVSPROXY_RISE=3\n.*virtual=127.0.0.1:1\n.*real=127.0.0.2:80 masq 1`},
		{[]string{"table", "--admin", filepath.Join(dir, "absent.sock")}, "", 1, "no director listens at"},
		{[]string{"--help"}, "", 0, "(?s)Usage:.*--drain-timeout TIME, LVSPROXY_DRAIN_TIMEOUT.*Exit codes:"},
		{[]string{"help"}, "", 0, "Usage:"},
		{[]string{"--frobnicate"}, "", 2, "not defined: -frobnicate"},
		{[]string{"start"}, "", 2, `unexpected argument "start"`},
		{nil, "LVSPROXY_RISE=many", 2, `environment variable LVSPROXY_RISE is "many"`},
		{[]string{"check", file("empty.cf", "")}, "", 0, "empty.cf is good: virtual services: 0"},
		{[]string{"check", "none"}, "", 0, "none is good: virtual services: 0"},
		{[]string{"check", gate, "--dataplane", "none"}, "", 0, "gate.cf is good"},
		{[]string{"--config", good, "--admin", "off", "--metrics", "nowhere"}, "", 1, "lvsproxy: --metrics: "},
		{[]string{"--dataplane", "x"}, "", 2, `--dataplane is "x": expected auto or ebpf or ipvs or userspace or none`},
		{[]string{"--rise", "0"}, "", 2, "--rise is 0: expected at least 1"},
		{[]string{"--log-format", "xml"}, "", 2, `--log-format is "xml": expected text or json`},
	}
	for _, tt := range tests {
		cmd := command(tt.args...)
		cmd.Env = append(cmd.Env, tt.env)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !regexp.MustCompile(tt.want).Match(out) {
			t.Errorf("%v %s: exit code %d, want %d; output\n%s\nwant %s", tt.args, tt.env, code, tt.code, out, tt.want)
		}
	}
}

// TestPrintedConfigIsComplete: what --print-config prints names every option.
func TestPrintedConfigIsComplete(t *testing.T) {
	var o options
	flags := newFlags(&o)
	printed := strings.Join(o.lines(), "\n")
	for _, name := range flagNames(flags) {
		printsOnly := slices.Contains([]string{"print-config", "json", "from", "state"}, name)
		if !printsOnly && !strings.Contains(printed, envName(name)+"=") {
			t.Errorf("--%s is not printed", name)
		}
	}
}

func flagNames(f *flag.FlagSet) (names []string) {
	f.VisitAll(func(one *flag.Flag) { names = append(names, one.Name) })
	return names
}

// TestEmpty: without a file, the table comes over the admin socket, and the metrics tell.
func TestEmpty(t *testing.T) {
	a, vip := echo(t, "127.0.0.2", "a"), freeAddr(t)
	p := start(t, "none", "--metrics", ":0", "--drain-timeout", "0s")
	_, addr, _ := strings.Cut(p.await("serving metrics"), "address=")
	p.await("ready")
	client := admin.NewClient(p.admin)
	defer client.Close()
	v := ipvsadm.Service{Protocol: ipvsadm.TCP, Addr: netip.MustParseAddrPort(vip), Scheduler: "rr"}
	results, err := client.Run(t.Context(), []ipvsadm.Command{
		{Verb: ipvsadm.AddService, Service: v},
		{Verb: ipvsadm.AddServer, Service: v, Server: ipvsadm.Server{Addr: netip.MustParseAddrPort(a.Addr().String()), Forward: ipvsadm.Masq, Weight: 1}},
	})
	if err != nil || results[0] != (admin.Result{}) || results[1] != (admin.Result{}) {
		t.Fatal(results, err)
	}
	if name, _ := mustAsk(t, vip); name != "a" {
		t.Errorf("%q answered", name)
	}
	for path, want := range map[string]string{
		"/metrics": `lvsproxy_server_up{server="` + a.Addr().String() + `",virtual="tcp ` + vip + `"} 1`, "/readyz": "ok", "/v1/status": `"ready":true`,
	} {
		answer, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, no %s", path, answer.Status, want)
		}
	}
	p.signal(syscall.SIGHUP) // there is nothing to read again
	p.signal(syscall.SIGTERM)
	if err := p.exit(); err != nil {
		t.Error(err)
	}
}
