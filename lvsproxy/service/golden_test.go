package service

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// unlike are the scenarios that end differently here, and why.
var unlike = map[string]string{
	"rr -p, the server quiesced":    "persistence lets a client go from a quiescent server, as with expire_quiescent_template",
	"sh -p":                         "persistence lets a client go from a quiescent server, as with expire_quiescent_template",
	"rr -p, the server overloaded":  "persistence keeps nobody at a server that is over its threshold",
	"lblc passes the overloaded by": "lblc keeps nobody at a server that is over its threshold",
}

// TestIPVS plays the recorded scenarios of the kernel's IPVS, and expects the same picks and counts.
func TestIPVS(t *testing.T) {
	paths, err := filepath.Glob("../testdata/ipvs/picks/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	left := maps.Clone(unlike)
	for _, path := range paths {
		file, err := recording.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, scenario := range file.Scenarios {
			delete(left, scenario.Name)
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txt")+"/"+scenario.Name, func(t *testing.T) {
				why := unlike[scenario.Name]
				err := play(scenario)
				switch {
				case err != nil && why == "":
					t.Error(err)
				case err == nil && why != "":
					t.Errorf("ends like the kernel's, though %s", why)
				}
			})
		}
	}
	for name := range left {
		t.Errorf("there is no scenario %q", name)
	}
}

// kernelTable is a table of one service that is edited and connected to as the recorded kernel was.
type kernelTable struct {
	definition Definition
	service    *Service
	held       []*heldConn // what open opened
	closed     []*Server   // inactive connections
	expires    bool
}

type heldConn struct {
	server *Server
	claim  *Claim
}

func play(scenario recording.Scenario) error {
	var k kernelTable
	for _, step := range scenario.Steps {
		args := step.Args()
		got, err := k.do(args[0], args[1:])
		if (err != nil) != (step.Code != 0) {
			return fmt.Errorf("%s: %v", step.Command, err)
		}
		if want := strings.Fields(step.Stdout); err == nil && !slices.Equal(strings.Fields(got), want) {
			return fmt.Errorf("%s:\ngot  %s\nwant %s", step.Command, strings.Join(strings.Fields(got), " "), strings.Join(want, " "))
		}
	}
	return nil
}

func (k *kernelTable) do(op string, args []string) (string, error) {
	switch op {
	case "service":
		k.definition.ID = config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("10.0.0.1:80")}
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			switch args[1] {
			case "tcp6":
				k.definition.ID.Addr = netip.MustParseAddrPort("[fd00::1]:80")
			case "mark":
				k.definition.ID = config.VirtualID{Protocol: config.FWM, FWMark: 7}
			}
			args = slices.Delete(slices.Clone(args), 1, 2)
		}
		return "", k.edit(k.definition.AddService(k.settings(args)))
	case "scheduler":
		return "", k.edit(k.definition.EditService(k.settings(args)))
	case "add":
		return "", k.edit(k.definition.AddServer(k.server(args[0]), serverSettings(args[1:])))
	case "weight":
		server := k.server(args[0])
		return "", k.edit(k.definition.EditServer(server, serverSettings(args[1:])), server)
	case "remove":
		return "", k.edit(k.definition.DeleteServer(k.server(args[0])))
	case "pick":
		return k.connect(args, func(c *heldConn) { k.close(c) }), nil
	case "open":
		return k.connect(args, func(c *heldConn) { k.held = append(k.held, c) }), nil
	case "close":
		for _, arg := range args {
			n, _ := strconv.Atoi(arg)
			k.close(k.held[n-1])
		}
		return "", nil
	case "expire":
		if k.expires {
			for _, server := range k.closed {
				server.Closed(true)
			}
			k.closed = nil
		}
		k.expires = true
		return "", nil
	case "counts":
		var b strings.Builder
		for _, s := range k.service.Snapshot().Servers {
			fmt.Fprintln(&b, name(s.Addr), s.ActiveConns, s.InactConns)
		}
		return b.String(), nil
	case "sysctl":
		return "", nil // expire_quiescent_template: always so here
	}
	return "", fmt.Errorf("unknown operation %s", op)
}

// edit makes the live service what the definition says.
func (k *kernelTable) edit(err error, edited ...netip.AddrPort) error {
	if err == nil && k.service == nil {
		k.service, err = Define(k.definition)
	} else if err == nil {
		_, err = k.service.SetHand(k.definition.Hand, edited...)
	}
	return err
}

func (k *kernelTable) v6() bool { return k.definition.ID.Addr.Addr().Is6() }

func (k *kernelTable) server(name string) netip.AddrPort {
	n := name[0] - 'A' + 1
	if k.v6() {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 0, 0, 1, 15: n}), 80)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, n}), 80)
}

func name(server netip.AddrPort) string {
	b := server.Addr().AsSlice()
	return string(rune('A' + b[len(b)-1] - 1))
}

// settings reads a scheduler and ipvsadm's options for it.
func (k *kernelTable) settings(args []string) Settings {
	s := Settings{Scheduler: args[0]}
	mask := 32
	if k.v6() {
		mask = 128
	}
	for option := range slices.Chunk(args[1:], 2) {
		switch option[0] {
		case "-b":
			s.SchedFlags = option[1]
		case "-p":
			n, _ := strconv.Atoi(option[1])
			s.Persistence.Timeout = time.Duration(n) * time.Second
		case "-M":
			if n, err := strconv.Atoi(option[1]); err == nil {
				mask = n
				continue
			}
			mask = 0
			for _, b := range netip.MustParseAddr(option[1]).AsSlice() {
				for ; b != 0; b <<= 1 {
					mask++
				}
			}
		}
	}
	if s.Persistence.Timeout > 0 {
		s.Persistence.Netmask = mask
	}
	return s
}

func serverSettings(args []string) ServerSettings {
	s := ServerSettings{Forward: config.Masq}
	s.Weight, _ = strconv.Atoi(args[0])
	for option := range slices.Chunk(args[1:], 2) {
		n, _ := strconv.Atoi(option[1])
		switch option[0] {
		case "-x":
			s.Upper = n
		case "-y":
			s.Lower = n
		}
	}
	return s
}

func (k *kernelTable) connect(args []string, then func(*heldConn)) string {
	clients, targets := k.plan(args)
	var b strings.Builder
	for i := range max(len(clients), len(targets)) {
		c := &heldConn{claim: &Claim{Flow: scheduler.Flow{Client: clients[i%len(clients)], VIP: targets[i%len(targets)]}}}
		server, err := k.service.Take(c.claim)
		if err != nil {
			b.WriteString("- ")
			continue
		}
		server.Established()
		c.server = server
		b.WriteString(name(server.Addr()) + " ")
		then(c)
	}
	return b.String()
}

// close makes a connection inactive, until connections expire.
func (k *kernelTable) close(c *heldConn) {
	c.server.Closing()
	k.closed = append(k.closed, c.server)
	k.service.Leave(c.claim)
}

// plan is that of the recorder, see testdata/ipvs/README.md.
func (k *kernelTable) plan(args []string) (clients, targets []netip.AddrPort) {
	count, virtual, client := 1, netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.2.0.1:40000")
	if k.v6() {
		virtual, client = k.definition.ID.Addr, netip.MustParseAddrPort("[fd00:2::1]:40000")
	}
	clients, targets = []netip.AddrPort{client}, []netip.AddrPort{virtual}
	if len(args)%2 == 1 {
		count, _ = strconv.Atoi(args[0])
		args = args[1:]
	}
	for option := range slices.Chunk(args, 2) {
		list := addresses(option[1])
		if option[0] == "from" {
			clients = list
			continue
		}
		targets = list
		for i := range targets {
			targets[i] = netip.AddrPortFrom(targets[i].Addr(), 80)
		}
	}
	return slices.Repeat(clients, count), targets
}

// addresses reads ADDRESS[-LAST][:PORT[-LAST]]; an IPv6 address has a port only in brackets.
func addresses(text string) (all []netip.AddrPort) {
	ports := []uint16{40000}
	if i := strings.LastIndex(text, ":"); i >= 0 && (strings.Contains(text, ".") || strings.HasPrefix(text, "[")) {
		first, last, isRange := strings.Cut(text[i+1:], "-")
		if !isRange {
			last = first
		}
		from, _ := strconv.Atoi(first)
		to, _ := strconv.Atoi(last)
		ports = nil
		for port := from; port <= to; port++ {
			ports = append(ports, uint16(port))
		}
		text = text[:i]
	}
	first, last, isRange := strings.Cut(strings.Trim(text, "[]"), "-")
	if !isRange {
		last = first
	}
	for addr, end := netip.MustParseAddr(first), netip.MustParseAddr(last); addr.Compare(end) <= 0; addr = addr.Next() {
		for _, port := range ports {
			all = append(all, netip.AddrPortFrom(addr, port))
		}
	}
	return all
}
