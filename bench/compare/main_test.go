package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/internal/phpstack"
	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
)

// start starts the stacks that match, with their files in the returned folder.
func start(t *testing.T, peers string) (dir string, stacks []*phpstack.Stack) {
	t.Helper()
	if err := phpfpm.Installed(); err != nil {
		need.Skip(t, err.Error())
	}
	t.Chdir("../..")
	dir, err := os.MkdirTemp("", "compare-") // not t.TempDir(): its path may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	site, err := phpstack.Start(t.Context(), phpstack.Options{Dir: dir, Only: regexp.MustCompile(peers),
		Pages: "bench/compare/pages", Index: "counter.php", Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Stop)
	return dir, site.Stacks
}

// Every peer that is compared by default passes its page's contract: logins, logouts and payloads too.
func TestPeersKeepTheContract(t *testing.T) {
	for program, pkg := range map[string]string{"redis-server": "redis-server", "memcached": "memcached", "mariadbd": "mariadb-server"} {
		need.Program(t, program, pkg)
	}
	_, stacks := start(t, defaultPeers)
	if len(stacks) != 11 {
		t.Errorf("%d stacks", len(stacks))
	}
	for _, s := range stacks {
		var c load.Config
		for name, value := range map[string]string{"url": s.URL("/counter.php"), "users": "4", "requests": "15", "seed": "7",
			"mix": "visit=6,read=2,login=1,logout=1", "payload": "0-4k"} {
			if err := c.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		r, err := load.Run(t.Context(), c, nil)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if !r.Proven || r.Acknowledged != 60 {
			t.Errorf("%s: %d acknowledged, %s, %+v", s.Name, r.Acknowledged, r.Reason, r.Violations)
		}
	}
}

// A store that fails makes the page answer an error, not a count that is nowhere.
func TestPageTellsFailure(t *testing.T) {
	dir, stacks := start(t, "^files$")
	if err := os.RemoveAll(filepath.Join(dir, "files")); err != nil {
		t.Fatal(err)
	}
	c := load.Config{URL: stacks[0].URL("/counter.php"), Users: 2, Requests: 5, NoProbe: true}
	r, err := load.Run(t.Context(), c, nil)
	if err != nil || r.Acknowledged != 0 || r.ErrorsTotal != 10 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestArguments(t *testing.T) {
	o, err := parse([]string{"--first", "b", "--", "--users", "3"})
	if err != nil {
		t.Fatal(err)
	}
	got := o.arguments([]*phpstack.Stack{{Name: "a", Origin: "http://x"}, {Name: "b", Origin: "http://y"}, {Name: "c", Origin: "http://z"}})
	want := []string{"compare", "--stack", "b=http://y/counter.php", "--stack", "a=http://x/counter.php", "--stack", "c=http://z/counter.php", "--users", "3"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestUsage(t *testing.T) {
	for want, args := range map[string][]string{"workers": {"--workers", "0"}, "missing": {"--peers", "("}, "not defined": {"--html", "x"}} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
