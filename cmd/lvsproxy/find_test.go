package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFindConfig: names are looked for where ldirectord looks, paths are taken as they are.
func TestFindConfig(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	t.Chdir(t.TempDir())
	for _, path := range []string{filepath.Join(one, "a"), filepath.Join(two, "a"), filepath.Join(two, "b"), "b", "c"} {
		write(t, path, "")
	}
	if err := os.Mkdir(filepath.Join(one, "c"), 0o700); err != nil {
		t.Fatal(err)
	}
	dirs := []string{one, two}
	tests := []struct{ name, want string }{
		{"a", filepath.Join(one, "a")},
		{"b", filepath.Join(two, "b")},
		{"c", "c"},
		{"d", filepath.Join(one, "d")},
		{"./a", "./a"},
		{"/etc/x", "/etc/x"},
		{"none", "none"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := findConfig(tt.name, dirs); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
