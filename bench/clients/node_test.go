package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// packages are what the express page needs, pinned.
var packages = []string{"connect-redis@9.0.0", "redis@5.12.1", "express-session@1.19.0"}

func TestConnectRedis(t *testing.T) {
	node, npm := need.Program(t, "node", "nodejs"), need.Program(t, "npm", "npm")
	dir := t.TempDir()
	install := exec.Command(npm, append([]string{"install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"}, packages...)...)
	install.Dir = dir
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true,"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	script, err := os.ReadFile("testdata/express.js")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "express.js"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t)
	run := exec.CommandContext(t.Context(), node, "express.js", d.redis)
	run.Dir = dir
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		var said struct {
			What  string `json:"what"`
			Value any    `json:"value"`
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		got = append(got, fmt.Sprintf("%s: %v", said.What, said.Value))
	}
	want := []string{
		"seen: 1 2 2 3 ok 101 1", "length: 2", "all: 1 101", "ttl: true", "destroy: ok", "after destroy: none",
		"length: 1", "length: 0", "pipeline: true", "values: true",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
