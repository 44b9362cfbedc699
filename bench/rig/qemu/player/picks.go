package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

// nobody is the answer where no real server may be picked.
const nobody = "-"

// picks plays scenarios of one virtual service and tells which real server the kernel picks for each connection. Real
// server A is at 10.1.0.1, B at 10.1.0.2 and so on, each at port 80.
type picks struct {
	service []string // ipvsadm's options that name it
	virtual netip.AddrPort
	mark    int
	changes []string // ipvsadm's commands that are still to run
	servers map[string]*listener
	all     []*conn
	held    []*conn // what open opened, nil where it was closed
	expire  bool    // closed connections are forgotten soon
}

// fwmark is the mark of the virtual service by mark.
const fwmark = 7

func newPicks() (player, error) {
	// Every connection keeps its two files until the scenario ends.
	limit := unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	return &picks{servers: map[string]*listener{}}, nil
}

func (p *picks) play(step *recording.Step) error {
	args := step.Args()
	ops := map[string]func(args []string, step *recording.Step) error{
		"service": p.opService, "scheduler": p.opScheduler, "add": p.opAdd, "weight": p.opWeight, "remove": p.opRemove,
		"pick": p.opPick, "open": p.opOpen, "close": p.opClose, "expire": p.opExpire, "counts": p.opCounts,
		"sysctl": p.opSysctl,
	}
	op, ok := ops[args[0]]
	if !ok {
		return errors.New("unknown operation")
	}
	if !slices.Contains([]string{"service", "scheduler", "add", "weight", "remove"}, args[0]) {
		if err := p.flush(); err != nil {
			return err
		}
	}
	return op(args[1:], step)
}

// opService: service SCHEDULER [tcp|mark|tcp6] [ipvsadm options]
func (p *picks) opService(args []string, step *recording.Step) error {
	scheduler, kind := args[0], "tcp"
	args = args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		kind, args = args[0], args[1:]
	}
	p.virtual = netip.MustParseAddrPort("10.0.0.1:80")
	switch kind {
	case "tcp":
		p.service = []string{"-t", p.virtual.String()}
	case "tcp6":
		if err := network6(); err != nil {
			return err
		}
		p.virtual = netip.MustParseAddrPort("[fd00::1]:80")
		p.service = []string{"-t", p.virtual.String()}
	case "mark":
		p.mark = fwmark
		p.service = []string{"-f", strconv.Itoa(fwmark)}
	default:
		return fmt.Errorf("unknown kind of service %q", kind)
	}
	return p.ipvsadm(append([]string{"-A"}, append(p.service, append([]string{"-s", scheduler}, args...)...)...)...)
}

// opScheduler: scheduler SCHEDULER [ipvsadm options]
func (p *picks) opScheduler(args []string, step *recording.Step) error {
	return p.ipvsadm(append([]string{"-E"}, append(p.service, append([]string{"-s"}, args...)...)...)...)
}

// opAdd: add SERVER WEIGHT [ipvsadm options]
func (p *picks) opAdd(args []string, step *recording.Step) error {
	real := p.real(args[0])
	if p.servers[args[0]] == nil {
		server, err := listen(args[0], real)
		if err != nil {
			return err
		}
		p.servers[args[0]] = server
	}
	return p.ipvsadm(p.destination("-a", args)...)
}

// opWeight: weight SERVER WEIGHT [ipvsadm options]
func (p *picks) opWeight(args []string, step *recording.Step) error {
	return p.ipvsadm(p.destination("-e", args)...)
}

// opRemove: remove SERVER
func (p *picks) opRemove(args []string, step *recording.Step) error {
	return p.ipvsadm(append([]string{"-d"}, append(p.service, "-r", p.real(args[0]).String())...)...)
}

func (p *picks) destination(command string, args []string) []string {
	all := append([]string{command}, append(p.service, "-r", p.real(args[0]).String(), "-m", "-w", args[1])...)
	return append(all, args[2:]...)
}

// real is the address of the server of that name.
func (p *picks) real(name string) netip.AddrPort {
	number := name[0] - 'A' + 1
	if p.virtual.Addr().Is6() {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 0, 0, 1, 15: number}), 80)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, number}), 80)
}

// ipvsadm notes a command for flush.
func (p *picks) ipvsadm(args ...string) error {
	p.changes = append(p.changes, strings.Join(args, " "))
	return nil
}

// flush changes the table. Starting a program takes its time here, so one ipvsadm makes all changes up to the next
// connection.
func (p *picks) flush() error {
	if len(p.changes) == 0 {
		return nil
	}
	cmd := exec.Command("ipvsadm", "-R")
	cmd.Stdin = strings.NewReader(strings.Join(p.changes, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		return fmt.Errorf("ipvsadm: %q: %w: %s", p.changes, err, out)
	}
	p.changes = nil
	return nil
}

// opPick: pick [N] [from ADDRESS[-LAST][:PORT[-LAST]]] [to ADDRESS[-LAST]]
//
// It makes connections one after the other and closes each before the next.
func (p *picks) opPick(args []string, step *recording.Step) error {
	return p.connect(args, step, p.close)
}

// opOpen: like pick, but the connections stay open.
func (p *picks) opOpen(args []string, step *recording.Step) error {
	return p.connect(args, step, func(c *conn) error {
		p.held = append(p.held, c)
		return nil
	})
}

// opClose: close NUMBER..., counted from 1 over all that was opened
func (p *picks) opClose(args []string, step *recording.Step) error {
	for _, arg := range args {
		number, err := strconv.Atoi(arg)
		if err != nil || number < 1 || number > len(p.held) || p.held[number-1] == nil {
			return fmt.Errorf("there is no open connection %s", arg)
		}
		if err := p.close(p.held[number-1]); err != nil {
			return err
		}
		p.held[number-1] = nil
	}
	return nil
}

// close closes a connection's client, and waits until the kernel counts it as inactive: the packet that says so may be on
// its way for a moment. The server keeps its end open. When connections are to expire soon it is the other way round,
// because only then the kernel waits for the time-out that can be set (FIN_WAIT in ip_vs_proto_tcp.c).
func (p *picks) close(c *conn) error {
	before, err := active(c.name)
	if err != nil {
		return err
	}
	end := &c.client
	if p.expire {
		end = &c.server
	}
	if err := unix.Close(*end); err != nil {
		return err
	}
	*end = closed
	return until(func() (bool, string, error) {
		now, err := active(c.name)
		return before == 0 || now < before, "the kernel still counts the connection as active", err
	})
}

// opExpire: expire
//
// Every connection that is closed, or will be, is forgotten after a second; waits until there is none.
func (p *picks) opExpire(args []string, step *recording.Step) error {
	if !p.expire {
		p.expire = true
		return quietly("ipvsadm", "--set", "0", "1", "0")
	}
	return until(func() (bool, string, error) {
		all, err := destinations()
		inactive := 0
		for _, d := range all {
			inactive += d.inactive
		}
		return inactive == 0, fmt.Sprintf("the kernel counts %d inactive connections", inactive), err
	})
}

// opSysctl: sysctl NAME VALUE, below net.ipv4.vs
func (p *picks) opSysctl(args []string, step *recording.Step) error {
	return sysctl("net/ipv4/vs/"+args[0], args[1])
}

// opCounts: counts
//
// Says each server's active and inactive connections, in the kernel's order.
func (p *picks) opCounts(args []string, step *recording.Step) error {
	lines, err := destinations()
	for _, d := range lines {
		step.Stdout += fmt.Sprintf("%s %d %d\n", d.name, d.active, d.inactive)
	}
	return err
}

// until waits until done says so; it says as well what is still missing.
func until(done func() (bool, string, error)) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		ok, missing, err := done()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New(missing)
		}
		time.Sleep(time.Millisecond)
	}
}

// end closes what is still open.
func (p *picks) end() error {
	if err := p.flush(); err != nil {
		return err
	}
	for _, server := range p.servers {
		unix.Close(server.fd)
	}
	for _, c := range p.all {
		for _, fd := range []int{c.client, c.server} {
			if fd != closed {
				unix.Close(fd)
			}
		}
	}
	return nil
}

type destination struct {
	name             string
	active, inactive int
}

// destinations reads the kernel's table.
func destinations() ([]destination, error) {
	b, err := os.ReadFile("/proc/net/ip_vs")
	if err != nil {
		return nil, err
	}
	var all []destination
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) != 6 || fields[0] != "->" || fields[1] == "RemoteAddress:Port" {
			continue
		}
		addr, _, _ := strings.Cut(fields[1], "]")
		addr, _, _ = strings.Cut(addr, ":00")
		number, err1 := strconv.ParseUint(addr[len(addr)-2:], 16, 8)
		active, err2 := strconv.Atoi(fields[4])
		inactive, err3 := strconv.Atoi(fields[5])
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("/proc/net/ip_vs: %q: %w", line, err)
		}
		all = append(all, destination{name: string('A' + rune(number) - 1), active: active, inactive: inactive})
	}
	return all, nil
}

// active returns how many active connections a server has, 0 where the service does not have it.
func active(server string) (int, error) {
	all, err := destinations()
	for _, d := range all {
		if d.name == server {
			return d.active, nil
		}
	}
	return 0, err
}

// connect makes the connections that args describe, and notes who answered.
func (p *picks) connect(args []string, step *recording.Step, then func(*conn) error) error {
	clients, targets, err := p.plan(args)
	if err != nil {
		return err
	}
	var answers []string
	for i := range max(len(clients), len(targets)) {
		c, err := connect(clients[i%len(clients)], targets[i%len(targets)], p.mark, p.servers)
		if err != nil {
			return err
		}
		if c == nil {
			answers = append(answers, nobody)
			continue
		}
		answers = append(answers, c.name)
		p.all = append(p.all, c)
		if err := then(c); err != nil {
			return err
		}
	}
	const perLine = 50
	for line := range slices.Chunk(answers, perLine) {
		step.Stdout += strings.Join(line, " ") + "\n"
	}
	return nil
}

// plan returns the clients' addresses and the addresses that they connect to.
func (p *picks) plan(args []string) (clients, targets []netip.AddrPort, err error) {
	count := 1
	client := netip.MustParseAddrPort("10.2.0.1:0")
	if p.virtual.Addr().Is6() {
		client = netip.MustParseAddrPort("[fd00:2::1]:0")
	}
	clients, targets = []netip.AddrPort{client}, []netip.AddrPort{p.virtual}
	if len(args)%2 == 1 {
		if count, err = strconv.Atoi(args[0]); err != nil {
			return nil, nil, err
		}
		args = args[1:]
	}
	for ; len(args) > 0; args = args[2:] {
		var list []netip.AddrPort
		if list, err = addresses(args[1]); err != nil {
			return nil, nil, err
		}
		switch args[0] {
		case "from":
			clients = list
		case "to":
			targets = list
			for i := range targets {
				targets[i] = netip.AddrPortFrom(targets[i].Addr(), 80)
			}
		default:
			return nil, nil, fmt.Errorf("unknown word %q", args[0])
		}
	}
	return slices.Repeat(clients, count), targets, nil
}

// addresses reads ADDRESS[-LAST][:PORT[-LAST]]; an IPv6 address has a port only in brackets. LAST is a whole address.
func addresses(text string) ([]netip.AddrPort, error) {
	ports := []uint16{0}
	if i := strings.LastIndex(text, ":"); i >= 0 && (strings.Contains(text, ".") || strings.HasPrefix(text, "[")) {
		first, last, isRange := strings.Cut(text[i+1:], "-")
		from, err := strconv.ParseUint(first, 10, 16)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseUint(last, 10, 16)
		}
		if err != nil {
			return nil, err
		}
		ports = nil
		for port := from; port <= to; port++ {
			ports = append(ports, uint16(port))
		}
		text = text[:i]
	}
	first, last, isRange := strings.Cut(strings.Trim(text, "[]"), "-")
	addr, err := netip.ParseAddr(first)
	if err != nil {
		return nil, err
	}
	end := addr
	if isRange {
		if end, err = netip.ParseAddr(last); err != nil {
			return nil, err
		}
	}
	var all []netip.AddrPort
	for ; addr.Compare(end) <= 0; addr = addr.Next() {
		for _, port := range ports {
			all = append(all, netip.AddrPortFrom(addr, port))
		}
	}
	return all, nil
}
