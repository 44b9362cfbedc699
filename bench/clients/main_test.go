package clients

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
)

// program is the sessiond under test, built once.
var program = sync.OnceValues(func() (*sessiond.Program, error) {
	return sessiond.Build(context.Background(), buildDir)
})

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "clients")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// daemon is a running sessiond on the embedded store.
type daemon struct {
	*testing.T
	*sessiond.Server
	redis  string // host:port
	socket string
}

// start starts a sessiond with all its Redis faces. A test that depends on the program depends on its sources, which the
// go command would not see: it would take an old result from its cache.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	for _, dir := range []string{"testdata", "../../cmd/sessiond", "../../sessionstore"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := program()
	if err != nil {
		t.Fatal(err)
	}
	port, err := child.Port()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "redis") // not t.TempDir: the path of a Unix socket must stay under 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{T: t, redis: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), socket: filepath.Join(dir, "s")}
	args = append([]string{"--data", filepath.Join(dir, "data"), "--redis", d.redis, "--redis-unix", d.socket}, args...)
	if d.Server, err = p.Start(t.Context(), filepath.Join(dir, "log"), args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sessiond: %s", d.Tail())
		}
		d.Stop()
	})
	return d
}

// version returns the version of a session of the default namespace as HTTP tells it, "" if there is no such session.
func (d *daemon) version(id string) string {
	d.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(fmt.Sprintf("%s/v1/default/sessions/%s", d.URL(), id))
	if err != nil {
		d.Fatal(err)
	}
	answer.Body.Close()
	return answer.Header.Get("ETag")
}
