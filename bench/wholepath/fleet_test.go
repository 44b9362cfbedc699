package wholepath

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/load/counterpage"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
	"github.com/lvsession/lvsession/sessionstore/client"
	"github.com/lvsession/lvsession/sessionstore/gorilla"
)

// The test binary is a Go real server when this variable holds its address.
const (
	beServer      = "LVSESSION_TEST_SERVER"
	envLabel      = "SERVER_LABEL"
	envEndpoints  = "LVSESSION_ENDPOINTS"
	cookieKey     = "the key of a test, the same on each server"
	startPatience = time.Minute
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(beServer); addr != "" {
		log.Fatal(serveGo(addr))
	}
	os.Exit(child.Main(m))
}

// serveGo is a Go real server: the counter page over gorilla/sessions and sessiond, and the page for health checks.
func serveGo(addr string) error {
	sessions, err := client.New(strings.Split(os.Getenv(envEndpoints), ","), "go", client.Options{})
	if err != nil {
		return err
	}
	store := gorilla.New(sessions, []byte(cookieKey))
	http.Handle("/", counterpage.Handler(os.Getenv(envLabel), counterpage.Gorilla(store, "visits")))
	http.HandleFunc(phpfpm.HealthPath, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, phpfpm.HealthBody) })
	return http.ListenAndServe(addr, nil)
}

// fleet starts the parts of a site.
type fleet struct {
	*testing.T
	dir       string   // of the programs and their files
	tags      string   // that they are built with
	buildEnv  []string // and environment variables
	endpoints []string
}

// build builds the product's programs.
func (f *fleet) build(programs ...string) {
	f.Helper()
	for _, p := range programs {
		cmd := exec.Command("go", "build", "-tags", f.tags, "-o", f.dir, "github.com/lvsession/lvsession/cmd/"+p)
		cmd.Env = append(os.Environ(), f.buildEnv...)
		if out, err := cmd.CombinedOutput(); err != nil {
			f.Fatalf("build %s: %v\n%s", p, err, out)
		}
	}
}

// run starts a program whose log is shown if the test fails.
func (f *fleet) run(name string, env []string, program string, args ...string) *child.Process {
	f.Helper()
	path := filepath.Join(f.dir, name+".log")
	file, err := os.Create(path)
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = file, file
	p, err := child.Start(cmd)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		p.Kill()
		if f.Failed() {
			f.Logf("%s:\n%s", name, child.Tail(path, 30))
		}
	})
	return p
}

func (f *fleet) addr() string {
	f.Helper()
	port, err := child.Port()
	if err != nil {
		f.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// await waits until a page answers with 200.
func (f *fleet) await(url string, p *child.Process) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), startPatience)
	defer cancel()
	for ; ctx.Err() == nil && p.Alive(); time.Sleep(20 * time.Millisecond) {
		r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == 200 {
			return
		}
	}
	f.Fatalf("%s does not answer", url)
}

// schema lets sessiond install its tables.
func (f *fleet) schema(dsn string) {
	f.Helper()
	out, err := exec.Command(filepath.Join(f.dir, "sessiond"), "schema", "apply", "--dsn", dsn).CombinedOutput()
	if err != nil {
		f.Fatalf("schema apply: %v\n%s", err, out)
	}
	f.Logf("%s", out)
}

// onSQL are the options of a sessiond on all SQL nodes.
func onSQL(dsns []string) []string {
	args := []string{"--store", "mysql"}
	for _, dsn := range dsns {
		args = append(args, "--dsn", dsn)
	}
	return args
}

// sessiond starts one with options that tell it its store.
func (f *fleet) sessiond(name string, store []string) *child.Process {
	f.Helper()
	addr := f.addr()
	args := append([]string{"--http", addr}, store...)
	p := f.run(name, nil, filepath.Join(f.dir, "sessiond"), args...)
	f.await("http://"+addr+"/readyz", p)
	f.endpoints = append(f.endpoints, "http://"+addr)
	return p
}

// goServer starts a Go real server and returns its address.
func (f *fleet) goServer(name string) (*child.Process, string) {
	f.Helper()
	addr := f.addr()
	env := []string{beServer + "=" + addr, envLabel + "=" + name, envEndpoints + "=" + strings.Join(f.endpoints, ",")}
	p := f.run(name, env, os.Args[0])
	f.await("http://"+addr+phpfpm.HealthPath, p)
	return p, addr
}

// phpServer starts nginx and php-fpm with the PHP package's counter page.
func (f *fleet) phpServer(name string) *phpfpm.Server {
	f.Helper()
	root, err := filepath.Abs("../../phpclient/examples")
	if err != nil {
		f.Fatal(err)
	}
	return phpfpm.Start(f.T, phpfpm.Options{Root: root, Children: 8, Env: map[string]string{
		envLabel: name, envEndpoints: strings.Join(f.endpoints, ","), "LVSESSION_NAMESPACE": "php",
		// A real server that is killed leaves its sessions locked for so long; their users wait, but less than they
		// have patience.
		"LVSESSION_LOCK_TTL_MS": "4000", "LVSESSION_LOCK_WAIT_MS": "8000",
	}})
}

// director starts lvsproxy on an ldirectord.cf and waits until it is ready for connections.
func (f *fleet) director(file string, vips ...string) *child.Process {
	f.Helper()
	path := filepath.Join(f.dir, "ldirectord.cf")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		f.Fatal(err)
	}
	p := f.run("lvsproxy", nil, filepath.Join(f.dir, "lvsproxy"), "--config", path, "--admin", f.admin())
	for _, vip := range vips {
		f.await("http://"+vip+phpfpm.HealthPath, p)
	}
	return p
}

func (f *fleet) admin() string { return filepath.Join(f.dir, "lvsproxy.sock") }

// table returns what the operator sees.
func (f *fleet) table() string {
	f.Helper()
	out, err := exec.Command(filepath.Join(f.dir, "lvsproxy"), "table", "--admin", f.admin()).CombinedOutput()
	if err != nil {
		f.Fatalf("lvsproxy table: %v\n%s", err, out)
	}
	return string(out)
}
