package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompareResults(t *testing.T) {
	dir, good, bad := t.TempDir(), serve(t, false), serve(t, true)
	var files []string
	for name, load := range map[string][]string{"a": {"--name", "sound", good}, "b": {"--name", "sound", good}, "c": {"--users", "9", bad}} {
		_, result, _ := call(t, append([]string{"--quiet", "--json", "--users", "4", "--requests", "5"}, load...)...)
		files = append(files, filepath.Join(dir, name+".json"))
		if err := os.WriteFile(files[len(files)-1], []byte(result), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	html := filepath.Join(dir, "page.html")
	status, stdout, stderr := call(t, "compare", "--html", html, filepath.Join(dir, "a.json"), filepath.Join(dir, "b.json"), filepath.Join(dir, "c.json"))
	for _, want := range []string{"sound", "2 of 2", "0 of 1", "c : sound", " × ", "c, round 1: not proven: 18 violations", "another load than the first, 9 users"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(stdout, ", 0 cores") {
		t.Error("the machine is unknown")
	}
	page, err := os.ReadFile(html)
	if status != exitNotProven || err != nil || !strings.Contains(string(page), "c : sound") {
		t.Errorf("status %d, %v\n%s%s", status, err, stdout, stderr)
	}
	if status, _, stderr := call(t, "compare", files[0], html); status != exitNotProven || !strings.Contains(stderr, "invalid character") {
		t.Errorf("a page as a result: status %d, %s", status, stderr)
	}
}

func TestCompareStacks(t *testing.T) {
	status, stdout, stderr := call(t, "compare", "--rounds", "2", "--users", "3", "--requests", "4", "--stack", "one="+serve(t, false), "--stack", "other="+serve(t, false))
	if status != exitProven || strings.Count(stdout, "2 of 2") != 2 || !strings.Contains(stdout, "other : one") {
		t.Errorf("status %d\n%s", status, stdout)
	}
	var order []string
	for line := range strings.Lines(stderr) {
		if text, found := strings.CutPrefix(strings.TrimSpace(line), "round "); found {
			order = append(order, text)
		}
	}
	if got := strings.Join(order, "; "); got != "1 of 2: one; 1 of 2: other; 2 of 2: other; 2 of 2: one" {
		t.Errorf("order %s", got)
	}
}

func TestCompareUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"two results or two stacks": {"x.json"},
		"either results or stacks":  {"--stack", "a=http://127.0.0.1/", "x.json"},
		"is not NAME=URL":           {"--stack", "http"},
		"rounds must be":            {"--rounds", "0", "x", "y"},
		"stack b":                   {"--stack", "a=http://127.0.0.1/", "--stack", "b=gopher://127.0.0.1/"},
	} {
		if status, _, stderr := call(t, append([]string{"compare"}, args...)...); status != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d, %s, want %s", args, status, stderr, want)
		}
	}
	if status, _, stderr := call(t, "compare", "--help"); status != exitProven || !strings.Contains(stderr, "--stack NAME=URL") {
		t.Errorf("status %d, %s", status, stderr)
	}
}
