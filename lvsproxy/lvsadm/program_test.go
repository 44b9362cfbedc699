package lvsadm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/lvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

const configured = `
quiescent=yes
virtual=172.16.1.11:80
	real=192.168.0.101:80 masq 3
	real=192.168.0.102:80 masq 2
	checktype=on
	scheduler=wrr
`

// TestOwn: what lvsadm has and ipvsadm has not.
func TestOwn(t *testing.T) {
	d := startDirector(t, configured)
	none := filepath.Join(t.TempDir(), "none.sock")
	tests := []struct {
		args   []string // the first is the program's name
		code   int
		stdout string // a part of it
		stderr string
	}{
		{[]string{"lvsadm", "-L", "-n", "--json"}, 0, `"addr": "192.168.0.102:80"`, ""},
		{[]string{"lvsadm", "--json", "-L", "-t", "172.16.1.11:80"}, 0, `"scheduler": "wrr"`, ""},
		{[]string{"lvsadm", "--json", "-L", "-t", "172.16.1.11:81"}, 1, "", "lvsadm: no such service\n"},
		{[]string{"lvsadm", "-L", "--timeout", "--json"}, 0, `"tcpfin": 120`, ""},
		{[]string{"lvsadm", "-L", "--daemon", "--json"}, 0, "[]", ""},
		{[]string{"lvsadm", "-Lc", "--json"}, 0, "", ""},
		{[]string{"lvsadm", "-C", "--json"}, 1, "", "lvsadm: --json goes with -L only\n"},
		{[]string{"lvsadm", "-Q"}, 255, "", "Try `lvsadm -h' or 'lvsadm --help' for more information.\n"},
		{[]string{"/sbin/ipvsadm", "-L", "--json"}, 255, "", "--json: unknown option\n"},
		{[]string{"ipvsadm", "watch"}, 255, "", "Try `ipvsadm -h' or 'ipvsadm --help' for more information.\n"},
		{[]string{"lvsadm", "watch", "--count", "-1"}, 2, "", "Usage: lvsadm [--admin PATH] watch [--interval TIME] [--count VIEWS]\n"},
		{[]string{"ipvsadm", "--admin", d.path, "-Ln"}, 0, "TCP  172.16.1.11:80 wrr\n", ""},
		{[]string{"ipvsadm", "--admin=" + d.path, "-S", "-n"}, 0, "-a -t 172.16.1.11:80 -r 192.168.0.101:80 -m -w 3\n", ""},
		{[]string{"lvsadm", "--admin"}, 2, "", "lvsadm: --admin needs a path\n"},
		{[]string{"lvsadm", "--admin=", "-L"}, 2, "", "lvsadm: --admin is empty: expected the path of a socket\n"},
		{[]string{"lvsadm", "-h"}, 0, "\n  lvsadm -S [-n]\n", ""},
		{[]string{"lvsadm", "--version"}, 0, "ipvsadm v1.31 ", ""},
	}
	for _, tt := range tests {
		stdout, stderr, code := d.run("", tt.args[0], tt.args[1:]...)
		if code != tt.code || !strings.Contains(stdout, tt.stdout) || stderr != tt.stderr {
			t.Errorf("%q: exit code %d, stderr %q, stdout\n%s", tt.args, code, stderr, stdout)
		}
	}
	for _, args := range [][]string{{"-L"}, {"-S"}, {"-C"}, {"-Lc"}, {"-Lnc"}, {"-L", "--timeout"}, {"-L", "--daemon"}, {"-L", "-t", "1.1.1.1:1"}, {"watch"}, {"-L", "--json"}} {
		_, stderr, code := d.run("", "lvsadm", append([]string{"--admin", none}, args...)...)
		if want := "lvsadm: no director listens at " + none; code != 1 || !strings.HasPrefix(stderr, want) {
			t.Errorf("%q without a director: exit code %d, %q", args, code, stderr)
		}
	}
}

// TestLargeRestore: a table of more lines than a request takes, with an error here and there.
func TestLargeRestore(t *testing.T) {
	d := startDirector(t, "")
	var in, want strings.Builder
	const services, servers = 21, 100
	for i := range services {
		v := fmt.Sprintf("-t 10.0.0.%d:80", i+1)
		fmt.Fprintf(&want, "-A %s -s rr\n", v)
		for j := range servers {
			fmt.Fprintf(&want, "-a %s -r 10.1.0.%d:80 -m -w %d\n", v, j+1, i+j)
		}
	}
	if n := strings.Count(want.String(), "\n"); n <= 2*admin.MaxCommands {
		t.Fatalf("%d lines are no large table", n)
	}
	in.WriteString("-E -t 10.0.0.1:81 -s rr\n" + want.String())
	in.WriteString("-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m\n")
	_, stderr, code := d.run(in.String(), "ipvsadm", "-R")
	if code != ipvsadm.ExitRefused || stderr != "No such service\nDestination already exists\n" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	if got, _, _ := d.run("", "ipvsadm", "-Sn"); got != want.String() {
		t.Errorf("the table has %d lines, want %d", strings.Count(got, "\n"), strings.Count(want.String(), "\n"))
	}
	_, stderr, code = d.run("-C\n-A nonsense\n-A -t 10.0.0.1:80 -s rr\n", "ipvsadm", "-R")
	if got, _, _ := d.run("", "ipvsadm", "-Sn"); got != "" || code != 2 || stderr != "unexpected argument nonsense\n" {
		t.Errorf("exit code %d, %q, then\n%s", code, stderr, got)
	}
	_, stderr, code = d.run("-R\n", "ipvsadm", "-R")
	if code != ipvsadm.ExitRefused || !strings.HasPrefix(stderr, "Try `ipvsadm -h'") {
		t.Errorf("-R inside of -R: exit code %d, %q", code, stderr)
	}
}

// TestHandEditsShow: an edit is in the table, in the status and among the events.
func TestHandEditsShow(t *testing.T) {
	d := startDirector(t, configured)
	if _, stderr, code := d.run("", "lvsadm", "-d", "-t", "172.16.1.11:80", "-r", "192.168.0.102:80"); code != 0 {
		t.Fatal(stderr)
	}
	if _, stderr, code := d.run("", "lvsadm", "-a", "-t", "172.16.1.11:80", "-r", "192.168.0.103:80", "-m"); code != 0 {
		t.Fatal(stderr)
	}
	stdout, _, code := d.run("", "lvsadm", "-L", "--json")
	var table []service.Snapshot
	if err := json.Unmarshal([]byte(stdout), &table); err != nil || code != 0 || len(table) != 1 || len(table[0].Servers) != 2 || len(table[0].Out) != 1 {
		t.Errorf("exit code %d, %v, %s", code, err, stdout)
	}
	client := admin.NewClient(d.path)
	defer client.Close()
	status, err := client.Status(t.Context())
	if err != nil || len(status.Services) != 1 || len(status.Services[0].Servers) != 3 {
		t.Fatalf("status: %+v, %v", status, err)
	}
	for _, r := range status.Services[0].Servers {
		if r.Origin == service.Configured && (r.Check == nil || !r.Check.OK || r.Since.IsZero()) {
			t.Errorf("%s was not checked: %+v", r.Addr, r)
		}
	}
	stdout, _, code = d.run("", "lvsadm", "watch", "--count", "2", "--interval", "10ms")
	for _, words := range []string{"tcp 172.16.1.11:80 wrr 2 up", "192.168.0.101:80 up 3 0 0", "192.168.0.102:80 removed 0 0 0", "192.168.0.103:80 by hand 1 0 0"} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), words) {
			t.Errorf("no %q (exit code %d) in\n%s", words, code, stdout)
		}
	}
	if strings.Count(stdout, "STATE") != 2 || strings.Contains(stdout, "\x1b") {
		t.Errorf("not two plain views:\n%s", stdout)
	}
}

// TestConns: a connection that the director carries is listed while it lasts.
func TestConns(t *testing.T) {
	a := startSite(t, "a", "127.0.0.2")
	vip, inherit := reserve(t)
	d := startDirectorWith(t, "", userspace.New(userspace.Options{Inherit: inherit}))
	if _, stderr, code := d.run("-A -t "+vip+" -s rr\n-a -t "+vip+" -r "+a.addr+" -m\n", "ipvsadm", "-R"); code != 0 {
		t.Fatal(stderr)
	}
	conn, err := net.Dial("tcp", vip)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := fmt.Sprintf("%-18s %-18s %s", conn.LocalAddr(), vip, a.addr)
	stdout := ""
	for deadline := time.Now().Add(patience); !strings.Contains(stdout, want); time.Sleep(10 * time.Millisecond) {
		var stderr string
		var code int
		if stdout, stderr, code = d.run("", "ipvsadm", "-Lnc"); code != 0 || time.Now().After(deadline) {
			t.Fatalf("exit code %d, %q, no %q in\n%s", code, stderr, want, stdout)
		}
	}
	if !strings.HasPrefix(stdout, "IPVS connection entries\npro expire state       source             virtual            destination\nTCP ") {
		t.Errorf("got\n%s", stdout)
	}
	if stdout, _, code := d.run("", "lvsadm", "-Lc", "--json"); code != 0 || !strings.Contains(stdout, `"client":"`+conn.LocalAddr().String()+`"`) {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

// TestWatch: on a terminal each view clears the one before, events come in, and the end of the context is no error.
func TestWatch(t *testing.T) {
	d := startDirector(t, configured)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out := &safeBuffer{}
	p := lvsadm.Program{Stdout: out, Stderr: out, Terminal: true}
	done := make(chan int)
	go func() {
		done <- p.Run(ctx, []string{"lvsadm", "watch", "--interval", "10ms"}, func(string) string { return d.path })
	}()
	d.run("", "lvsadm", "-a", "-t", "172.16.1.11:80", "-r", "192.168.0.103:80", "-m")
	for !strings.Contains(out.String(), "172.16.1.11:80 192.168.0.103:80 server added: by hand") {
		select {
		case code := <-done:
			t.Fatalf("exit code %d: %s", code, out)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if code := <-done; code != 0 || !strings.HasPrefix(out.String(), "\x1b[H\x1b[2J") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
