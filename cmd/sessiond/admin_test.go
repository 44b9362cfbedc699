package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/archive"
	"github.com/lvsession/lvsession/sessionstore/embedded"
)

// administer runs sessiond admin and returns what it prints.
func administer(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := runAdmin(t.Context(), args, &out)
	return out.String(), err
}

func mustAdminister(t *testing.T, want string, args ...string) string {
	t.Helper()
	out, err := administer(t, args...)
	if err != nil || !strings.Contains(out, want) {
		t.Fatalf("admin %v: %q, %v; want %q", args, out, err, want)
	}
	return out
}

// stocked returns a folder with a store of three sessions of alice's, two of bob's and one of another namespace, each of
// which lives for an hour.
func stocked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	with(t, dir, func(s *embedded.Store) {
		for i, who := range []string{"alice", "bob", "alice", "bob", "alice", ""} {
			w := sessionstore.Write{Payload: bytes.Repeat([]byte("x"), i*1000), Idle: time.Hour, Namespace: "shop", Subject: sessionstore.NewSubject("shop", who)}
			if who == "" {
				w.Namespace, w.Subject = "api", sessionstore.Key{}
			}
			if _, err := s.Write(t.Context(), sessionstore.NewKey(w.Namespace, sessionstore.NewID()), w); err != nil {
				t.Fatal(err)
			}
		}
	})
	return dir
}

func with(t *testing.T, dir string, do func(*embedded.Store)) {
	t.Helper()
	s, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	do(s)
	if err := errors.Join(s.Check(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAdminCountListDestroy(t *testing.T) {
	dir := stocked(t)
	if got := mustAdminister(t, "total", "count", "--data", dir); strings.Join(strings.Fields(got), " ") != "api 1 shop 5 total 6" {
		t.Errorf("count: %q", got)
	}
	mustAdminister(t, "total  0", "count", "--data", dir, "--expires-within", "1m")
	if got := mustAdminister(t, "KEY", "list", "--data", dir, "--namespace", "shop"); strings.Count(got, "\tshop\t") != 5 || strings.Contains(got, "alice") {
		t.Errorf("list: %q", got)
	}
	if got := mustAdminister(t, "KEY", "list", "--data", dir, "--limit", "2"); strings.Count(got, "\n") != 3 {
		t.Errorf("list of two: %q", got)
	}
	mustAdminister(t, "3 sessions destroyed", "destroy", "--data", dir, "--namespace", "shop", "--subject", "alice")
	mustAdminister(t, "0 sessions destroyed", "destroy", "--data", dir, "--namespace", "shop", "--subject", "alice")
	mustAdminister(t, "shop   2", "count", "--data", dir)
}

func TestAdminMovesAStore(t *testing.T) {
	from, to, file := stocked(t), filepath.Join(t.TempDir(), "new"), filepath.Join(t.TempDir(), "sessions")
	mustAdminister(t, "6 sessions exported", "export", "--data", from, "--file", file)
	mustAdminister(t, "6 sessions imported, 0 left as the store has them, 0 had expired", "import", "--data", to, "--file", file)
	mustAdminister(t, "0 sessions imported, 6 left", "import", "--data", to, "--file", file, "--replace")
	mustAdminister(t, "3 sessions destroyed", "destroy", "--data", to, "--namespace", "shop", "--subject", "alice")
	mustAdminister(t, "0 sessions imported, 6 left", "import", "--data", to, "--file", file)
	if _, err := os.Stat(file + ".part"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a part is left: %v", err)
	}
}

// TestAdminRefusesACutArchive: not one session of it is stored.
func TestAdminRefusesACutArchive(t *testing.T) {
	file, to := filepath.Join(t.TempDir(), "sessions"), t.TempDir()
	mustAdminister(t, "6 sessions exported", "export", "--data", stocked(t), "--file", file)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := administer(t, "import", "--data", to, "--file", file); !errors.Is(err, archive.ErrDamaged) || out != "" {
		t.Errorf("import of a cut archive: %q, %v", out, err)
	}
	mustAdminister(t, "total  0", "count", "--data", to)
}

func TestAdminMistakes(t *testing.T) {
	dir := stocked(t)
	for want, args := range map[string][]string{
		"there are count":    {"sing"},
		"needs --namespace":  {"count", "--data", dir, "--subject", "alice"},
		"destroy needs":      {"destroy", "--data", dir},
		"export needs":       {"export", "--data", dir},
		"needs --dsn":        {"count", "--store", "mysql"},
		"there are embedded": {"count", "--store", "memory"},
		"no such file":       {"count", "--data", filepath.Join(dir, "nowhere")},
	} {
		if out, err := administer(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("admin %v: %q, %v; want %q", args, out, err, want)
		}
	}
	with(t, dir, func(*embedded.Store) {
		if _, err := administer(t, "count", "--data", dir); !errors.Is(err, embedded.ErrInUse) || !strings.Contains(err.Error(), "stop that sessiond") {
			t.Errorf("a store in use: %v", err)
		}
	})
	mustAdminister(t, "sessiond admin COMMAND", "--help")
}
