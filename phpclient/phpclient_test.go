// Package phpclient_test runs the tests of the PHP package, so that go test covers it too.
package phpclient_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
)

// TestPHPUnit runs PHPUnit on a sessiond built from this tree.
func TestPHPUnit(t *testing.T) {
	phpunit := need.Program(t, "phpunit", "phpunit")
	dependOn(t, ".", "../cmd/sessiond", "../sessionstore")
	sessiond := filepath.Join(t.TempDir(), "sessiond")
	run(t, exec.Command("go", "build", "-o", sessiond, "github.com/lvsession/lvsession/cmd/sessiond"))
	tests := exec.Command(phpunit)
	// A folder for temporary files of its own: the breaker's must not outlive the test's ports.
	tests.Env = append(os.Environ(), "LVSESSION_SESSIOND="+sessiond, "TMPDIR="+t.TempDir())
	t.Logf("%s", run(t, tests))
}

// startSessiond starts a sessiond of this tree, for one test, and returns its URL.
func startSessiond(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, err := sessiond.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	server, err := program.Start(t.Context(), filepath.Join(dir, "log"), "--store", "memory")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server.URL()
}

// TestPHPCodeSniffer holds the package against PSR-12.
func TestPHPCodeSniffer(t *testing.T) {
	dependOn(t, ".")
	run(t, exec.Command(need.Program(t, "phpcs", "php-codesniffer"), "-q"))
}

// dependOn makes the go command see that the test depends on folders which only its child processes read: it would take
// an old result from its cache otherwise.
func dependOn(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
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
}

// run runs a program in the package's folder and returns its output.
func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(cmd.Path), err, output)
	}
	return output
}
