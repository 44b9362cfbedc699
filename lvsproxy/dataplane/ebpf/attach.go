package ebpf

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// linksFolder is where links are pinned, each under its interface's name and index, and its hook.
const linksFolder = "links"

// hook is a place at each interface, and the program that belongs there.
type hook struct {
	name    string
	attach  ebpf.AttachType
	parent  uint32 // of clsact, where the kernel has no TCX
	program *ebpf.Program
}

// attachments keep programs at the machine's interfaces: at those with an address of their own that are up, or at those that
// are named. What arrives at a bridge or a bond is seen there, and not at its ports.
type attachments struct {
	pins  *pins
	hooks []hook
	early early
	only  []string // names; empty means all
	log   *slog.Logger
	short *ebpf.Map // where shortcuts are noted; may be nil

	last bool // programs of other versions are to see packets first: see predecessor

	mu     sync.Mutex
	at     map[int]*attachment // by the interface's index
	noTCX  bool                // programs are filters of clsact, as before Linux 6.6
	refuse map[int]bool        // interfaces that took no program, and of whom that was said
}

// attachment is what is at one interface.
type attachment struct {
	name  string
	links []link.Link // none with clsact
	early bool        // the driver has the program of XDP
}

// close lets go of the links; their pins keep them.
func (a *attachment) close() {
	for _, l := range a.links {
		l.Close()
	}
}

// follow brings the programs to the interfaces there are, and goes on doing so as they come and go until stop, which
// returns when that has ended.
func (a *attachments) follow() (stop func(), err error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_TC)
	if err != nil {
		return nil, fmt.Errorf("follow the interfaces: %w", err)
	}
	if err := a.refresh(); err != nil {
		socket.Close()
		return nil, err
	}
	done := make(chan struct{})
	var stopping atomic.Bool
	go func() {
		defer close(done)
		for {
			_, _, err := socket.Receive()
			if stopping.Load() {
				return
			}
			if err != nil && !errors.Is(err, unix.ENOBUFS) { // with that, some news were lost: look at all
				a.log.Error("no program is brought to new interfaces any more", "error", err)
				return
			}
			if err := a.refresh(); err != nil {
				a.log.Error("the programs are not at every interface", "error", err)
			}
		}
	}()
	return func() {
		stopping.Store(true)
		socket.Close()
		<-done
	}, nil
}

// refresh attaches to the interfaces that have come, and forgets those that have gone. An interface that takes no program
// is logged, once; the error says that none took any.
func (a *attachments) refresh() error {
	if a.pins.lent.Load() {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted, err := a.wanted()
	if err != nil {
		return err
	}
	for index, at := range a.at {
		if wanted[index] != at.name {
			a.forget(index)
		}
	}
	var failed error
	for index, name := range wanted {
		if a.at[index] != nil {
			continue
		}
		if err := a.attach(index, name); err != nil {
			failed = fmt.Errorf("attach to interface %s: %w", name, err)
			if !a.refuse[index] {
				a.log.Error("packets of this interface are not seen", "interface", name, "error", err)
			}
			a.refuse[index] = true
			continue
		}
		delete(a.refuse, index)
		a.log.Info("attached", "interface", name, "by", a.by(a.at[index]))
	}
	if a.short != nil {
		if err := refreshShortcuts(a.short); err != nil {
			return err
		}
	}
	if len(a.at) == 0 {
		return failed
	}
	if err := a.early.keep(a.at); err != nil {
		return err
	}
	return a.tidy()
}

// by says how programs are attached.
func (a *attachments) by(at *attachment) string {
	by := "tcx"
	if a.noTCX {
		by = "clsact"
	}
	if at.early {
		by += ", xdp"
	}
	return by
}

// wanted returns the names of the interfaces that get programs, by index.
func (a *attachments) wanted() (map[int]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	wanted := map[int]string{}
	for _, i := range all {
		switch {
		case len(a.only) > 0:
			if slices.Contains(a.only, i.Name) {
				wanted[i.Index] = i.Name
			}
		case i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0:
			if addresses, err := i.Addrs(); err == nil && slices.ContainsFunc(addresses, global) {
				wanted[i.Index] = i.Name
			}
		}
	}
	return wanted, nil
}

// global reports whether an address is one that packets are routed to.
func global(a net.Addr) bool {
	n, ok := a.(*net.IPNet)
	return ok && n.IP.IsGlobalUnicast()
}

// attach brings the programs to an interface: those that a process before this one attached are replaced in place, so that
// no packet goes by between the two.
func (a *attachments) attach(index int, name string) error {
	at := &attachment{name: name}
	for _, h := range a.hooks {
		var err error
		if !a.noTCX {
			var l link.Link
			if l, err = a.tcx(index, name, h); err == nil {
				at.links = append(at.links, l)
				continue
			}
			a.noTCX = errors.Is(err, ebpf.ErrNotSupported)
		}
		if a.noTCX {
			err = clsact(index, h, a.pins.version)
		}
		if err != nil {
			at.close()
			return err
		}
	}
	l, err := a.early.attach(a.pins, index, name)
	if err != nil {
		a.log.Warn("packets of this interface are not taken by XDP", "interface", name, "error", err)
	}
	if l != nil {
		at.links, at.early = append(at.links, l), true
	}
	a.at[index] = at
	return nil
}

// tcx returns the pinned link of a hook, with our program.
func (a *attachments) tcx(index int, name string, h hook) (link.Link, error) {
	pin := a.pins.path(linksFolder, pinName(name, index, h.name))
	l, err := link.LoadPinnedLink(pin, nil)
	if err == nil {
		info, err := l.Info()
		ours := err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == index
		if ours && !a.last {
			return l, l.Update(h.program)
		}
		defer l.Close() // of an interface that was removed; or it goes as the new one has come
		os.Remove(pin)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: h.program, Attach: h.attach})
	return pinned(l, err, pin)
}

// pinned pins a new link, if it could be made. It closes one that cannot be pinned.
func pinned(l link.Link, err error, pin string) (link.Link, error) {
	if err != nil {
		return nil, err
	}
	if err := l.Pin(pin); err != nil {
		l.Close()
		return nil, fmt.Errorf("pin the link: %w", err)
	}
	return l, nil
}

func pinName(name string, index int, hook string) string {
	// A bpffs takes no dots in names.
	return strings.ReplaceAll(name, ".", "_") + "-" + strconv.Itoa(index) + "-" + hook
}

// filterName is that of our filters of clsact.
const filterName = "lvsproxy"

// priority is the place of a version's filters: after all that were given a place on purpose, and those of a later version after
// those of the ones before.
func priority(version string) uint16 {
	n, _ := strconv.ParseUint(strings.TrimPrefix(version, "v"), 10, 8) // what is no number is none of ours
	return 49151 + uint16(n)
}

// clsact puts a program into the filter chain of a hook, in the place of the one of this version that was there.
func clsact(index int, h hook, version string) error {
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := netlink.QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add clsact: %w", err)
	}
	if err := netlink.FilterReplace(filter(index, h, version)); err != nil {
		return fmt.Errorf("add a filter: %w", err)
	}
	return nil
}

func filter(index int, h hook, version string) *netlink.BpfFilter {
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: h.parent, Handle: 1, Priority: priority(version), Protocol: unix.ETH_P_ALL,
		},
		Name: filterName, DirectAction: true,
	}
	if h.program != nil {
		f.Fd = h.program.FD()
	}
	return f
}

// forget lets go of an interface that went, or is not wanted any more.
func (a *attachments) forget(index int) {
	at := a.at[index]
	delete(a.at, index)
	a.early.forget(index)
	at.close()
	os.Remove(a.pins.path(linksFolder, pinName(at.name, index, earlyHook)))
	for _, h := range a.hooks {
		if a.noTCX {
			netlink.FilterDel(filter(index, hook{parent: h.parent}, a.pins.version)) // it may have gone with the interface
			continue
		}
		os.Remove(a.pins.path(linksFolder, pinName(at.name, index, h.name)))
	}
	a.log.Info("detached", "interface", at.name)
}

// tidy removes the pins of links to interfaces that are not ours: which went, or were ours in another process.
func (a *attachments) tidy() error {
	names, err := a.pins.names(linksFolder)
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	mine := func(name string) bool { // a program for another purpose may have links in the same folder
		if strings.HasSuffix(name, "-"+earlyHook) {
			return a.early.program != nil
		}
		return !a.noTCX && slices.ContainsFunc(a.hooks, func(h hook) bool { return strings.HasSuffix(name, "-"+h.name) })
	}
	for index, at := range a.at {
		for _, h := range a.hooks {
			ours[pinName(at.name, index, h.name)] = true
		}
		ours[pinName(at.name, index, earlyHook)] = at.early
	}
	for _, name := range names {
		if mine(name) && !ours[name] {
			os.Remove(a.pins.path(linksFolder, name))
		}
	}
	return nil
}

// close lets go of all links. They go on as long as they are pinned.
func (a *attachments) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.at {
		at.close()
	}
	clear(a.at)
}
