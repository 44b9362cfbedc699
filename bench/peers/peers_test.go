package peers

import (
	"io/fs"
	"maps"
	"os"
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
