package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/child"
)

// The cores of the two sides.
const (
	generatorCore = "0"
	serverCore    = "1"
)

const nginxConf = `daemon off;
master_process off;
worker_processes 1;
error_log %[1]s/error.log;
pid %[1]s/pid;
events { worker_connections 4096; }
http {
	access_log off;
	keepalive_requests 1000000000;
	server {
		listen 127.0.0.1:%[2]d;
		location / { return 200 "a page of a few bytes\n"; }
	}
}
`

// generator is a side: a program that loads a page over kept connections on one core.
type generator struct {
	name string
	args []string
	// requests reads from what the program says how many requests a second it made.
	requests func(out []byte) (float64, error)

	rate, cost figures.Samples
}

// plain compares vipbench with wrk on plain pages.
func (o options) plain(ctx context.Context, dir string) (figures.Table, error) {
	url, stop, err := startNginx(ctx, dir)
	if err != nil {
		return figures.Table{}, err
	}
	defer stop()
	n := strconv.Itoa(o.connections)
	wrk := &generator{name: "wrk", requests: wrkRate, args: []string{"wrk", "-t1", "-c" + n, "-d" + strconv.Itoa(int(o.span.Seconds())) + "s", url}}
	ours := &generator{name: "vipbench", requests: vipbenchRate, args: []string{
		o.vipbench, "--plain", "--keepalive", "--users", n, "--duration", o.span.String(), "--allow-errors", "-1", "--json", "--quiet", url,
	}}
	for round := range o.rounds {
		sides := []*generator{wrk, ours}
		if round%2 == 1 {
			sides = []*generator{ours, wrk}
		}
		for _, g := range sides {
			if err := g.measure(ctx); err != nil {
				return figures.Table{}, fmt.Errorf("%s: %w", g.name, err)
			}
		}
	}
	t := figures.Table{Title: "plain pages over kept connections, on one core", Labels: []string{"generator"}, Figures: []string{"requests/s", "CPU us", "rate : wrk", "CPU : wrk"}}
	t.Add([]string{wrk.name}, wrk.rate, wrk.cost)
	t.Add([]string{ours.name}, ours.rate, ours.cost, ours.rate.Over(wrk.rate).Least(0.7), ours.cost.Over(wrk.cost).Most(1/0.7))
	return t, nil
}

func (g *generator) measure(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", generatorCore}, g.args...)...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && len(out) > 0) {
		return err
	}
	rate, err := g.requests(out)
	if err != nil {
		return err
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	g.rate.Add(rate)
	g.cost.Add(cpu.Seconds() / (rate * time.Since(began).Seconds()) * 1e6)
	return nil
}

var wrkLine = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

func wrkRate(out []byte) (float64, error) {
	m := wrkLine.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no rate in %q", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

func vipbenchRate(out []byte) (float64, error) {
	var r load.Result
	if err := json.Unmarshal(bytes.TrimSpace(out), &r); err != nil {
		return 0, err
	}
	if r.ErrorsTotal > 0 {
		return 0, fmt.Errorf("%d requests failed: %v", r.ErrorsTotal, r.ErrorsByClass)
	}
	return r.Throughput, nil
}

// startNginx starts nginx on its core, and returns a page of it.
func startNginx(ctx context.Context, dir string) (url string, stop func(), err error) {
	port, err := child.Port()
	if err != nil {
		return "", nil, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, port), 0o600); err != nil {
		return "", nil, err
	}
	cmd := exec.Command("taskset", "-c", serverCore, "nginx", "-c", conf, "-e", filepath.Join(dir, "error.log"))
	cmd.Stderr = os.Stderr
	p, err := child.Start(cmd)
	if err != nil {
		return "", nil, fmt.Errorf("start nginx (apt-get install nginx wrk): %w", err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for p.Alive() && ctx.Err() == nil {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return "http://" + addr + "/", p.Kill, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.Kill()
	return "", nil, errors.Join(errors.New("nginx does not answer"), p.Err(), ctx.Err())
}
