package main

import (
	"bytes"
	"testing"
)

// TestCandidates: each engine keeps what it committed and forgets what it deleted, also when opened again.
func TestCandidates(t *testing.T) {
	for _, c := range candidates {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			e, err := c.open(dir, 8<<20)
			if err != nil {
				t.Fatal(err)
			}
			w := workload{sessions: 100, payload: 64}
			if err := w.preload(e); err != nil {
				t.Fatal(err)
			}
			if err := e.commit([]change{{key(1), []byte("new")}, {key(2), nil}}); err != nil {
				t.Fatal(err)
			}
			if err := e.close(); err != nil {
				t.Fatal(err)
			}
			if e, err = c.open(dir, 8<<20); err != nil {
				t.Fatal(err)
			}
			if v, err := e.get([]byte("x"), key(1)); err != nil || !bytes.Equal(v, []byte("xnew")) {
				t.Errorf("overwritten: %q, %v", v, err)
			}
			if v, err := e.get(nil, key(2)); err == nil {
				t.Errorf("deleted: %q", v)
			}
			if v, err := e.get(nil, key(99)); err != nil || len(v) != w.payload {
				t.Errorf("kept: %d bytes, %v", len(v), err)
			}
			if err := e.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
