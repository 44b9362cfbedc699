package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/keepalived"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// lab is the rig with what runs in it.
type lab struct {
	rig       *namespaces.Rig
	directors []namespaces.Host
	processes []*child.Process
}

// build builds the lab. Stop it also after an error.
func build(ctx context.Context, o options) (l *lab, err error) {
	l = &lab{directors: []namespaces.Host{namespaces.Director}}
	if o.directors == 2 {
		l.directors = append(l.directors, namespaces.Director2)
	}
	if l.rig, err = namespaces.StartWith(ctx, namespaces.Options{Directors: o.directors, MTU: o.mtu}); err != nil {
		return l, err
	}
	bin := exec.CommandContext(ctx, "go", "build", "-o", l.rig.Dir()+"/",
		"github.com/lvsession/lvsession/cmd/lvsproxy", "github.com/lvsession/lvsession/cmd/lvsadm")
	if out, err := bin.CombinedOutput(); err != nil {
		return l, fmt.Errorf("build lvsproxy: %w: %s", err, out)
	}
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		if err := l.startNginx(h); err != nil {
			return l, err
		}
	}
	if o.config == "" {
		o.config = l.file("ldirectord.cf")
		if err := os.WriteFile(o.config, []byte(exampleConfig), 0o644); err != nil {
			return l, err
		}
	}
	for i, h := range l.directors {
		if err := l.direct(ctx, h, o); err != nil {
			return l, err
		}
		if o.directors != 2 {
			continue
		}
		p, err := keepalived.Start(l.rig, h, keepalived.Options{Priority: 150 - 50*i, Admin: l.socket(h)})
		if err != nil {
			return l, err
		}
		l.processes = append(l.processes, p)
	}
	return l, nil
}

// direct starts lvsproxy on a director and waits until it is ready.
func (l *lab) direct(ctx context.Context, h namespaces.Host, o options) error {
	if o.directors == 2 { // it opens the VIP that it may not have
		sysctl := l.rig.Command(ctx, h, "sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1")
		if out, err := sysctl.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", sysctl, err, out)
		}
	}
	p, err := l.start(h, l.file("lvsproxy"), "--config", o.config, "--dataplane", o.dataplane, "--admin", l.socket(h),
		"--bpf-pin", filepath.Join(l.rig.Pins(), string(h)))
	if err != nil {
		return err
	}
	return l.ready(ctx, h, p)
}

func (l *lab) socket(h namespaces.Host) string { return l.file(string(h) + ".sock") }

func (l *lab) log(h namespaces.Host) string { return l.file(string(h) + ".log") }

// stop ends all and removes it.
func (l *lab) stop() {
	for _, p := range l.processes {
		p.Kill()
	}
	if l.rig != nil {
		l.rig.Stop()
	}
}

func (l *lab) file(name string) string { return filepath.Join(l.rig.Dir(), name) }

// start starts a program on a host, and writes what it says into the host's log.
func (l *lab) start(h namespaces.Host, program string, args ...string) (*child.Process, error) {
	out, err := os.Create(l.log(h))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := l.rig.Command(context.Background(), h, program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	p, err := child.Start(cmd)
	if err == nil {
		l.processes = append(l.processes, p)
	}
	return p, err
}

// exampleConfig is what lvsproxy does unless it is told otherwise.
const exampleConfig = `checkinterval=1
virtual=` + namespaces.VIP + `:80
	real=` + namespaces.Real1IP + `:80 masq
	real=` + namespaces.Real2IP + `:80 masq
	scheduler=rr
	checktype=negotiate
	service=http
	request="/"
	receive="real"
virtual6=[` + namespaces.VIP6 + `]:80
	real6=[` + namespaces.Real1IP6 + `]:80 masq
	real6=[` + namespaces.Real2IP6 + `]:80 masq
	scheduler=rr
	checktype=negotiate
	service=http
	request="/"
	receive="real"
`

// nginxConfig is a real server that says its name.
const nginxConfig = `daemon off; pid %[1]s/pid; error_log stderr warn; worker_processes 1;
events {}
http {
	access_log %[1]s/access.log;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server { listen 80; listen [::]:80; root %[1]s; default_type text/plain; }
}
`

func (l *lab) startNginx(h namespaces.Host) error {
	dir := l.file(string(h))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"index.html": string(h) + "\n", "nginx.conf": fmt.Sprintf(nginxConfig, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err := l.start(h, "nginx", "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	return err
}

// patience is how long lvsproxy may take until it is ready.
const patience = 20 * time.Second

// ready waits until lvsproxy says that it is.
func (l *lab) ready(ctx context.Context, h namespaces.Host, p *child.Process) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		text, err := os.ReadFile(l.log(h))
		if err != nil || strings.Contains(string(text), "msg=ready") {
			return err
		}
		select {
		case <-again.C:
		case <-p.Done():
			return fmt.Errorf("lvsproxy has ended: %w", l.failure(h))
		case <-ctx.Done():
			return fmt.Errorf("lvsproxy is not ready: %w: %w", ctx.Err(), l.failure(h))
		}
	}
}

// failure is what a log ends with.
func (l *lab) failure(h namespaces.Host) error { return errors.New(child.Tail(l.log(h), 5)) }

// explain says what there is and how to use it.
func (l *lab) explain(out io.Writer) {
	enter := func(h namespaces.Host) string { return "ip netns exec " + l.rig.Name(h) }
	addresses := map[namespaces.Host]string{
		namespaces.Client: namespaces.ClientIP, namespaces.Real1: namespaces.Real1IP, namespaces.Real2: namespaces.Real2IP,
		namespaces.Director: namespaces.VIP + ", " + namespaces.GatewayIP,
	}
	if len(l.directors) == 2 {
		addresses[namespaces.Director], addresses[namespaces.Director2] = "172.16.0.3, 192.168.0.3", "172.16.0.4, 192.168.0.4"
	}
	fmt.Fprintln(out, "The lab stands until Ctrl-C.")
	fmt.Fprintln(out)
	for _, h := range slices.Concat([]namespaces.Host{namespaces.Client}, l.directors, []namespaces.Host{namespaces.Real1, namespaces.Real2}) {
		fmt.Fprintf(out, "  %-10s %-25s %s bash\n", h, addresses[h], enter(h))
	}
	if len(l.directors) == 2 {
		fmt.Fprintf(out, "  keepalived gives %s and %s to one of the directors.\n", namespaces.VIP, namespaces.GatewayIP)
	}
	fmt.Fprintln(out)
	fmt.Fprintf(out, "  %s curl -s http://%s/\n", enter(namespaces.Client), namespaces.VIP)
	fmt.Fprintf(out, "  %s curl -s 'http://[%s]/'\n", enter(namespaces.Client), namespaces.VIP6)
	for _, h := range l.directors {
		fmt.Fprintf(out, "  %s --admin %s -L -n\n", l.file("lvsadm"), l.socket(h))
	}
	fmt.Fprintf(out, "  tail -f %s\n", l.file("*.log"))
}
