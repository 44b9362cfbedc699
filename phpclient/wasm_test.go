package phpclient_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// wasm is a Node.js process with PHP in WebAssembly, in versions that Debian does not have.
type wasm struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// startWasm starts the process for one sessiond. It ends with the test.
func startWasm(t *testing.T, endpoint string) *wasm {
	t.Helper()
	node := need.Program(t, "node", "nodejs")
	dir := t.TempDir()
	err := os.CopyFS(dir, os.DirFS("tests/wasm"))
	if err == nil {
		err = os.Symlink(filepath.Join(installWasm(t), "node_modules"), filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "run.mjs", packageDir(t), strings.TrimPrefix(endpoint, "http://"))
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // the script ends by that
		cmd.Wait() // or was killed with the test's context
	})
	return &wasm{in, bufio.NewReader(out)}
}

// run runs a page of tests/scripts.
func (w *wasm) run(t *testing.T, version, page, query, cookie string) (text, set string) {
	t.Helper()
	request, err := json.Marshal(map[string]string{
		"version": version, "script": "/package/tests/scripts/" + page, "query": query, "cookie": cookie,
	})
	if err == nil {
		_, err = w.in.Write(append(request, '\n'))
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := w.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("PHP %s in WebAssembly does not answer: %v", version, err)
	}
	var answer struct {
		Text    string   `json:"text"`
		Cookies []string `json:"cookies"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return answer.Text, sessionCookie(answer.Cookies)
}

// installWasm returns the folder with the npm packages of tests/wasm, as its lock file has them. They are large, so they
// stay in the user's cache.
func installWasm(t *testing.T) string {
	t.Helper()
	npm := need.Program(t, "npm", "npm")
	lock, err := os.ReadFile("tests/wasm/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "lvsession", fmt.Sprintf("php-wasm-%x", sha256.Sum256(lock))[:20])
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "fresh-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	if err := os.CopyFS(fresh, os.DirFS("tests/wasm")); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	install.Dir = fresh
	if output, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, output)
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		if _, gone := os.Stat(dir); gone != nil { // else another process was faster
			t.Fatal(err)
		}
	}
	return dir
}
