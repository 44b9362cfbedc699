package main

import (
	"os"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// TestSideBySide: every load runs on every side, and nothing fails. It measures nothing.
func TestSideBySide(t *testing.T) {
	need.Program(t, "haproxy", "haproxy")
	need.Program(t, "nginx", "nginx-light")
	need.Program(t, "nft", "nftables")
	need.Program(t, "wrk", "wrk")
	if _, err := os.Stat("/usr/lib/nginx/modules/ngx_stream_module.so"); err != nil {
		need.Skip(t, "nginx has no stream module: apt-get install libnginx-mod-stream")
	}
	rig := namespaces.Need(t)
	t.Chdir("../..")
	dir, err := os.MkdirTemp("", "fronts-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's workers are another user
		t.Fatal(err)
	}
	site, err := start(t.Context(), rig, dir)
	defer site.stop()
	if err != nil {
		t.Fatal(err)
	}
	o := options{rounds: 1, span: time.Second, conns: []int{100}}
	results, err := o.measure(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, f := range r.sides {
			if f.failed > 0 || f.rate.Median() == 0 {
				t.Errorf("%s: %s: %v a second, %d failed", f.side.name, r.load.what, f.rate, f.failed)
			}
		}
	}
	sheet := figures.Sheet{Tables: []figures.Table{tabulate(results)}}
	sheet.Notes = site.absent
	if err := sheet.Text(t.Output()); err != nil {
		t.Fatal(err)
	}
}

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == holding {
		if runHold(os.Args[2], os.Args[3:]) != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(`Running 2s test @ http://127.0.0.1/
  1 threads and 4 connections
  Latency Distribution
     50%    1.20ms
     99%    3.45ms
  12345 requests in 2.00s, 1.00MB read
  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 4
Requests/sec:   6172.50
`)
	want := outcome{
		requests: 12345, bytes: 1 << 20, took: 2 * time.Second, failed: 10,
		p50: 1200 * time.Microsecond, p99: 3450 * time.Microsecond,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseWrk("unable to connect"); err == nil {
		t.Error("nonsense was read")
	}
}
