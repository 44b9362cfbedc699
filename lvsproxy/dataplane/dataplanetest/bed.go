package dataplanetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// port is the virtual service's and the real servers': gate and ipip cannot change it.
const port = 80

// family is what differs between IPv4 and IPv6.
type family struct {
	name          string
	virtual, real string // directives
	vip           netip.Addr
	reals         [2]netip.Addr
	clients       []netip.Addr
}

var families = []family{
	newFamily("IPv4", "", namespaces.VIP, namespaces.Real1IP, namespaces.Real2IP, namespaces.ClientIP, "172.16.9."),
	newFamily("IPv6", "6", namespaces.VIP6, namespaces.Real1IP6, namespaces.Real2IP6, namespaces.ClientIP6, "fd00:16::9:"),
}

// moreClients is how many addresses the client has beside its own.
const moreClients = 16

func newFamily(name, suffix, vip, real1, real2, client, prefix string) family {
	f := family{
		name: name, virtual: "virtual" + suffix, real: "real" + suffix, vip: netip.MustParseAddr(vip),
		reals:   [2]netip.Addr{netip.MustParseAddr(real1), netip.MustParseAddr(real2)},
		clients: []netip.Addr{netip.MustParseAddr(client)},
	}
	for i := range moreClients {
		f.clients = append(f.clients, netip.MustParseAddr(prefix+strconv.Itoa(i+1)))
	}
	return f
}

// addClients gives the client its addresses.
func addClients(t *testing.T, rig *namespaces.Rig) {
	t.Helper()
	for _, f := range families {
		for _, a := range f.clients[1:] {
			args := []string{"address", "add", netip.PrefixFrom(a, a.BitLen()).String(), "dev", "eth0"}
			if out, err := rig.Command(t.Context(), namespaces.Client, "ip", args...).CombinedOutput(); err != nil {
				t.Fatalf("ip %v: %v: %s", args, err, out)
			}
		}
	}
}

// bed is what one behaviour is tried in.
type bed struct {
	*testing.T
	family
	rig     *namespaces.Rig
	subject Subject
	program string
	forward config.Forward
	dir     string
	admin   *admin.Client
	process *child.Process
	runs    int
}

func newBed(t *testing.T, rig *namespaces.Rig, s Subject, program string, forward config.Forward, f family) *bed {
	dir := t.TempDir()
	b := &bed{T: t, family: f, rig: rig, subject: s, program: program, forward: forward, dir: dir, admin: admin.NewClient(filepath.Join(dir, "admin.sock"))}
	t.Cleanup(b.admin.Close)
	return b
}

// real is a line of the configuration.
func (b *bed) realLine(n int, rest string) string {
	return fmt.Sprintf("\t%s=%s %s %s\n", b.real, netip.AddrPortFrom(b.reals[n-1], port), b.forward, rest)
}

// both are the two real servers with nothing special.
func (b *bed) both() string { return b.realLine(1, "") + b.realLine(2, "") }

// write writes the configuration of a virtual service.
func (b *bed) write(lines ...string) {
	b.Helper()
	text := fmt.Sprintf("checkinterval=1\n%s=%s\n\tchecktype=on\n%s%s\n", b.virtual, netip.AddrPortFrom(b.vip, port), b.subject.Lines, strings.Join(lines, ""))
	if err := os.WriteFile(filepath.Join(b.dir, "ldirectord.cf"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// start starts the director with a virtual service of these lines, until the test ends.
func (b *bed) start(lines ...string) {
	b.Helper()
	b.write(lines...)
	b.launch()
	b.Cleanup(func() {
		b.kill()
		if b.subject.Detach == nil {
			return
		}
		command := b.subject.Detach(b.rig, b.program)
		b.eventually("what is in the kernel is taken away", func() error { // a process that another one started may still be ending
			out, err := b.rig.Command(context.Background(), namespaces.Director, command[0], command[1:]...).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		})
	})
}

// launch starts the process and waits until it is ready.
func (b *bed) launch() {
	b.Helper()
	b.runs++
	log, err := os.Create(b.log())
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	args := []string{"--config", filepath.Join(b.dir, "ldirectord.cf"), "--admin", filepath.Join(b.dir, "admin.sock"), "--dataplane", b.subject.Name}
	if b.subject.Args != nil {
		args = append(args, b.subject.Args(b.rig, b.program)...)
	}
	cmd := b.rig.Command(context.Background(), namespaces.Director, b.program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if b.process, err = child.Start(cmd); err != nil {
		b.Fatal(err)
	}
	b.eventually("the director is ready", func() error {
		if !b.process.Alive() {
			b.Fatalf("lvsproxy has ended: %s", child.Tail(b.log(), 10))
		}
		status, err := b.admin.Status(b.Context())
		if err == nil && !status.Ready {
			err = fmt.Errorf("it is not: %s", child.Tail(b.log(), 10))
		}
		return err
	})
}

func (b *bed) log() string { return filepath.Join(b.dir, fmt.Sprintf("%d.log", b.runs)) }

// kill ends the process, and those that it has started.
func (b *bed) kill() {
	syscall.Kill(-b.process.PID(), syscall.SIGKILL) // the group may have members when its head is gone
	<-b.process.Done()
}

// reload gives the running director other lines, and waits until they are in force: until the weights are those wanted,
// of servers that are in the table.
func (b *bed) reload(weights map[int]int, lines ...string) {
	b.Helper()
	b.write(lines...)
	if err := b.process.Signal(syscall.SIGHUP); err != nil {
		b.Fatal(err)
	}
	b.eventually("the file is in force", func() error {
		got := map[int]int{}
		for _, server := range b.table().Servers {
			for n, addr := range b.reals {
				if server.Addr.Addr() == addr {
					got[n+1] = server.Weight
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(weights) {
			return fmt.Errorf("the weights are %v, not %v: %s", got, weights, child.Tail(b.log(), 3))
		}
		return nil
	})
}

// table is the virtual service as the admin socket tells.
func (b *bed) table() service.Snapshot {
	b.Helper()
	table, err := b.admin.Table(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if len(table) != 1 {
		b.Fatalf("%d services, want one", len(table))
	}
	return table[0]
}

// server is what is known of a real server, also of one that was removed.
func (b *bed) server(n int) (s service.ServerSnapshot) {
	b.Helper()
	t := b.table()
	for _, list := range [][]service.ServerSnapshot{t.Servers, t.Out, t.Leaving} {
		for _, s := range list {
			if s.Addr.Addr() == b.reals[n-1] {
				return s
			}
		}
	}
	return s
}

// eventually waits until f has nothing to complain of.
func (b *bed) eventually(what string, f func() error) {
	b.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // between two looks, not instead of one
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("not in %v: %s: %v", patience, what, err)
		}
	}
}

// conn is a client's connection through the VIP.
type conn struct {
	*net.TCPConn
	in     *bufio.Reader
	server int    // who answered
	seen   string // the client as the server sees it
}

// dial opens a connection from one of the client's addresses and reads who answers.
func (b *bed) dial(client int) *conn {
	b.Helper()
	c, err := b.tryDial(client)
	if err != nil {
		b.Fatalf("from %v: %v: %s", b.clients[client], err, child.Tail(b.log(), 3))
	}
	return c
}

func (b *bed) tryDial(client int) (*conn, error) {
	return b.dialFrom(netip.AddrPortFrom(b.clients[client], 0), netip.AddrPortFrom(b.vip, port))
}

// dialFrom opens a connection from an address, of which port 0 is any, to another, and reads who answers.
func (b *bed) dialFrom(from, to netip.AddrPort) (*conn, error) {
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	var raw net.Conn
	err := b.rig.Do(namespaces.Client, func() (err error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Control: reusePort}
		raw, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(time.Minute))
	c := &conn{TCPConn: raw.(*net.TCPConn), in: bufio.NewReader(raw)}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("read who answers: %w", err)
	}
	if _, err := fmt.Sscan(line, &c.server, &c.seen); err != nil {
		return nil, fmt.Errorf("read who answers: %q: %w", line, err)
	}
	return c, nil
}

// reusePort lets a client have connections to several addresses from one port.
func reusePort(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	return errors.Join(err, failed)
}

// say sends a line and returns an error unless it comes back.
func (c *conn) say(line string) error {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return err
	}
	got, err := c.in.ReadString('\n')
	if err == nil && got != line+"\n" {
		err = fmt.Errorf("%q came back of %q", got, line)
	}
	return err
}

// alive fails the test unless all connections are, and go where they went.
func (b *bed) alive(conns []*conn) {
	b.Helper()
	for i, c := range conns {
		if err := c.say(fmt.Sprintf("number %d", i)); err != nil {
			b.Errorf("connection %d of %d, to server %d, broke: %v", i, len(conns), c.server, err)
		}
	}
}

// of returns the connections that go to a server.
func of(server int, conns []*conn) (its []*conn) {
	for _, c := range conns {
		if c.server == server {
			its = append(its, c)
		}
	}
	return its
}

// dialAll opens n connections, one after the other, and returns also how many went to each server.
func (b *bed) dialAll(n, client int) (conns []*conn, shares [2]int) {
	b.Helper()
	for range n {
		c := b.dial(client)
		conns = append(conns, c)
		shares[c.server-1]++
	}
	return conns, shares
}
