package lvsproxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// nginx is an nginx that serves one folder at one address.
type nginx struct {
	t       testing.TB
	program string
	dir     string
	addr    string
	cmd     *exec.Cmd
}

func newNginx(t testing.TB, ip, page string) *nginx {
	t.Helper()
	program := need.Program(t, "nginx", "nginx-light")
	l, err := net.Listen("tcp", ip+":0") // an address of its own: the port stays free
	if err != nil {
		t.Fatal(err)
	}
	n := &nginx{t: t, program: program, dir: t.TempDir(), addr: l.Addr().String()}
	l.Close()
	if err := os.Chmod(n.dir, 0o755); err != nil { // workers may run as another user
		t.Fatal(err)
	}
	n.write("lvscheck.html", "Check: fine\n")
	n.write("index.html", page)
	n.write("nginx.conf", fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
server { listen %[2]s; root %[1]s; } }
`, n.dir, n.addr))
	n.start()
	t.Cleanup(n.kill)
	return n
}

func (n *nginx) write(name, text string) {
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

func (n *nginx) start() {
	n.cmd = exec.Command(n.program, "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"))
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// kill is kill -9.
func (n *nginx) kill() {
	n.cmd.Process.Kill()
	n.cmd.Wait()
}

// TestNginx: the talk's negotiate check against nginx. The check's page, not the server, decides; a killed server is
// taken out and comes back.
func TestNginx(t *testing.T) {
	one, two := newNginx(t, "127.0.0.2", "one"), newNginx(t, "127.0.0.3", "two")
	v := vips{}
	vip := v.add(t, "127.0.0.1")
	d := run(t, v, "virtual="+vip+`
	real=`+one.addr+` masq
	real=`+two.addr+` masq
	service=http
	request="lvscheck.html"
	receive="C.*"
	scheduler=wrr
	protocol=tcp
	checktype=negotiate
`, lvsproxy.Options{})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	get := func() string {
		t.Helper()
		answer, err := client.Get("http://" + vip + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", answer.Status, err)
		}
		return string(body)
	}
	up := func(n *nginx) bool {
		return len(d.Table()[0].Servers) > 0 && strings.Contains(d.listed(), n.addr+"=1")
	}
	for _, n := range []*nginx{one, two} { // nginx may have come after the first check
		for deadline := time.Now().Add(patience); !up(n) && time.Now().Before(deadline); {
			d.await(service.ServerUp, n.addr)
		}
	}
	alternate := func(when string) {
		t.Helper()
		a, b, c, e := get(), get(), get(), get()
		if a == b || a != c || b != e {
			t.Errorf("%s: answers from %s %s %s %s, want them in turn", when, a, b, c, e)
		}
	}
	alternate("at first")

	two.write("lvscheck.html", "broken\n")
	if e := d.await(service.ServerDown, two.addr); !strings.Contains(e.Reason, "does not match receive") {
		t.Errorf("reason: %s", e.Reason)
	}
	if a, b := get(), get(); a != "one" || b != "one" {
		t.Errorf("answers from %s %s while the check of two fails", a, b)
	}
	two.write("lvscheck.html", "C\n")
	d.await(service.ServerUp, two.addr)
	alternate("after two is well again")

	one.kill()
	for range 20 { // before and after the checks notice
		if got := get(); got != "two" {
			t.Errorf("answer from %s", got)
		}
	}
	d.await(service.ServerDown, one.addr)
	one.start()
	d.await(service.ServerUp, one.addr)
	alternate("after one is back")
}
