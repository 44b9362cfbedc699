package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// lab is the rig with what runs in it.
type lab struct {
	rig       *namespaces.Rig
	processes []*child.Process
	director  *child.Process
}

const directorLog = "lvsproxy.log"

// build builds the lab. Stop it also after an error.
func build(ctx context.Context, o options) (l *lab, err error) {
	l = &lab{}
	if l.rig, err = namespaces.StartWith(ctx, namespaces.Options{MTU: o.mtu}); err != nil {
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
	l.director, err = l.start(namespaces.Director, directorLog, l.file("lvsproxy"),
		"--config", o.config, "--dataplane", o.dataplane, "--admin", l.file("lvsproxy.sock"))
	if err != nil {
		return l, err
	}
	return l, l.ready(ctx)
}

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

// start starts a program on a host.
func (l *lab) start(h namespaces.Host, log, program string, args ...string) (*child.Process, error) {
	out, err := os.Create(l.file(log))
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
	_, err := l.start(h, string(h)+".log", "nginx", "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	return err
}

// patience is how long lvsproxy may take until it is ready.
const patience = 20 * time.Second

// ready waits until lvsproxy says that it is.
func (l *lab) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		text, err := os.ReadFile(l.file(directorLog))
		if err != nil || strings.Contains(string(text), "msg=ready") {
			return err
		}
		select {
		case <-again.C:
		case <-l.director.Done():
			return fmt.Errorf("lvsproxy has ended: %w", l.failure(directorLog))
		case <-ctx.Done():
			return fmt.Errorf("lvsproxy is not ready: %w: %w", ctx.Err(), l.failure(directorLog))
		}
	}
}

// failure is what a log ends with.
func (l *lab) failure(log string) error { return errors.New(child.Tail(l.file(log), 5)) }

// explain says what there is and how to use it.
func (l *lab) explain(out io.Writer) {
	enter := func(h namespaces.Host) string { return "ip netns exec " + l.rig.Name(h) }
	fmt.Fprintf(out, `The lab stands until Ctrl-C.

  host      address                       enter
  client    %-28s  %s bash
  director  %-28s  %s bash
  real1     %-28s  %s bash
  real2     %-28s  %s bash

  %s curl -s http://%s/
  %s curl -s 'http://[%s]/'
  %s --admin %s -L -n
  tail -f %s
`,
		namespaces.ClientIP+"/16", enter(namespaces.Client),
		namespaces.VIP+"/16, "+namespaces.GatewayIP, enter(namespaces.Director),
		namespaces.Real1IP, enter(namespaces.Real1),
		namespaces.Real2IP, enter(namespaces.Real2),
		enter(namespaces.Client), namespaces.VIP,
		enter(namespaces.Client), namespaces.VIP6,
		l.file("lvsadm"), l.file("lvsproxy.sock"),
		l.file(directorLog))
}
