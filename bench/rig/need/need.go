// Package need states what a test needs of its machine. On a developer's machine a test without it is skipped in one
// line; where LVSESSION_NO_SKIP is set, as in CI, it fails instead, so that no skip can hide a regression.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// NoSkip is the environment variable that turns every skip into a failure.
const NoSkip = "LVSESSION_NO_SKIP"

// Skip ends the test because the machine lacks something. The reason says in one line what, and how to get it.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(NoSkip) != "" {
		t.Fatalf("%s (and %s is set)", reason, NoSkip)
	}
	t.Skip(reason)
}

// Program returns the path of a program that the test runs, or skips the test. pkg is the Debian package that has it.
func Program(t testing.TB, name, pkg string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	Skip(t, name+" is not installed: apt-get install "+pkg)
	return ""
}
