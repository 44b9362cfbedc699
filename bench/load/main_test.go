package load_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/child"
)

// What the test program is told to be instead of the tests: a site at an address, or a load with a configuration in JSON.
const (
	asSite = "LOAD_TEST_SITE"
	asLoad = "LOAD_TEST_LOAD"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(asSite); addr != "" {
		_, server := siteOf("web1")
		server.Addr = addr
		fmt.Fprintln(os.Stderr, server.ListenAndServe())
		os.Exit(1)
	}
	if config := os.Getenv(asLoad); config != "" {
		os.Exit(loadOnly(config))
	}
	goleak.VerifyTestMain(m)
}

// loadOnly makes a load and writes its result.
func loadOnly(config string) int {
	var c load.Config
	err := json.Unmarshal([]byte(config), &c)
	if err == nil {
		var r *load.Result
		if r, err = load.Run(context.Background(), c, nil); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// loadIn has a command that is to start this program make the load, and returns its result.
func loadIn(t *testing.T, cmd *exec.Cmd, c load.Config) *load.Result {
	t.Helper()
	config, err := json.Marshal(c.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), asLoad+"="+string(config))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var r load.Result
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// siteIn has a command that is to start this program show a site at the address, until the test ends.
func siteIn(t *testing.T, cmd *exec.Cmd, addr string, reach func() error) *child.Process {
	t.Helper()
	cmd.Env = append(os.Environ(), asSite+"="+addr)
	cmd.Stderr = os.Stderr
	p, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	for end := time.Now().Add(10 * time.Second); ; {
		if err := reach(); err == nil {
			return p
		} else if time.Now().After(end) || !p.Alive() {
			t.Fatalf("the site is not reached: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// siteProcess is a site in a process of its own.
func siteProcess(t *testing.T) (p *child.Process, addr string) {
	t.Helper()
	port, err := child.Port()
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	return siteIn(t, exec.Command(os.Args[0]), addr, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}), addr
}
