package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
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
	addrs   []string // where the clients go, by turns
	script  string   // of wrk
	// What works in the kernel is there in its turn only: each packet of the others would go through it too.
	begin func(ctx context.Context) error
	end   func() error
}

// The names of the sides.
const (
	nohop     = "no hop"
	direct    = "direct"
	nft       = "nftables DNAT"
	haproxy   = "HAProxy"
	nginx     = "nginx stream"
	userspace = "userspace"
	masq      = "ebpf masq"
	gate      = "ebpf gate"
)

// site is the network with all that runs in it.
type site struct {
	rig       *namespaces.Rig
	dir       string
	lvsproxy  string // the program
	processes []*child.Process
	sides     []*side
	absent    []string // sides and loads that are not there, and why
	vipbench  string   // the program; empty without visits
	stopPages func()   // nil without visits

	interrupts []int // the kernel's threads that serve them
}

// start starts the real servers and all fronts. Stop the site also after an error.
func start(ctx context.Context, rig *namespaces.Rig, dir string) (*site, error) {
	s := &site{rig: rig, dir: dir, lvsproxy: filepath.Join(dir, "lvsproxy"), interrupts: proc.Named("ksoftirqd/")}
	if err := writeFiles(dir); err != nil {
		return s, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", s.lvsproxy, "github.com/lvsession/lvsession/cmd/lvsproxy")
	if out, err := build.CombinedOutput(); err != nil {
		return s, fmt.Errorf("build lvsproxy: %w: %s", err, out)
	}
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		if _, err := s.run(h, "nginx", "-p", dir, "-c", s.file(string(h)+".conf")); err != nil {
			return s, err
		}
	}
	if err := s.startPages(ctx); err != nil {
		return s, err
	}
	for _, command := range [][]string{
		{s.lvsproxy, "--config", s.file("userspace.cf"), "--admin", "off"},
		{"haproxy", "-db", "-f", s.file("haproxy.cfg")},
		{"nginx", "-p", dir, "-c", s.file("stream.conf")},
	} {
		if _, err := s.run(namespaces.Director, command[0], command[1:]...); err != nil {
			return s, err
		}
	}
	tree := "this tree, " + runtime.Version()
	if err := s.pastDirector(ctx); err != nil {
		return s, err
	}
	s.sides = []*side{
		{
			name: nohop, version: "a link from the client to each real server, nothing between",
			addrs: []string{past1 + ":80", past2 + ":80"}, script: s.file("nohop.lua"),
		},
		{
			name: direct, version: "straight to the real servers, half the connections each; the director's kernel is a router",
			addrs: []string{namespaces.Real1IP + ":80", namespaces.Real2IP + ":80"}, script: s.file("direct.lua"),
		},
		{name: nft, version: output("nft", "--version"), addrs: onVIP(portNftables), begin: s.beginNftables, end: s.endNftables},
		{name: haproxy, version: output("haproxy", "-v"), addrs: onVIP(portHAProxy)},
		{name: nginx, version: output("nginx", "-v"), addrs: onVIP(portNginx)},
		{name: userspace, version: tree, ours: true, addrs: onVIP(portUserspace)},
	}
	for _, one := range s.sides {
		if err := s.enter(ctx, one); err != nil {
			return s, err
		}
		if err := one.leave(); err != nil {
			return s, err
		}
	}
	for _, one := range []*side{s.kernel(masq, portMasq, "masq.cf"), s.kernel(gate, portGate, "gate.cf")} {
		one.version, one.ours = tree, true
		err := s.enter(ctx, one)
		if err = errors.Join(err, one.leave()); err != nil {
			s.absent = append(s.absent, fmt.Sprintf("%s: not measured: %v", one.name, err))
			continue
		}
		s.sides = append(s.sides, one)
	}
	return s, nil
}

// The real servers' addresses on their links to the client, see package namespaces.
const (
	past1 = "172.16.0.101"
	past2 = "172.16.0.102"
)

// pastDirector gives client and real servers the routes over these links.
func (s *site) pastDirector(ctx context.Context) error {
	for _, way := range []struct {
		real    namespaces.Host
		address string
	}{{namespaces.Real1, past1}, {namespaces.Real2, past2}} {
		for _, cmd := range []*exec.Cmd{
			s.rig.Command(ctx, namespaces.Client, "ip", "route", "add", way.address, "dev", string(way.real)),
			s.rig.Command(ctx, way.real, "ip", "rule", "add", "from", way.address, "lookup", "100"), // as what is from the VIP
		} {
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%v: %w: %s", cmd, err, out)
			}
		}
	}
	return nil
}

func onVIP(port string) []string { return []string{net.JoinHostPort(namespaces.VIP, port)} }

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// stop ends all that was started.
func (s *site) stop() {
	for _, p := range s.processes {
		p.Kill()
	}
	if s.stopPages != nil {
		s.stopPages()
	}
}

// run starts a program on a host.
func (s *site) run(h namespaces.Host, program string, args ...string) (*child.Process, error) {
	log, err := os.Create(s.log(len(s.processes)))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := s.rig.Command(context.Background(), h, program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := child.Start(cmd)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

func (s *site) log(process int) string { return s.file(fmt.Sprintf("%d.log", process)) }

// ran is the processor time of all that takes part but the client: real servers and fronts, with the interrupts that they
// serve on their way, and the kernel's threads that serve the rest of them.
func (s *site) ran() (sum time.Duration) {
	pids := slices.Clone(s.interrupts)
	for _, p := range s.processes {
		pids = append(append(pids, p.PID()), proc.Children(p.PID())...)
	}
	for _, pid := range pids {
		sum += proc.Ran(pid)
	}
	return sum
}

// enter begins a side's turn: it is there, and it answers.
func (s *site) enter(ctx context.Context, one *side) error {
	if one.begin != nil {
		if err := one.begin(ctx); err != nil {
			return err
		}
	}
	return s.await(ctx, one)
}

// leave ends a side's turn.
func (one *side) leave() error {
	if one.end == nil {
		return nil
	}
	return one.end()
}

// patience is how long a side may take to answer.
const patience = 10 * time.Second

// await waits until a side answers, or one of the processes has ended, as one does that cannot do what it is told.
func (s *site) await(ctx context.Context, one *side) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := s.rig.Await(ctx, namespaces.Client, one.addrs[0], func() error {
		for i, p := range s.processes {
			if !p.Alive() {
				return errors.New(strings.ReplaceAll(child.Tail(s.log(i), 2), "\n", "; "))
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", one.name, err)
	}
	return err
}

func (s *site) beginNftables(ctx context.Context) error {
	return s.director(ctx, "nft", "-f", s.file("nftables.nft"))
}

func (s *site) endNftables() error {
	return s.director(context.Background(), "nft", "delete", "table", "ip", "fronts")
}

// director runs a command on the director until it ends.
func (s *site) director(ctx context.Context, program string, args ...string) error {
	if out, err := s.rig.Command(ctx, namespaces.Director, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return nil
}

// kernel is lvsproxy with the dataplane in the kernel, in its turn.
func (s *site) kernel(name, port, config string) *side {
	pins := "/sys/fs/bpf/" + filepath.Base(s.dir)
	one := &side{name: name, addrs: onVIP(port)}
	var at int
	one.begin = func(context.Context) (err error) {
		at = len(s.processes)
		_, err = s.run(namespaces.Director, s.lvsproxy, "--dataplane", "ebpf", "--bpf-pin", pins, "--config", s.file(config), "--admin", "off")
		return err
	}
	one.end = func() error {
		if at >= len(s.processes) {
			return nil
		}
		p := s.processes[at]
		s.processes = s.processes[:at]
		if !p.Alive() {
			return nil // the daemon has never attached anything
		}
		p.Signal(syscall.SIGTERM)
		select {
		case <-p.Done():
		case <-time.After(patience):
			p.Kill()
		}
		return s.director(context.Background(), s.lvsproxy, "dataplane", "detach", "--bpf-pin", pins)
	}
	return one
}

// output is the first line that a program prints.
func output(program string, args ...string) string {
	out, _ := exec.Command(program, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
