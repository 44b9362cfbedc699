package clients

import (
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/need"
)

func TestRedisCLI(t *testing.T) {
	program := need.Program(t, "redis-cli", "redis-tools")
	d := start(t, "--secret", "default=hush", "--secret", "shop=one")
	host, port, err := net.SplitHostPort(d.redis)
	if err != nil {
		t.Fatal(err)
	}
	cli := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli %s: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	at := []string{"-h", host, "-p", port, "--no-auth-warning"}
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("redis-cli: %q, want %q", got, want)
		}
	}
	want(cli(append(at, "get", "k")...), "NOAUTH Authentication required.")
	want(cli(append(at, "-a", "hush", "set", "k", "v")...), "OK")
	want(cli(append(at, "-a", "hush", "-3", "get", "k")...), "v")
	want(cli(append(at, "--user", "shop", "--pass", "one", "get", "k")...), "")
	want(cli("-s", d.socket, "-a", "hush", "--no-auth-warning", "-n", "2", "dbsize"), "0")
	want(cli(append(at, "-a", "hush", "--scan", "--pattern", "x*")...), "")
	pipe := exec.Command(program, append(at, "-a", "hush")...)
	pipe.Stdin = strings.NewReader("hset h a 1 b 2\nhgetall h\nexpire h 60\npersist h\n")
	out, err := pipe.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want(strings.Join(strings.Fields(string(out)), " "), "2 a 1 b 2 1 1")
}

// Over TLS with certificates of both sides, which are replaced while sessiond runs.
func TestRedisCLIOverTLS(t *testing.T) {
	program := need.Program(t, "redis-cli", "redis-tools")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca := newAuthority(t, at("ca"))
	ca.issue(at("server"))
	ca.issue(at("client"))
	port, err := child.Port()
	if err != nil {
		t.Fatal(err)
	}
	start(t, "--redis-tls", "127.0.0.1:"+strconv.Itoa(port), "--tls-cert", at("server.crt"), "--tls-key", at("server.key"), "--tls-client-ca", at("ca.crt"))
	ping := func(more ...string) string {
		args := append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(port), "--tls", "--cacert", at("ca.crt")}, more...)
		out, _ := exec.Command(program, append(args, "ping")...).CombinedOutput() // what it says tells whether it worked
		return strings.TrimSpace(string(out))
	}
	ours := []string{"--cert", at("client.crt"), "--key", at("client.key")}
	if got := ping(ours...); got != "PONG" {
		t.Errorf("with a certificate: %s", got)
	}
	if got := ping(); got == "PONG" {
		t.Error("a client without a certificate is served")
	}
	ca.issue(at("server"))
	if got := ping(ours...); got != "PONG" {
		t.Errorf("with another certificate of the server: %s", got)
	}
}

func TestRedisBenchmark(t *testing.T) {
	program := need.Program(t, "redis-benchmark", "redis-tools")
	d := start(t)
	host, port, err := net.SplitHostPort(d.redis)
	if err != nil {
		t.Fatal(err)
	}
	for _, pipeline := range []string{"1", "32"} {
		out, err := exec.Command(program, "-h", host, "-p", port, "-t", "get,set", "-n", "2000", "-r", "100", "-P", pipeline, "--csv").CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"SET","`) || !strings.Contains(string(out), `"GET","`) || strings.Contains(string(out), "Error from server") {
			t.Errorf("pipelines of %s: %v\n%s", pipeline, err, out)
		}
	}
}
