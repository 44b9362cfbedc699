package lvsadm_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/icmp"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/none"
)

// differences are what differs on purpose from ldirectord: for each scenario, by the number of the command from 1, why.
// The test verifies that it does differ.
var differences = map[string]map[int]string{
	"a blank line inside a service": {
		1: "a blank line means nothing",
		2: "a blank line means nothing",
	},
	"two services of one address": {1: "the second is refused where it begins, not where it ends"},
	"an unknown scheduler":        {1: "what ipvsadm refuses, and is then missing from the table, is an error"},
	"a bad netmask": {
		1: "a netmask that is none is an error",
		2: "a netmask that is none is an error",
	},
	"thresholds, scheduler flags": {1: "a threshold is written l:5; what follows a real server and is not known is an error"},
	"negotiate http: expectations that fail": {
		6: "a request of a real server's own that begins with a slash is obeyed",
		7: "a request of a real server's own that begins with a slash is obeyed",
	},
	"maintenance":               {3: "that maintenancedir is missing is logged later, when it is read"},
	"a fallback server for all": {4: ownPort, 7: ownPort, 10: ownPort},
	"a fallback server of one service, not quiescent": {4: ownPort, 7: ownPort, 10: ownPort},
	"cleanstop no": {5: "the table ends with the director"},
	"started over a table that is there": {
		8:  "what is changed by hand goes before the file",
		10: "the table ends with the director",
	},
}

const ownPort = "a fallback by gate has the port that its line names: IPVS cannot change a port there, and the director can"

// TestLdirectordTables: what the real ldirectord made of a configuration, and of servers that come and go, lvsproxy makes
// of them. The servers are real ones on loopback addresses, as are the checks; only the intervals are shorter.
func TestLdirectordTables(t *testing.T) {
	paths, err := filepath.Glob("../testdata/ipvs/ldirectord/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	network, unknown := 0, map[string]bool{}
	for name := range differences {
		unknown[name] = true
	}
	var mu sync.Mutex
	var total tally
	t.Run("scenarios", func(t *testing.T) {
		for _, path := range paths {
			file, err := recording.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, scenario := range file.Scenarios {
				network++
				delete(unknown, scenario.Name)
				p := &ldirectord{
					place: place(network), differences: differences[scenario.Name],
					servers: map[string]io.Closer{}, results: map[target]int{},
				}
				t.Run(filepath.Base(path)+"/"+scenario.Name, func(t *testing.T) {
					t.Parallel()
					p.t, p.dir = t, t.TempDir()
					p.play(scenario)
					mu.Lock()
					defer mu.Unlock()
					total.add(p.tally)
				})
			}
		}
	})
	for name := range unknown {
		t.Errorf("there is no scenario %q to differ from", name)
	}
	t.Logf("of %d scenarios: %d configurations with %d equal tables, %d refused at the same line, %d differences on purpose",
		network, total.configurations, total.tables, total.refused, total.different)
}

// tally counts what was compared.
type tally struct{ configurations, tables, refused, different int }

func (a *tally) add(b tally) {
	if b.tables > 0 {
		a.configurations++
	}
	a.tables += b.tables
	a.refused += b.refused
	a.different += b.different
}

// ldirectord plays a scenario of ldirectord on a director that carries nothing.
type ldirectord struct {
	t           *testing.T
	dir         string
	place       place
	differences map[int]string
	servers     map[string]io.Closer
	director    *director // nil before the start, after the end, and after a refusal
	file        *config.File
	tally       tally
	patience    time.Duration // for a table to become as recorded

	mu      sync.Mutex
	results map[target]int // results of checks so far
}

// target is a real server of a service.
type target struct {
	virtual config.VirtualID
	server  netip.AddrPort
}

// place is where a scenario's addresses are on this machine: the guest's 10.1.0.N is 127.PLACE.0.N, and each port is
// 20,000 higher, so that scenarios can run at once and need no privilege. 192.0.2.N, where the guest reaches nobody, is
// 127.0.2.N, which ipvsadm sorts before those as it does in the guest, or a broadcast address where it is pinged. Virtual
// services stay where they are: no packet is sent to them.
type place int

var (
	real4     = regexp.MustCompile(`\b10\.1\.0\.([0-9]+)\b`)
	portAfter = regexp.MustCompile(`([0-9\]e]:|checkport = )([0-9]{1,4})\b`)
)

// pinged stands in a configuration whose checks are pings.
const pinged = "checktype = ping"

// here moves a text from the guest to this machine.
func (p place) here(text string) string {
	text = real4.ReplaceAllString(text, fmt.Sprintf("127.%d.0.$1", int(p)))
	if strings.Contains(text, pinged) {
		text = strings.ReplaceAll(text, "192.0.2.1:", "127.255.255.255:")
	}
	text = strings.ReplaceAll(text, "192.0.2.", "127.0.2.")
	text = strings.ReplaceAll(text, "[fd00:1::1]:80", "[::1]:81")
	return portAfter.ReplaceAllStringFunc(text, func(found string) string {
		at := strings.LastIndexAny(found, ": ") + 1
		port, _ := strconv.Atoi(found[at:]) // digits
		if port == 0 {
			return found // none
		}
		return found[:at] + strconv.Itoa(20000+port)
	})
}

// Addr implements [config.Resolver] with the names of the guest.
func (p place) Addr(host string, ipv6 bool) (netip.Addr, error) {
	a, err := guest{}.Addr(host, ipv6)
	if err != nil {
		return a, err
	}
	return netip.ParseAddr(p.here(a.String()))
}

// Port implements [config.Resolver].
func (p place) Port(service string, protocol config.Protocol) (uint16, error) {
	port, err := guest{}.Port(service, protocol)
	return 20000 + port, err
}

func (l *ldirectord) play(scenario recording.Scenario) {
	l.t.Cleanup(func() {
		for _, server := range l.servers {
			server.Close()
		}
	})
	for i, step := range scenario.Steps {
		reason := l.differences[i+1]
		l.patience = patience
		if reason != "" {
			l.patience = 0
		}
		differs := l.do(step)
		switch {
		case differs != "" && reason == "":
			l.t.Errorf("%d. $ %s: %s", i+1, step.Command, differs)
		case differs != "":
			l.tally.different++
			l.t.Logf("%d. $ %s: %s", i+1, step.Command, reason)
		case reason != "":
			l.t.Errorf("%d. $ %s is the same as in ldirectord, though %s", i+1, step.Command, reason)
		}
	}
}

// do does a step and returns how its result differs, or "".
func (l *ldirectord) do(step recording.Step) (differs string) {
	args := strings.Fields(l.place.here(step.Command))
	switch args[0] {
	case "ldirectord", "config":
		return l.load(step)
	case "settle":
		return l.settle(args[1:])
	case "ipvsadm":
		return l.ipvsadm(step, args[1:])
	case "quit":
		l.director.stop()
		l.director = nil
	case "web":
		l.web(args[1], args[2:])
	case "tcp":
		l.tcp(args[1], strings.Join(args[2:], " "))
	case "stop":
		l.servers[args[1]].Close()
		delete(l.servers, args[1])
	case "maintain", "release":
		l.maintenance(args[0], args[1])
	default:
		l.t.Fatalf("unknown command %q", step.Command)
	}
	return ""
}

// load starts the director, or has it follow another file.
func (l *ldirectord) load(step recording.Step) (differs string) {
	pings := strings.Contains(step.Stdin, pinged)
	if pings {
		needPing(l.t)
	}
	text := strings.ReplaceAll(l.place.here(step.Stdin), "DIR", l.dir)
	file, err := config.Parse("ldirectord.cf", []byte(text), l.place)
	if err == nil {
		for i := range file.Spec.Virtuals {
			c := &file.Spec.Virtuals[i].Check
			c.Interval /= 50 // a second becomes 20 ms
			if pings {
				c.ConnectTimeout /= 4 // somebody does not answer
			}
		}
		file.Spec.CheckInterval /= 50
		err = l.follow(file)
	}
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		l.t.Fatal(err)
	}
	want := said(step.Stderr, "Error")
	switch {
	case len(problems) == 0 && len(want) == 0:
		l.file = file
		return l.warned(said(step.Stderr, "Warning"))
	case len(problems) == 0:
		return "accepted; ldirectord: " + step.Stderr
	case len(want) == 0:
		return "refused: " + err.Error()
	case problems[0].Line != want[0]:
		return fmt.Sprintf("refused: %v\nldirectord: %s", err, step.Stderr)
	}
	l.tally.refused++
	return ""
}

func (l *ldirectord) follow(file *config.File) (err error) {
	if l.director != nil {
		return l.director.Reload(file)
	}
	l.director, err = launch(l.t, file, lvsproxy.Options{Dataplane: none.Dataplane{}, OnCheck: l.checked})
	return err
}

var atLine = regexp.MustCompile(`^(Error|Warning) .* at line ([0-9]+):`)

// said returns the lines of the file that ldirectord complained of.
func said(stderr, kind string) (lines []int) {
	for line := range strings.Lines(stderr) {
		if m := atLine.FindStringSubmatch(line); m != nil && m[1] == kind {
			n, _ := strconv.Atoi(m[2]) // digits
			lines = append(lines, n)
		}
	}
	return lines
}

func (l *ldirectord) warned(want []int) (differs string) {
	warnings := slices.Concat(l.file.Warnings, lvsproxy.Ignored(l.file, none.Dataplane{}))
	for _, line := range want {
		if !slices.ContainsFunc(warnings, func(p config.Problem) bool { return p.Line == line }) {
			return fmt.Sprintf("no warning about line %d among %v", line, warnings)
		}
	}
	return ""
}

func (l *ldirectord) checked(virtual config.VirtualID, server netip.AddrPort, _ check.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results[target{virtual, server}]++
}

// settle waits until the table has stayed the same for some rounds of checks.
func (l *ldirectord) settle(args []string) (differs string) {
	if l.director == nil {
		return "" // refused
	}
	rounds := 2
	if len(args) > 0 {
		rounds, _ = strconv.Atoi(args[0])
	}
	deadline := time.Now().Add(patience)
	for before := ""; ; {
		l.awaitRounds(rounds, deadline)
		now := l.table("-Sn")
		if now == before {
			return ""
		}
		if before = now; time.Now().After(deadline) {
			return "the table keeps changing"
		}
	}
}

// awaitRounds waits until each check that was begun from now on has had so many results.
func (l *ldirectord) awaitRounds(n int, deadline time.Time) {
	want := map[target]int{}
	l.mu.Lock()
	for _, v := range l.file.Spec.Virtuals {
		if v.Check.Type == config.CheckOn || v.Check.Type == config.CheckOff {
			continue // one result is all that there is
		}
		for _, r := range v.Reals {
			of := target{v.ID, r.Addr}
			want[of] = l.results[of] + 1 + n // one may have begun before
		}
	}
	l.mu.Unlock()
	reached := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for of, n := range want {
			if l.results[of] < n {
				return false
			}
		}
		return true
	}
	for !reached() {
		if time.Now().After(deadline) {
			l.t.Fatalf("too few results of checks: fewer than %v", want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *ldirectord) table(args ...string) string {
	if l.director == nil {
		return ""
	}
	stdout, stderr, code := l.director.run("", "ipvsadm", args...)
	if code != 0 {
		l.t.Fatalf("ipvsadm %v: %s", args, stderr)
	}
	return stdout
}

// ipvsadm compares a table, or changes it.
func (l *ldirectord) ipvsadm(step recording.Step, args []string) (differs string) {
	if args[0] != "-Sn" && args[0] != "-Ln" {
		if l.director == nil {
			l.file = &config.File{}
			if err := l.follow(l.file); err != nil {
				l.t.Fatal(err)
			}
		}
		l.table(args...)
		return ""
	}
	if l.director == nil && args[0] == "-Ln" {
		return "" // there is nobody to ask
	}
	want := words(l.place.here(step.Stdout))
	// A file of maintenancedir is seen when the director looks, which is at no result of a check.
	deadline := time.Now().Add(l.patience)
	for {
		got := words(l.table(args...))
		if got == want {
			if step.Stdout != "" {
				l.tally.tables++
			}
			return ""
		}
		if time.Now().After(deadline) {
			return fmt.Sprintf("got\n%swant\n%s", got, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// needPing skips a test where nobody can ping.
func needPing(t *testing.T) {
	t.Helper()
	c, err := icmp.ListenPacket("udp4", "0.0.0.0")
	if err != nil {
		c, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
	}
	if err != nil {
		need.Skip(t, "no ICMP socket: needs net.ipv4.ping_group_range or CAP_NET_RAW")
	}
	c.Close()
}

// words returns a text with single blanks: how far columns are apart depends on how long an address is.
func words(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		fmt.Fprintln(&b, strings.Join(strings.Fields(line), " "))
	}
	return b.String()
}

func (l *ldirectord) listen(addr string) net.Listener {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		l.t.Fatal(err)
	}
	return listener
}

// web starts a web server that answers every request with a status, 200 if not said, and what was asked for.
func (l *ldirectord) web(addr string, args []string) {
	status := http.StatusOK
	if len(args) > 0 {
		status, _ = strconv.Atoi(args[0])
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "It works: method=%s path=%s host=%s server=%s\n", r.Method, r.URL.Path, r.Host, addr)
	})}
	go server.Serve(l.listen(addr))
	l.servers[addr] = server
}

// tcp starts a server that says a line to each client and returns what it gets.
func (l *ldirectord) tcp(addr, line string) {
	listener := l.listen(addr)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				if line != "" {
					io.WriteString(conn, line+"\r\n")
				}
				io.Copy(conn, conn)
			}()
		}
	}()
	l.servers[addr] = listener
}

// maintenance makes or removes a file of the folder DIR/maintenance. A host name becomes its address: reverse look-ups
// are tested elsewhere.
func (l *ldirectord) maintenance(action, name string) {
	if a, err := l.place.Addr(name, false); err == nil {
		name = a.String()
	}
	file := filepath.Join(l.dir, "maintenance", name)
	if action == "release" {
		if err := os.Remove(file); err != nil {
			l.t.Fatal(err)
		}
		return
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
		l.t.Fatal(err)
	}
}
