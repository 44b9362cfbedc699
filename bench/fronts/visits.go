package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/lvsession/lvsession/bench/internal/phpstack"
	vipbench "github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
)

const (
	// pagesFolder has the page that is visited, from the checkout's top, where this program is run.
	pagesFolder = "bench/compare/pages"
	workers     = 16 // of PHP on each real server
)

// sessions is how the page keeps its sessions: in one sessiond for both real servers.
var sessions = regexp.MustCompile("^sessiond always, phpclient, locking$")

// startPages starts PHP on the real servers, sessiond, which they share, and builds vipbench. Where PHP is not installed there are no
// visits, which is noted.
func (s *site) startPages(ctx context.Context) error {
	if err := phpfpm.Installed(); err != nil {
		s.absent = append(s.absent, fmt.Sprintf("%s: not measured: %v", visits, err))
		return nil
	}
	dir := s.file("php")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := filepath.Abs(pagesFolder)
	if err != nil {
		return err
	}
	var hosts []phpstack.Host
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		hosts = append(hosts, phpstack.Host{Name: string(h), Addr: "127.0.0.1:" + portPages, Within: func(f func() error) error { return s.rig.Do(h, f) }})
	}
	pages, err := phpstack.Start(ctx, phpstack.Options{Dir: dir, Only: sessions, Pages: root, Index: "counter.php", Workers: workers, Hosts: hosts})
	if err != nil {
		return err
	}
	s.stopPages = pages.Stop
	s.vipbench = s.file("vipbench")
	build := exec.CommandContext(ctx, "go", "build", "-o", s.vipbench, "github.com/lvsession/lvsession/cmd/vipbench")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build vipbench: %w: %s", err, out)
	}
	return nil
}

// visit has vipbench visit the page through one side once, on a connection for each visit, and check every answer. Where there is no
// director all visits go to the first real server.
func (o options) visit(ctx context.Context, s *site, r *result, f *figuresOf) error {
	cmd := s.rig.Command(ctx, namespaces.Client, s.vipbench, "--quiet", "--json", "--users", strconv.Itoa(min(r.conns, r.load.active)),
		"--duration", o.span.String(), "--allow-errors", "-1", "http://"+f.side.addrs[0]+r.load.path)
	out, err := cmd.Output()
	var ended *exec.ExitError
	if err != nil && (!errors.As(err, &ended) || len(out) == 0) {
		if ended != nil {
			return fmt.Errorf("vipbench: %w: %s", err, ended.Stderr)
		}
		return fmt.Errorf("vipbench: %w", err)
	}
	var got vipbench.Result
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("what vipbench says: %w", err)
	}
	f.failed += int(got.ErrorsTotal + got.ViolationsTotal)
	f.rate.Add(got.Throughput)
	f.p50.Add(float64(got.Latency.P50) / 1e6)
	f.p99.Add(float64(got.Latency.P99) / 1e6)
	return nil
}
