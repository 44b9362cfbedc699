package ipvs

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/conntable"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// counted is what was last told of servers.
type counted map[netip.AddrPort]service.Counts

// Count implements [service.Counter]. A table that is shown is the kernel's by then. What a server that the kernel no longer
// lists had active is not known: its packets are dropped, so it is told to have none.
func (d *Dataplane) Count(s *service.Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.fronts[s.ID()]
	if f == nil || f.service != s {
		return
	}
	if f.dirty.Load() {
		d.sync()
	}
	servers, err := d.kernel.Servers(s.ID())
	if err != nil {
		d.log.Warn("the counts of servers cannot be read", "error", err)
		return
	}
	last := f.counts
	f.counts = counted{}
	for _, server := range servers {
		f.counts[server.Addr] = server.Counts
		s.SetCounts(server.Addr, server.Counts)
		delete(last, server.Addr)
	}
	for addr, c := range last {
		c.Active, c.Inactive, c.Persistent = 0, 0, 0
		s.SetCounts(addr, c)
	}
}

// Conns implements [service.Conns]. Of a service of a firewall mark it knows only what persistence remembers.
func (d *Dataplane) Conns(s *service.Service, yield func(service.Conn) bool) {
	list, err := d.options.Conns()
	if err == nil {
		defer list.Close()
		err = conntable.Read(list, func(c service.Conn) bool { return !d.belongs(c, s.ID()) || yield(c) })
	}
	if err != nil {
		d.log.Warn("the connections cannot be read", "error", err)
	}
}

// belongs reports whether a connection is one of a service.
func (d *Dataplane) belongs(c service.Conn, id config.VirtualID) bool {
	switch {
	case c.Protocol != id.Protocol:
		return false
	case id.Protocol == config.FWM:
		return conntable.Mark(c.Virtual.Addr()) == id.FWMark && c.Client.Addr().Is6() == id.IPv6
	case c.Virtual == id.Addr:
		return true
	case id.Addr.Port() != 0 || c.Virtual.Addr() != id.Addr.Addr():
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fronts[config.VirtualID{Protocol: id.Protocol, Addr: c.Virtual}] == nil // else it is that one's, not every port's
}

// connected returns the kernel.
func (d *Dataplane) connected() (Kernel, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.connect()
	return d.kernel, err
}

// SetTimeouts implements [service.TimeoutSetter]. What is 0 stays as it is.
func (d *Dataplane) SetTimeouts(t service.Timeouts) error {
	k, err := d.connected()
	if err != nil {
		return err
	}
	return k.SetTimeouts(t)
}

// Timeouts implements [service.TimeoutGetter].
func (d *Dataplane) Timeouts() (t service.Timeouts, ok bool) {
	k, err := d.connected()
	if err == nil {
		t, err = k.Timeouts()
	}
	if err != nil {
		d.log.Warn("the time-outs cannot be read", "error", err)
	}
	return t, err == nil
}

// StartSync implements [service.Syncer].
func (d *Dataplane) StartSync(daemon service.SyncDaemon) error {
	k, err := d.connected()
	if err != nil {
		return err
	}
	if err := k.StartSync(daemon); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return service.ErrDaemonRuns
}

// StopSync implements [service.Syncer].
func (d *Dataplane) StopSync(state string) error {
	k, err := d.connected()
	if err != nil {
		return err
	}
	if err := k.StopSync(state); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return service.ErrNoDaemon
}

// SyncDaemons implements [service.Syncer].
func (d *Dataplane) SyncDaemons() ([]service.SyncDaemon, error) {
	k, err := d.connected()
	if err != nil {
		return nil, err
	}
	return k.SyncDaemons()
}
