package lvsproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// The table is the configuration and, on top of it, what was edited by hand. An edit outlives reloads: a service or
// server added by hand stays; a configured one that was removed by hand, or given other settings, stays so until it is
// added again or given the configuration's settings again. The errors are those of package service, and [ErrNotRunning].

// AddService adds a virtual service, as "ipvsadm -A" does.
func (d *Director) AddService(id config.VirtualID, s service.Settings) error {
	return d.edit(id, func(def *service.Definition) error { return def.AddService(s) })
}

// EditService gives a virtual service other settings, as "ipvsadm -E" does.
func (d *Director) EditService(id config.VirtualID, s service.Settings) error {
	return d.edit(id, func(def *service.Definition) error { return def.EditService(s) })
}

// DeleteService removes a virtual service with its servers, as "ipvsadm -D" does. Its connections go on.
func (d *Director) DeleteService(id config.VirtualID) error {
	return d.edit(id, func(def *service.Definition) error { return def.DeleteService() })
}

// AddServer adds a real server, as "ipvsadm -a" does. One that the configuration does not have is not checked.
func (d *Director) AddServer(id config.VirtualID, addr netip.AddrPort, s service.ServerSettings) error {
	return d.edit(id, func(def *service.Definition) error { return def.AddServer(addr, s) })
}

// EditServer gives a real server other settings, as "ipvsadm -e" does.
func (d *Director) EditServer(id config.VirtualID, addr netip.AddrPort, s service.ServerSettings) error {
	return d.edit(id, func(def *service.Definition) error { return def.EditServer(addr, s) }, addr)
}

// DeleteServer removes a real server, as "ipvsadm -d" does. It gets no further connection.
func (d *Director) DeleteServer(id config.VirtualID, addr netip.AddrPort) error {
	return d.edit(id, func(def *service.Definition) error { return def.DeleteServer(addr) })
}

// Flush removes all virtual services, as "ipvsadm -C" does.
func (d *Director) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return ErrNotRunning
	}
	var events []service.Event
	for _, id := range d.ids() {
		def := d.definition(id)
		if err := def.DeleteService(); err != nil {
			return err // never: it is in the table
		}
		d.remove(id, d.services[id])
		d.remember(id, def.Hand)
		events = append(events, event(service.ServiceRemoved, id, "by hand"))
	}
	d.notices.keep()
	d.publish(events)
	return d.checks.set(d.wanted())
}

// Zero sets the counters and rates of a virtual service to 0, or of all if id is nil, as "ipvsadm -Z" does.
func (d *Director) Zero(id *config.VirtualID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == nil {
		for _, s := range d.services {
			d.count(s)
			s.Zero()
		}
		return nil
	}
	s := d.services[*id]
	if s == nil {
		return service.ErrNoService
	}
	d.count(s)
	s.Zero()
	return nil
}

// SetTimeouts sets how long idle connections last, as "ipvsadm --set" does. A value of 0 leaves what is there.
func (d *Director) SetTimeouts(t service.Timeouts) error {
	for _, value := range []time.Duration{t.TCP, t.TCPFin, t.UDP} {
		if value < 0 {
			return service.ErrInvalid
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if setter, ok := d.dataplane.(service.TimeoutSetter); ok {
		if err := setter.SetTimeouts(t.Or(d.timeouts)); err != nil {
			return err
		}
	}
	d.timeouts = t.Or(d.timeouts)
	return nil
}

// Timeouts returns how long idle connections last, as "ipvsadm -L --timeout" does.
func (d *Director) Timeouts() service.Timeouts {
	d.mu.Lock()
	defer d.mu.Unlock()
	if getter, ok := d.dataplane.(service.TimeoutGetter); ok {
		if t, ok := getter.Timeouts(); ok {
			return t
		}
	}
	return d.timeouts
}

// syncer returns what synchronises connections.
func (d *Director) syncer() (service.Syncer, error) {
	if syncer, ok := d.dataplane.(service.Syncer); ok {
		return syncer, nil
	}
	return nil, fmt.Errorf("%w by this dataplane: connection synchronisation", service.ErrUnsupported)
}

// StartSync starts a connection synchronisation daemon, as "ipvsadm --start-daemon" does.
func (d *Director) StartSync(daemon service.SyncDaemon) error {
	syncer, err := d.syncer()
	if err != nil {
		return err
	}
	return syncer.StartSync(daemon)
}

// StopSync stops the daemon of a state, as "ipvsadm --stop-daemon" does.
func (d *Director) StopSync(state string) error {
	syncer, err := d.syncer()
	if err != nil {
		return err
	}
	return syncer.StopSync(state)
}

// SyncDaemons returns the daemons that run, as "ipvsadm -L --daemon" does.
func (d *Director) SyncDaemons() ([]service.SyncDaemon, error) {
	syncer, err := d.syncer()
	if err != nil {
		return nil, nil // none can run
	}
	return syncer.SyncDaemons()
}

// Drops returns how many packets the dataplane has dropped, by reason; nil if it does not count them.
func (d *Director) Drops() map[string]uint64 {
	if dropper, ok := d.dataplane.(service.Dropper); ok {
		return dropper.Drops()
	}
	return nil
}

// Conns calls yield for each connection and each client that persistence remembers, as "ipvsadm -L -c" lists them, until
// yield returns false.
func (d *Director) Conns(yield func(service.Conn) bool) {
	d.mu.Lock()
	services := make([]*service.Service, 0, len(d.services))
	for _, id := range d.ids() {
		services = append(services, d.services[id])
	}
	d.mu.Unlock()
	lister, _ := d.dataplane.(service.Conns)
	more := true
	counting := func(c service.Conn) bool { more = yield(c); return more }
	for _, s := range services {
		if more {
			s.Templates(counting)
		}
		if more && lister != nil {
			lister.Conns(s, counting)
		}
	}
}

// HandEdit is what was changed by hand of one virtual service.
type HandEdit struct {
	ID   config.VirtualID `json:"id"`
	Hand service.Hand     `json:"hand"`
}

// Hand returns all that was changed by hand. [Options].Hand of another Director takes it up.
func (d *Director) Hand() []HandEdit {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.handEdits()
}

func (d *Director) handEdits() []HandEdit {
	var edits []HandEdit
	for _, id := range d.touched {
		edits = append(edits, HandEdit{id, d.hand[id].Clone()})
	}
	return edits
}

// edit changes what is said of one service, and then the service. edited are servers that were given a weight.
func (d *Director) edit(id config.VirtualID, change func(*service.Definition) error, edited ...netip.AddrPort) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return ErrNotRunning
	}
	def := d.definition(id)
	def.Hand = def.Hand.Clone()
	if err := change(&def); err != nil {
		return err
	}
	if err := d.supports(def); err != nil {
		return err
	}
	events, err := d.realize(def, edited)
	if err != nil {
		return err
	}
	d.remember(id, def.Hand)
	d.notices.keep()
	d.publish(events)
	return nil
}

// definition returns what is said of a service now.
func (d *Director) definition(id config.VirtualID) service.Definition {
	return service.Definition{ID: id, Configured: d.configured[id], Hand: d.hand[id]}
}

// remember keeps what was changed by hand, in the order in which services were first touched.
func (d *Director) remember(id config.VirtualID, h service.Hand) {
	_, known := d.hand[id]
	switch {
	case h.IsZero() && known:
		delete(d.hand, id)
		d.touched = slices.DeleteFunc(d.touched, func(o config.VirtualID) bool { return o == id })
	case !h.IsZero() && !known:
		d.touched = append(d.touched, id)
		fallthrough
	case !h.IsZero():
		d.hand[id] = h
	}
}

// supports reports what an edit asks for that the director or its dataplane cannot do.
func (d *Director) supports(def service.Definition) error {
	if !def.Present() {
		return nil
	}
	v := def.Hand.Over(def.Base())
	err := Check(&config.File{Spec: config.Spec{Virtuals: []config.Virtual{v}}}, d.dataplane)
	var problems config.Problems
	if errors.As(err, &problems) {
		return fmt.Errorf("%w: %s", service.ErrUnsupported, problems[0].Message)
	}
	return err
}

// realize makes a service in the table what its definition says.
func (d *Director) realize(def service.Definition, edited []netip.AddrPort) ([]service.Event, error) {
	s := d.services[def.ID]
	switch {
	case s != nil && def.Present() && d.moves(s, def):
		moved, err := d.openOne(context.Background(), def)
		if err != nil {
			return nil, err
		}
		return d.begin(def.ID, moved), d.recheck(def)
	case s != nil && def.Present():
		return s.SetHand(def.Hand, edited...)
	case s != nil:
		d.remove(def.ID, s)
		return []service.Event{event(service.ServiceRemoved, def.ID, "by hand")}, d.recheck(def)
	case def.Present():
		s, err := d.openOne(context.Background(), def)
		if err != nil {
			return nil, err
		}
		d.services[def.ID] = s
		return []service.Event{event(service.ServiceAdded, def.ID, "by hand")}, d.recheck(def)
	}
	return nil, nil
}

// recheck has the checks follow a service that came or went.
func (d *Director) recheck(def service.Definition) error {
	if def.Configured == nil {
		return nil // it has none, and -R may add thousands of its kind
	}
	return d.checks.set(d.wanted())
}
