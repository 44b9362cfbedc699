package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

const printed = `goos: linux
pkg: github.com/lvsession/lvsession/sessionstore/embedded
BenchmarkStore/Read/clients=1-2         	   49236	      2413 ns/op	      10.5 ops/s
BenchmarkStore/Read/clients=1-2         	   49236	      2615 ns/op	      11.5 ops/s
BenchmarkOpen                           	       1	 100 ns/op
--- BENCH: BenchmarkOpen
    x_test.go:1: Benchmark said 1 ns/op
PASS
ok  	github.com/lvsession/lvsession/sessionstore/embedded	5.1s
pkg: example.com/none
PASS
pkg: github.com/lvsession/lvsession/lvsproxy
BenchmarkBodies/user-space-2 12 3.5 MB/s
BenchmarkBad-2 12 1e999 MB/s
BenchmarkBad-2 twelve 1 MB/s
BenchmarkBad-2 12 1 MB/s 2
`

func TestRead(t *testing.T) {
	s := figures.Sheet{Tables: read(strings.NewReader(printed))}
	var b strings.Builder
	if err := s.Text(&b); err != nil {
		t.Fatal(err)
	}
	const want = `, 0 cores; 

sessionstore/embedded
benchmark  case            ns/op             ops/s
Store      Read/clients=1  2514 (2413–2615)  11.0 (10.5–11.5)
Open                       100               

lvsproxy
benchmark  case        ns/op  MB/s
Bodies     user-space         3.50
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// FuzzRead: whatever go test prints, the sheet can be written and read again.
func FuzzRead(f *testing.F) {
	f.Add(printed)
	f.Fuzz(func(t *testing.T, text string) {
		tables := read(strings.NewReader(text))
		for _, table := range tables {
			for _, r := range table.Rows {
				if len(r.Labels) != len(table.Labels) || len(r.Cells) != len(table.Figures) {
					t.Fatalf("a row of another width: %v", r)
				}
			}
		}
		if _, err := json.Marshal(tables); err != nil {
			t.Fatal(err)
		}
	})
}
