package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/client"
)

// The test binary is sessiond itself when this variable is set.
const beSessiond = "LVSESSION_TEST_SESSIOND"

func TestMain(m *testing.M) {
	if os.Getenv(beSessiond) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// daemon is a running sessiond.
type daemon struct {
	*child.Process
	url string
	log string
}

// start runs sessiond on a free port and waits until it is ready.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	return startProgram(t, os.Args[0], args...)
}

// startProgram does that with the program at a path.
func startProgram(t *testing.T, program string, args ...string) *daemon {
	t.Helper()
	port, err := child.Port()
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	d := &daemon{url: "http://" + addr, log: filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(d.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, append([]string{"--http", addr}, args...)...)
	cmd.Env = append(os.Environ(), beSessiond+"=1")
	cmd.Stdout, cmd.Stderr = log, log
	if d.Process, err = child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	d.await(t)
	return d
}

func (d *daemon) await(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(d.url + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == 200 {
				return
			}
		}
		if !d.Alive() {
			break
		}
	}
	t.Fatalf("sessiond is not ready: %s", child.Tail(d.log, 10))
}

func (d *daemon) sessions(t *testing.T) sessionstore.Sessions {
	t.Helper()
	c, err := client.New([]string{d.url}, "shop", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c.Shutdown(ctx)
	})
	return c
}

// TestKilledUnderWriteLoad kills sessiond with SIGKILL while 32 clients write, and asserts that every write which was
// acknowledged is there after the restart.
func TestKilledUnderWriteLoad(t *testing.T) {
	data := t.TempDir()
	acknowledged := map[string]uint64{}
	for round := range 3 {
		d := start(t, "--data", data)
		verify(t, d.sessions(t), acknowledged)
		var mu sync.Mutex
		var wg sync.WaitGroup
		sessions := d.sessions(t)
		enough := make(chan struct{})
		for range 32 {
			wg.Go(func() {
				id, version := sessionstore.NewID(), uint64(0)
				for {
					var err error
					version, err = sessions.Write(t.Context(), id, sessionstore.WriteOptions{Payload: numbered(version + 1), IfVersion: version})
					if err != nil {
						return // killed
					}
					mu.Lock()
					acknowledged[id] = version
					if len(acknowledged) == 32*(round+1) && version > 10 {
						select {
						case <-enough:
						default:
							close(enough)
						}
					}
					mu.Unlock()
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(time.Minute):
			t.Fatal("32 clients did not write ten versions each within a minute")
		}
		d.Kill()
		wg.Wait()
	}
	d := start(t, "--data", data)
	verify(t, d.sessions(t), acknowledged)
	if len(acknowledged) != 96 {
		t.Fatalf("%d sessions were written, want 96", len(acknowledged))
	}
}

// numbered is the payload of a version: 2 KB that tell which one it is.
func numbered(version uint64) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint64(nil, version), 256)
}

// verify asserts that each session is there at the version that was acknowledged last, or at the one that was in flight
// after it.
func verify(t *testing.T, s sessionstore.Sessions, acknowledged map[string]uint64) {
	t.Helper()
	for id, version := range acknowledged {
		got, err := s.Read(t.Context(), id)
		if err != nil || got.Version < version || got.Version > version+1 || !bytes.Equal(got.Payload, numbered(got.Version)) {
			t.Fatalf("version %d was acknowledged; read version %d, %d bytes, %v", version, got.Version, len(got.Payload), err)
		}
	}
}

func TestSecondSessiondOnOneDirectory(t *testing.T) {
	data := t.TempDir()
	start(t, "--data", data)
	out, err := output(t, "--data", data, "--http", "127.0.0.1:0")
	if err == nil || !strings.Contains(out, "another") {
		t.Fatalf("%v: %s", err, out)
	}
}

// output runs sessiond to its end.
func output(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), beSessiond+"=1")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("sessiond %v did not end: %s", args, out)
	}
	return string(out), err
}

func TestDrain(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	d := start(t, "--store", "memory", "--drain", "300ms", "--unix", socket)
	s := d.sessions(t)
	id := sessionstore.NewID()
	if _, err := s.Write(t.Context(), id, sessionstore.WriteOptions{Payload: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	held, err := s.Open(t.Context(), id, sessionstore.OpenOptions{Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	waiter := make(chan error)
	go func() {
		_, err := s.Open(t.Context(), id, sessionstore.OpenOptions{Lock: true})
		waiter <- err
	}()
	if err := d.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for { // it says that it drains, and still serves
		res, err := http.Get(d.url + "/readyz")
		if err != nil {
			t.Fatalf("connections are refused before the drain time is over: %v", err)
		}
		res.Body.Close()
		if res.StatusCode == 503 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := s.Close(t.Context(), id, held.Lease.Token); err != nil {
		t.Fatal(err)
	}
	if err := <-waiter; err != nil {
		t.Fatalf("the request in flight: %v", err)
	}
	select {
	case <-d.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("sessiond does not end")
	}
	if err := d.Err(); err != nil {
		t.Fatalf("sessiond ended with %v: %s", err, child.Tail(d.log, 10))
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the Unix socket is left behind: %v", err)
	}
	log, _ := os.ReadFile(d.log)
	if strings.Contains(string(log), id) {
		t.Error("a session id is in the log")
	}
}

func TestStaleUnixSocketIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	d := start(t, "--store", "memory", "--unix", socket)
	if out, err := output(t, "--store", "memory", "--http", "", "--unix", socket); err == nil || !strings.Contains(out, "another process") {
		t.Fatalf("a socket in use: %v: %s", err, out)
	}
	d.Kill()
	start(t, "--store", "memory", "--unix", socket)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	b := make([]byte, 15)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "HTTP/1.1 200 OK" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestCommandLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("idle = 1h\nfrobnicate = yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--help", 0, "--lock-wait DURATION"},
		{"--print-config --idle 1h", 0, "idle = 1h0m0s\n"},
		{"--print-config --dsn root:hunter2@tcp(h:1)/d", 0, "dsn = root:***@tcp(h:1)/d"},
		{"--print-config --dsn hunter2", 0, "dsn = (malformed)\n"},
		{"--print-config --config ../../deploy/sessiond/sessiond.conf", 0, "data = /var/lib/sessiond/data"},
		{"--frobnicate", 2, "not defined: -frobnicate"},
		{"serve please", 2, "unexpected argument"},
		{"--config " + file, 2, file + ":2: unknown setting"},
		{"--idle forever", 2, "invalid value"},
		{"--idle 0s", 2, "idle time-out"},
		{"--namespace shop:idle=1h,locking=lease --namespace api:locking=none --print-config", 0, "namespace = api:locking=none\n"},
		{"--namespace shop", 2, "NAME:setting=value"},
		{"--namespace shop:idel=1h", 2, "one of absolute"},
		{"--namespace shop:idle=long", 2, "--namespace shop: idle"},
		{"--namespace Shop:idle=1h", 2, "a namespace consists of"},
		{"--namespace shop:locking=spin", 2, "client, lease, optimistic and none"},
		{"--on-locked cry", 2, "fail, read-only and go-on"},
		{"--store redis", 2, "embedded, memory, mysql and ndbapi"},
		{"--store mysql", 2, "needs --dsn"},
		{"--store mysql --dsn root:hunter2@@tcp(", 1, "DSN"},
		{"--dsn u:hunter2@tcp(h:1)/d", 2, "--store mysql"},
		{"--store ndbapi --ndb-connect 127.0.0.1:1", 2, "--ndb-database"},
		{"--store ndbapi --ndb-connect 127.0.0.1:1 --ndb-database x", 1, noCluster},
		{"--ndb-connect 127.0.0.1:1 --store memory", 2, "--store ndbapi"},
		{"--http=", 2, "nothing to serve on"},
		{"--secret shop=hunter2 --print-config", 0, "secret = shop=***\n"},
		{"--secret hunter2 --print-config", 0, "secret = ***\n"},
		{"--secret hunter2", 2, "NAMESPACE=SECRET"},
		{"--secrets-file /nowhere", 2, "--secrets-file"},
		{"--redis-tls 127.0.0.1:0", 2, "need --tls-cert"},
		{"--redis-tls 127.0.0.1:0 --tls-cert /nowhere --tls-key /nowhere --store memory", 1, "TLS certificate"},
		{"--redis 127.0.0.1:0 --redis-namespace Shop --store memory --http 127.0.0.1:0", 1, "--redis-namespace Shop"},
		{"--redis-lock-wait -1s", 2, "--redis-lock-wait"},
		{"--create-rate -1", 2, "--create-rate"},
		{"--store memory --http " + taken.Addr().String(), 1, "address already in use"},
		{"--data /proc/nowhere", 1, "--data /proc/nowhere"},
		{"schema", 2, "print or apply"},
		{"schema print", 0, "NDBCLUSTER"},
		{"schema print --engine innodb", 0, "InnoDB"},
		{"schema print --engine myisam", 2, "ndb and innodb"},
		{"schema apply", 2, "needs --dsn"},
		{"schema apply --dsn hunter2:hunter2", 2, "DSN"},
		{"schema apply --dsn u:hunter2@tcp(127.0.0.1:1)/d --engine innodb --unlogged", 1, "no unlogged tables"},
	} {
		t.Run(c.args, func(t *testing.T) {
			out, err := output(t, strings.Fields(c.args)...)
			code := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			}
			if code != c.code || !strings.Contains(out, c.want) || strings.Contains(out, "hunter2") {
				t.Fatalf("exit code %d, want %d; output should say %q:\n%s", code, c.code, c.want, out)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("SESSIOND_IDLE", "17m")
	t.Setenv("SESSIOND_DSN", fmt.Sprintf("%s %s", "a:b@tcp(one:1)/d", "a:b@tcp(two:1)/d"))
	out, err := output(t, "--print-config")
	if err != nil || !strings.Contains(out, "idle = 17m0s\n") || strings.Count(out, "dsn = a:***@") != 2 {
		t.Fatalf("%v:\n%s", err, out)
	}
}
