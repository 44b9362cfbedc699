package peers

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestINI(t *testing.T) {
	got, err := INI("phpredis-locking.ini", map[string]string{"Addr": "127.0.0.1:6379"})
	want := map[string]string{
		"session.save_handler": "redis", "session.save_path": `"tcp://127.0.0.1:6379?persistent=1"`,
		"redis.session.locking_enabled": "1", "redis.session.lock_retries": "-1",
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, name := range []string{"phpredis.ini", "none.ini"} {
		if _, err := INI(name, nil); err == nil {
			t.Errorf("%s without an address", name)
		}
	}
}

func TestFlags(t *testing.T) {
	got, err := Flags("memcached.conf", map[string]string{"Port": "11211"})
	if want := []string{"-l", "127.0.0.1", "-p", "11211", "-U", "0", "-m", "256"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Flags("memcached.conf", nil); err == nil {
		t.Error("flags without a port")
	}
}

// A file is whole or not made at all.
func TestWriteFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "redis.conf")
	if err := WriteFile(file, "stores/redis.conf", map[string]string{"Port": "6379"}); err == nil {
		t.Error("without a folder")
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after an error: %v", err)
	}
	if err := WriteFile(file, "stores/redis.conf", map[string]string{"Port": "6379", "Dir": "/d", "Fsync": "always"}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "\nport 6379\n") {
		t.Errorf("%s%v", text, err)
	}
}

// Every configuration can be read, and README.md names it.
func TestFiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"Addr": "a", "Path": "p", "Prepend": "p", "Preload": "p", "User": "u"}
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".lua") { // a script of wrk is no peer
			return err
		}
		if !strings.Contains(string(readme), "`"+name+"`") {
			t.Errorf("README.md does not name %s", name)
		}
		if ini, found := strings.CutPrefix(name, "php/"); found {
			if got, err := INI(ini, all); err != nil || len(got) == 0 {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
