package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/keepalived"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/admin"
)

// TestFailover: two directors with keepalived as deploy/keepalived has it. Whatever happens to the one that has the VIP, the
// other one takes it, and new connections are served again after at most so long.
func TestFailover(t *testing.T) {
	need.Program(t, "keepalived", "keepalived")
	need.Program(t, "curl", "curl")
	for _, tt := range []struct {
		name   string
		happen func(p *pair)
		within time.Duration // a machine that does other work besides gets some time for it
	}{
		{"a link to the clients is cut", func(p *pair) { p.link(namespaces.Director, namespaces.ToClient, "down") }, 5 * time.Second},
		{"a link to the real servers is cut", func(p *pair) { p.link(namespaces.Director, namespaces.ToReals, "down") }, 5 * time.Second},
		{"the machine is gone", func(p *pair) {
			if err := p.rig.CutOff(p.t.Context(), namespaces.Director); err != nil {
				p.t.Fatal(err)
			}
		}, 5 * time.Second},
		{"lvsproxy is killed", func(p *pair) { p.directors[namespaces.Director].Kill() }, 8 * time.Second},
		{"keepalived is stopped", func(p *pair) { p.keepalived[namespaces.Director].Signal(syscall.SIGTERM) }, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := startPair(t, "masq", "rr")
			before := p.established()
			visits := p.visit()
			tt.happen(p)
			p.await("director 2 has the VIP", func() error {
				return p.has(namespaces.Director2, namespaces.VIP, namespaces.VIP6, namespaces.GatewayIP)
			})
			p.await("director 1 does not", func() error {
				if tt.name == "the machine is gone" || p.has(namespaces.Director, namespaces.VIP) != nil {
					return nil // whatever a machine that is cut off thinks
				}
				return errors.New("it has it")
			})
			p.await("a connection is served", func() error { return p.connect(time.Second) })
			if gap := visits(); gap > tt.within {
				t.Errorf("no connection was served for %v, want at most %v", gap, tt.within)
			} else {
				t.Logf("no connection was served for %v", gap)
			}
			// The connections of the userspace dataplane were the process's. The client is told, it does not wait for ever.
			before.SetDeadline(time.Now().Add(patience))
			before.Write([]byte("still there?\n"))
			if _, err := before.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
				t.Errorf("a connection from before: %v, want its end", err)
			}
		})
	}
}

// TestFailoverInTheKernel: with the ebpf dataplane, --sloppy-tcp and a scheduler that goes by the client, connections live
// through the loss of their director. By masq that is so where the client speaks next; see docs/operator.md.
func TestFailoverInTheKernel(t *testing.T) {
	need.Program(t, "keepalived", "keepalived")
	need.Program(t, "curl", "curl")
	for _, tt := range []struct{ forward, scheduler string }{{"gate", "sh"}, {"gate", "mh"}, {"masq", "mh"}} {
		t.Run(tt.forward+" "+tt.scheduler, func(t *testing.T) {
			p := startPair(t, tt.forward, tt.scheduler, "--dataplane", "ebpf", "--sloppy-tcp", "--bpf-max-conns", "100000")
			var conns []net.Conn
			for range 20 {
				conns = append(conns, p.established())
			}
			visits := p.visit()
			if err := p.rig.CutOff(p.t.Context(), namespaces.Director); err != nil {
				t.Fatal(err)
			}
			for i, c := range conns { // the first waits for the other director
				c.SetDeadline(time.Now().Add(patience))
				for range 3 {
					if err := echoes(c); err != nil {
						t.Fatalf("connection %d broke: %v", i, err)
					}
				}
			}
			if err := p.has(namespaces.Director2, namespaces.VIP); err != nil {
				t.Error(err)
			}
			p.await("a connection is served", func() error { return p.connect(time.Second) })
			t.Logf("no connection was served for %v; %d lived on", visits(), len(conns))
		})
	}
}

// pair is two directors in a rig.
type pair struct {
	t          *testing.T
	rig        *namespaces.Rig
	directors  map[namespaces.Host]*child.Process
	keepalived map[namespaces.Host]*child.Process
}

const pairConfig = `checkinterval=1
virtual=` + namespaces.VIP + `:80
	real=` + namespaces.Real1IP + `:80 %[1]s
	real=` + namespaces.Real2IP + `:80 %[1]s
	checktype=connect
	scheduler=%[2]s
`

func startPair(t *testing.T, forward, scheduler string, args ...string) *pair {
	p := &pair{
		t: t, rig: namespaces.NeedWith(t, namespaces.Options{Directors: 2}),
		directors: map[namespaces.Host]*child.Process{}, keepalived: map[namespaces.Host]*child.Process{},
	}
	p.serve()
	config := filepath.Join(p.rig.Dir(), "ldirectord.cf")
	if err := os.WriteFile(config, fmt.Appendf(nil, pairConfig, forward, scheduler), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, h := range []namespaces.Host{namespaces.Director, namespaces.Director2} {
		p.startDirector(h, config, args...)
	}
	// The first one is there first, so that it is known who has the VIP.
	p.startKeepalived(namespaces.Director, 150)
	p.await("director 1 has the VIP", func() error { return p.has(namespaces.Director, namespaces.VIP, namespaces.VIP6, namespaces.GatewayIP) })
	p.startKeepalived(namespaces.Director2, 100)
	p.await("director 2 stands by", func() error {
		text, err := os.ReadFile(keepalived.Log(p.rig, namespaces.Director2))
		if err == nil && !strings.Contains(string(text), "(inside) Entering BACKUP STATE") {
			err = errors.New("its keepalived does not say so")
		}
		return err
	})
	p.await("a connection is served", func() error { return p.connect(time.Second) })
	return p
}

// serve has both real servers echo.
func (p *pair) serve() {
	var wg sync.WaitGroup
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		l, err := p.rig.Listen(p.t.Context(), h, "tcp4", ":80")
		if err != nil {
			p.t.Fatal(err)
		}
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() {
					defer c.Close()
					c.SetDeadline(time.Now().Add(time.Minute))
					for buffer := make([]byte, 100); ; {
						n, err := c.Read(buffer)
						if err != nil {
							return
						}
						c.Write(buffer[:n])
					}
				})
			}
		})
		p.t.Cleanup(func() { l.Close() })
	}
}

// socket is the path of a director's admin socket.
func (p *pair) socket(h namespaces.Host) string { return filepath.Join(p.rig.Dir(), string(h)+".sock") }

func (p *pair) startDirector(h namespaces.Host, config string, args ...string) {
	p.t.Helper()
	// The one that stands by has the VIP open too.
	sysctl := p.rig.Command(p.t.Context(), h, "sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1")
	if out, err := sysctl.CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v: %s", sysctl, err, out)
	}
	cmd := p.rig.Command(context.Background(), h, os.Args[0],
		append([]string{"--config", config, "--admin", p.socket(h), "--bpf-pin", filepath.Join(p.rig.Pins(), string(h))}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = p.t.Output()
	process, err := child.Start(cmd)
	if err != nil {
		p.t.Fatal(err)
	}
	p.directors[h] = process
	p.t.Cleanup(process.Kill)
	client := admin.NewClient(p.socket(h))
	defer client.Close()
	p.await("a director is ready", func() error {
		status, err := client.Status(p.t.Context())
		if err == nil && !status.Ready {
			err = errors.New("it is not")
		}
		return err
	})
}

func (p *pair) startKeepalived(h namespaces.Host, priority int) {
	p.t.Helper()
	process, err := keepalived.Start(p.rig, h, keepalived.Options{Priority: priority, Admin: p.socket(h)})
	if err != nil {
		p.t.Fatal(err)
	}
	p.keepalived[h] = process
	p.t.Cleanup(process.Kill)
}

func (p *pair) await(what string, f func() error) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // between two looks, not instead of one
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not in %v: %s: %v\n%s\n%s", patience, what, err,
				child.Tail(keepalived.Log(p.rig, namespaces.Director), 10), child.Tail(keepalived.Log(p.rig, namespaces.Director2), 10))
		}
	}
}

// has has no complaint if a director has all these addresses.
func (p *pair) has(h namespaces.Host, addresses ...string) error {
	have := map[string]bool{}
	if err := p.rig.Do(h, func() error {
		all, err := net.InterfaceAddrs()
		for _, a := range all {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				have[prefix.Addr().String()] = true
			}
		}
		return err
	}); err != nil {
		return err
	}
	for _, a := range addresses {
		if !have[a] {
			return fmt.Errorf("%s has no %s", h, a)
		}
	}
	return nil
}

// connect has no complaint if a new connection is served in time.
func (p *pair) connect(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	c, err := p.rig.Dial(ctx, namespaces.Client, "tcp", namespaces.VIP+":80")
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	return echoes(c)
}

func echoes(c net.Conn) error {
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 10))
	return err
}

// established is a connection that works.
func (p *pair) established() net.Conn {
	p.t.Helper()
	c, err := p.rig.Dial(p.t.Context(), namespaces.Client, "tcp", namespaces.VIP+":80")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if err := echoes(c); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// visit opens one connection after the other until the returned function is called, which tells the longest time between
// two that were served.
func (p *pair) visit() (gap func() time.Duration) {
	ctx, cancel := context.WithCancel(p.t.Context())
	longest := make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		last := time.Now()
		for ctx.Err() == nil {
			if p.connect(200*time.Millisecond) == nil {
				most, last = max(most, time.Since(last)), time.Now()
			}
		}
		longest <- max(most, time.Since(last))
	}()
	p.t.Cleanup(cancel)
	return func() time.Duration {
		cancel()
		return <-longest
	}
}

// link sets a director's device up or down.
func (p *pair) link(h namespaces.Host, device, state string) {
	p.t.Helper()
	if out, err := p.rig.Command(p.t.Context(), h, "ip", "link", "set", device, state).CombinedOutput(); err != nil {
		p.t.Fatalf("set %s of %s %s: %v: %s", device, h, state, err, out)
	}
}
