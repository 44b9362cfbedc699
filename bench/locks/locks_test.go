package main

import (
	"path/filepath"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
)

// TestOneSessiond: on every side each request has the session to itself once, and no change is lost. It measures nothing.
func TestOneSessiond(t *testing.T) {
	need.Program(t, "redis-server", "redis-server")
	if err := phpfpm.Installed(); err != nil {
		need.Skip(t, err.Error())
	}
	php, err := filepath.Abs("../../phpclient")
	if err != nil {
		t.Fatal(err)
	}
	o := options{requests: 5, rounds: 1, php: php, root: "page"}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
