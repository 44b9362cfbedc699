package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/internal/proc"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// side is one of those that are compared.
type side struct {
	name    string
	version string
	ours    bool
	addr    string         // where the client goes
	process *child.Process // nil for no front
}

// processor is the time that the side's processes have spent on a processor.
func (s *side) processor() time.Duration {
	if s.process == nil {
		return 0
	}
	sum := proc.CPU(s.process.PID())
	for _, pid := range proc.Children(s.process.PID()) {
		sum += proc.CPU(pid)
	}
	return sum
}

// The ports of the fronts on the VIP.
const (
	portHAProxy  = "8001"
	portNginx    = "8002"
	portLvsproxy = "8003"
)

const bodySize = 10 << 20

// start starts the real servers and all fronts. Call stop also after an error.
func start(ctx context.Context, rig *namespaces.Rig, dir string) (sides []*side, stop func(), err error) {
	var processes []*child.Process
	stop = func() {
		for _, p := range processes {
			p.Kill()
		}
	}
	run := func(h namespaces.Host, program string, args ...string) (*child.Process, error) {
		cmd := rig.Command(context.WithoutCancel(ctx), h, program, args...)
		log, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%s-%d.log", h, filepath.Base(program), len(processes))))
		if err != nil {
			return nil, err
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		p, err := child.Start(cmd)
		if err == nil {
			processes = append(processes, p)
		}
		return p, err
	}
	if err := writeFiles(dir); err != nil {
		return nil, stop, err
	}
	lvsproxy := filepath.Join(dir, "lvsproxy")
	build := exec.CommandContext(ctx, "go", "build", "-o", lvsproxy, "github.com/lvsession/lvsession/cmd/lvsproxy")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, stop, fmt.Errorf("build lvsproxy: %w: %s", err, out)
	}
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		if _, err := run(h, "nginx", "-p", dir, "-c", filepath.Join(dir, string(h)+".conf")); err != nil {
			return nil, stop, err
		}
	}
	sides = []*side{
		{name: "direct", version: "straight to one real server", addr: net.JoinHostPort(namespaces.Real1IP, "80")},
		{name: "lvsproxy", version: "this tree, " + runtime.Version(), ours: true, addr: net.JoinHostPort(namespaces.VIP, portLvsproxy)},
		{name: "HAProxy", version: output("haproxy", "-v"), addr: net.JoinHostPort(namespaces.VIP, portHAProxy)},
		{name: "nginx stream", version: output("nginx", "-v"), addr: net.JoinHostPort(namespaces.VIP, portNginx)},
	}
	commands := [][]string{
		nil,
		{lvsproxy, "--config", filepath.Join(dir, "ldirectord.cf"), "--admin", "off"},
		{"haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg")},
		{"nginx", "-p", dir, "-c", filepath.Join(dir, "stream.conf")},
	}
	for i, command := range commands {
		if command == nil {
			continue
		}
		if sides[i].process, err = run(namespaces.Director, command[0], command[1:]...); err != nil {
			return sides, stop, err
		}
	}
	for _, s := range sides {
		if err := await(ctx, rig, s, dir); err != nil {
			return sides, stop, err
		}
	}
	return sides, stop, nil
}

// output is the first line that a program prints.
func output(program string, args ...string) string {
	out, _ := exec.Command(program, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// await waits until a side answers.
func await(ctx context.Context, rig *namespaces.Rig, s *side, dir string) error {
	var err error
	for range 100 {
		if s.process != nil && !s.process.Alive() {
			return fmt.Errorf("%s has ended: %s", s.name, logs(dir))
		}
		if err = rig.Command(ctx, namespaces.Client, "bash", "-c", "exec 3<>/dev/tcp/"+strings.Replace(s.addr, ":", "/", 1)).Run(); err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s does not answer: %w: %s", s.name, err, logs(dir))
}

func logs(dir string) (text string) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, path := range paths {
		text += "\n" + filepath.Base(path) + ":\n" + child.Tail(path, 5)
	}
	return text
}

// writeFiles writes what is served and all configurations. Each peer has its best settings for this: as many threads or
// workers as cores, HAProxy's splicing with larger pipes, nginx with a socket for each worker.
func writeFiles(dir string) error {
	body := make([]byte, bodySize)
	rand.Read(body)
	conns := mostConns() + 100
	files := map[string]string{
		"index.html": strings.Repeat("0123456789", 100),
		"body":       string(body),
		"haproxy.cfg": fmt.Sprintf(`global
	maxconn %d
	maxpipes 200
	nbthread %d
	tune.pipesize 262144
defaults
	mode tcp
	timeout connect 3s
	timeout client 10m
	timeout server 10m
	option splice-auto
listen front
	bind %s:%s backlog 65535
	balance roundrobin
	server real1 %s:80
	server real2 %s:80
`, conns, runtime.NumCPU(), namespaces.VIP, portHAProxy, namespaces.Real1IP, namespaces.Real2IP),
		"stream.conf": fmt.Sprintf(`load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; pid %s/stream.pid; error_log stderr crit; worker_processes %d; worker_rlimit_nofile %d;
events { worker_connections %d; }
stream {
	upstream reals { server %s:80; server %s:80; }
	server { listen %s:%s reuseport backlog=65535; proxy_pass reals; proxy_buffer_size 64k; }
}
`, dir, runtime.NumCPU(), 2*conns+500, 2*conns+200, namespaces.Real1IP, namespaces.Real2IP, namespaces.VIP, portNginx),
		"ldirectord.cf": fmt.Sprintf(`virtual=%s:%s
	checktype=on
	scheduler=rr
	real=%s:80 masq
	real=%s:80 masq
`, namespaces.VIP, portLvsproxy, namespaces.Real1IP, namespaces.Real2IP),
	}
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		files[string(h)+".conf"] = fmt.Sprintf(`daemon off; pid %[1]s/%[2]s.pid; error_log stderr crit; worker_processes 1; worker_rlimit_nofile %[3]d;
events { worker_connections %[3]d; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 600s; client_header_timeout 600s;
	client_body_temp_path %[1]s/%[2]s-b; proxy_temp_path %[1]s/%[2]s-p; fastcgi_temp_path %[1]s/%[2]s-f; uwsgi_temp_path %[1]s/%[2]s-u; scgi_temp_path %[1]s/%[2]s-s;
	server { listen 80 backlog=65535; root %[1]s; }
}
`, dir, h, conns+200)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
