package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// daemon is a server from a Debian package with its files in a folder of its own. In files and arguments, {dir} stands
// for that folder, {port} for the port and {tls} for a second one.
type daemon struct {
	program, pkg string
	user         string // to run as where the test is root, because the program refuses root
	files        map[string]string
	args         []string
	prepare      func(d *running) // runs before the start
	udp          bool             // listens on UDP alone, at {port}
}

// running is a daemon at work.
type running struct {
	t         *testing.T
	dir       string
	user      string
	port, tls int
	process   *child.Process
}

// start starts a daemon, waits until it listens, and ends it with the test.
func (d daemon) start(t *testing.T) *running {
	t.Helper()
	program := need.Program(t, d.program, d.pkg)
	r := &running{t: t, dir: t.TempDir()}
	if os.Getuid() == 0 {
		r.user = d.user
	}
	for _, dir := range []string{filepath.Dir(r.dir), r.dir} {
		if err := os.Chmod(dir, 0o755); err != nil { // the program may become another user
			t.Fatal(err)
		}
	}
	r.port, r.tls = freePort(t), freePort(t)
	for name, content := range d.files {
		r.write(name, r.fill(content))
	}
	if d.prepare != nil {
		d.prepare(r)
	}
	args := make([]string, len(d.args))
	for i, a := range d.args {
		args[i] = r.fill(a)
	}
	r.launch(program, args)
	r.await(d.udp)
	return r
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := child.Port()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (r *running) fill(text string) string {
	return strings.NewReplacer("{dir}", r.dir, "{port}", fmt.Sprint(r.port), "{tls}", fmt.Sprint(r.tls)).Replace(text)
}

func (r *running) write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// run runs a program to its end.
func (r *running) run(program string, args ...string) {
	r.t.Helper()
	cmd := r.command(program, args)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func (r *running) command(program string, args []string) *exec.Cmd {
	if r.user != "" {
		program, args = "setpriv", append([]string{"--reuid", r.user, "--regid", r.user, "--clear-groups", program}, args...)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = r.dir
	return cmd
}

func (r *running) launch(program string, args []string) {
	r.t.Helper()
	log, err := os.Create(r.log())
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	cmd := r.command(program, args)
	cmd.Stdout, cmd.Stderr = log, log
	if r.process, err = child.Start(cmd); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.process.Kill)
}

func (r *running) log() string { return filepath.Join(r.dir, "output.log") }

// await waits until the server listens. On UDP, a closed port answers by an error, and an open one not at all or somehow.
func (r *running) await(udp bool) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && r.process.Alive(); time.Sleep(10 * time.Millisecond) {
		if listens(r.addr().String(), udp) {
			return
		}
	}
	r.t.Fatalf("it does not listen:\n%s", child.Tail(r.log(), 20))
}

func listens(addr string, udp bool) bool {
	if !udp {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	c, err := net.Dial("udp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	c.Write([]byte{0})
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	timeout, ok := err.(net.Error)
	return err == nil || ok && timeout.Timeout()
}

func (r *running) addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(r.port))
}

func (r *running) tlsAddr() netip.AddrPort { return netip.AddrPortFrom(r.addr().Addr(), uint16(r.tls)) }

// certify puts a certificate that nobody has signed into the folder, as cert.pem and key.pem.
func (r *running) certify() {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"www.example"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		r.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	r.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}
