package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/internal/proc"
	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/flood"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

const port = "80"

var virtual = net.JoinHostPort(namespaces.VIP, port)

// site is the network with all that runs in it.
type site struct {
	rig      *namespaces.Rig
	dir      string
	lvsproxy string // the program
	servers  []*server
	director *child.Process
}

// start starts the real servers. Stop the site also after an error.
func start(ctx context.Context, rig *namespaces.Rig, o options) (*site, error) {
	s := &site{rig: rig}
	var err error
	if s.dir, err = os.MkdirTemp("", "flood-"); err != nil {
		return s, err
	}
	s.lvsproxy = filepath.Join(s.dir, "lvsproxy")
	build := exec.CommandContext(ctx, "go", "build", "-o", s.lvsproxy, "github.com/lvsession/lvsession/cmd/lvsproxy")
	if out, err := build.CombinedOutput(); err != nil {
		return s, fmt.Errorf("build lvsproxy: %w: %s", err, out)
	}
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		if !o.answer {
			if err := s.deafen(ctx, h); err != nil {
				return s, err
			}
		}
		l, err := rig.Listen(ctx, h, "tcp", ":"+port)
		if err != nil {
			return s, err
		}
		s.servers = append(s.servers, serve(l, o.pace))
	}
	return s, nil
}

// deafen has a real server throw away what comes from the flood's addresses.
func (s *site) deafen(ctx context.Context, h namespaces.Host) error {
	table := "add table netdev flood\n" +
		"add chain netdev flood ingress { type filter hook ingress device eth0 priority 0; }\n" +
		"add rule netdev flood ingress ip saddr " + namespaces.Elsewhere.String() + " drop\n"
	cmd := s.rig.Command(ctx, h, "nft", table)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// stop ends all that was started.
func (s *site) stop() {
	for _, one := range s.servers {
		one.close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// patience is how long something may take that is not measured.
const patience = 10 * time.Second

// direct starts the director with a forwarding method. The returned function ends it.
func (s *site) direct(ctx context.Context, forward string) (stop func() error, err error) {
	config, log, pins := filepath.Join(s.dir, forward+".cf"), filepath.Join(s.dir, forward+".log"), s.rig.Pins()
	text := fmt.Sprintf("virtual=%s\n\tscheduler=rr\n\tchecktype=on\n\treal=%s:%s %s\n\treal=%s:%s %s\n",
		virtual, namespaces.Real1IP, port, forward, namespaces.Real2IP, port, forward)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := s.rig.Command(context.Background(), namespaces.Director, s.lvsproxy, "--dataplane", "ebpf", "--bpf-pin", pins, "--config", config, "--admin", "off")
	cmd.Stdout, cmd.Stderr = out, out
	if s.director, err = child.Start(cmd); err != nil {
		return nil, err
	}
	stop = func() error {
		s.director.Signal(syscall.SIGTERM)
		select {
		case <-s.director.Done():
		case <-time.After(patience):
			s.director.Kill()
		}
		if out, err := s.rig.Command(context.Background(), namespaces.Director, s.lvsproxy, "dataplane", "detach", "--bpf-pin", pins).CombinedOutput(); err != nil {
			return fmt.Errorf("detach: %w: %s", err, out)
		}
		return nil
	}
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(err, errors.New(child.Tail(log, 3)), stop())
	}
	return stop, nil
}

// await waits until a new client gets an answer.
func (s *site) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.rig.Await(ctx, namespaces.Client, virtual, nil)
}

// daemon is the processor time that the director's process has taken.
func (s *site) daemon() time.Duration { return proc.Ran(s.director.PID()) }

// flood sends the SYNs and returns how many left a second.
func (s *site) flood(ctx context.Context, o options, seed uint64) (rate float64, err error) {
	err = s.rig.Do(namespaces.Client, func() error {
		sent, err := flood.SYN(ctx, flood.Options{Target: netip.MustParseAddrPort(virtual), Rate: o.rate, Span: o.span, Seed: seed})
		rate = sent.Rate()
		return err
	})
	return rate, err
}
