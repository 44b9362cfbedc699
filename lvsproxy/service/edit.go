package service

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// editError is why an edit by hand is refused. It wraps the errno with which the kernel's IPVS refuses the same.
type editError struct {
	text  string
	errno syscall.Errno
}

func (e *editError) Error() string { return e.text }
func (e *editError) Unwrap() error { return e.errno }

// The errors of edits by hand. Each is also, by errors.Is, the errno that the kernel answers with (ip_vs_ctl.c), from
// which ipvsadm makes its messages.
var (
	ErrServiceExists    error = &editError{"virtual service already exists", syscall.EEXIST}
	ErrNoService        error = &editError{"no such virtual service", syscall.ESRCH}
	ErrUnknownScheduler error = &editError{"unknown scheduler", syscall.ENOENT}
	ErrServerExists     error = &editError{"real server already exists", syscall.EEXIST}
	ErrNoServer         error = &editError{"no such real server", syscall.ENOENT}
	// ErrDaemonRuns and ErrNoDaemon are about connection synchronisation.
	ErrDaemonRuns error = &editError{"a synchronisation daemon of this state runs already", syscall.EEXIST}
	ErrNoDaemon   error = &editError{"no synchronisation daemon of this state runs", syscall.ESRCH}
	// ErrRange is a weight below 0, or thresholds of which the lower is above the upper.
	ErrRange error = &editError{"out of range", syscall.ERANGE}
	// ErrInvalid is what makes no sense, such as a real server of another address family that is reached by masq.
	ErrInvalid error = &editError{"invalid", syscall.EINVAL}
	// ErrUnsupported is what IPVS can do, and the director or its dataplane cannot.
	ErrUnsupported error = &editError{"not supported", syscall.EOPNOTSUPP}
)

// Definition is all that is said of one virtual service: by the configuration, and by hand. Its methods are the edits
// that ipvsadm makes; they change Hand only, and nothing if they return an error.
type Definition struct {
	ID         config.VirtualID
	Configured *config.Virtual // nil where no configuration has it
	Hand       Hand
}

// Present reports whether the service is in the table.
func (d *Definition) Present() bool { return (d.Configured != nil || d.Hand.Added) && !d.Hand.Removed }

// Base returns the Spec that the changes by hand go on top of. That of a service made by hand has no checks.
func (d *Definition) Base() config.Virtual {
	if d.Configured != nil {
		return *d.Configured
	}
	return config.Virtual{ID: d.ID, Check: config.Check{Type: config.CheckOn}}
}

// AddService is "ipvsadm -A". A configured service that was removed by hand is put back, without its servers, each of
// which can be put back then.
func (d *Definition) AddService(s Settings) error {
	if d.Present() {
		return ErrServiceExists
	}
	if err := checkSettings(d.ID, &s); err != nil {
		return err
	}
	d.Hand.Added, d.Hand.Removed = d.Configured == nil, false
	d.set(s)
	return nil
}

// EditService is "ipvsadm -E". Settings that are those of the configuration put the service back under the
// configuration.
func (d *Definition) EditService(s Settings) error {
	if !d.Present() {
		return ErrNoService
	}
	if err := checkSettings(d.ID, &s); err != nil {
		return err
	}
	d.set(s)
	return nil
}

func (d *Definition) set(s Settings) {
	d.Hand.Settings = &s
	if d.Configured != nil && !d.Hand.Added && s == SettingsOf(*d.Configured) {
		d.Hand.Settings = nil
	}
}

// DeleteService is "ipvsadm -D". The service's servers go with it.
func (d *Definition) DeleteService() error {
	if !d.Present() {
		return ErrNoService
	}
	d.Hand = Hand{}
	if d.Configured == nil {
		return nil
	}
	d.Hand.Removed = true
	for _, r := range d.Configured.Reals {
		d.put(r.Addr, HandServer{Removed: true})
	}
	return nil
}

// AddServer is "ipvsadm -a". A configured server that was removed by hand is put back.
func (d *Definition) AddServer(addr netip.AddrPort, s ServerSettings) error {
	if !d.Present() {
		return ErrNoService
	}
	if err := checkServer(d.ID, addr, s); err != nil {
		return err
	}
	if d.has(addr) || d.isFallback(addr) {
		return ErrServerExists
	}
	if a := addr.Addr(); a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() && a.Is6() || a == broadcast {
		return ErrInvalid
	}
	d.setServer(addr, HandServer{Added: d.configured(addr) == nil, Settings: s})
	return nil
}

// EditServer is "ipvsadm -e". Settings that are those of the configuration put the server back under the configuration.
func (d *Definition) EditServer(addr netip.AddrPort, s ServerSettings) error {
	if !d.Present() {
		return ErrNoService
	}
	if err := checkServer(d.ID, addr, s); err != nil {
		return err
	}
	if !d.has(addr) {
		return ErrNoServer
	}
	d.setServer(addr, HandServer{Added: d.Hand.Servers[addr].Added, Settings: s})
	return nil
}

// broadcast is an address that, like the other ones that are not unicast, no real server can have (ip_vs_new_dest). The
// kernel knows those of its networks too.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func (d *Definition) setServer(addr netip.AddrPort, e HandServer) {
	if r := d.configured(addr); r != nil && !e.Added && e.Settings == ServerSettingsOf(*r) {
		delete(d.Hand.Servers, addr)
		return
	}
	d.put(addr, e)
}

// DeleteServer is "ipvsadm -d". A configured server can also be removed while its checks keep it out of the table.
func (d *Definition) DeleteServer(addr netip.AddrPort) error {
	switch {
	case !d.Present():
		return ErrNoService
	case !d.has(addr):
		return ErrNoServer
	case d.configured(addr) == nil:
		delete(d.Hand.Servers, addr)
	default:
		d.put(addr, HandServer{Removed: true})
	}
	return nil
}

func (d *Definition) put(addr netip.AddrPort, e HandServer) {
	if d.Hand.Servers == nil {
		d.Hand.Servers = map[netip.AddrPort]HandServer{}
	}
	d.Hand.Servers[addr] = e
}

// has reports whether a real server is there, and not removed by hand.
func (d *Definition) has(addr netip.AddrPort) bool {
	e, touched := d.Hand.Servers[addr]
	if touched && e.Removed {
		return false
	}
	return e.Added || d.configured(addr) != nil
}

func (d *Definition) configured(addr netip.AddrPort) *config.Real {
	if d.Configured == nil {
		return nil
	}
	reals := d.Configured.Reals
	if i := slices.IndexFunc(reals, func(r config.Real) bool { return r.Addr == addr }); i >= 0 {
		return &reals[i]
	}
	return nil
}

func (d *Definition) isFallback(addr netip.AddrPort) bool {
	return d.Configured != nil && d.Configured.Fallback.Addr == addr
}

// checkSettings is what ip_vs_add_service refuses.
func checkSettings(id config.VirtualID, s *Settings) error {
	if id.Protocol == config.FWM && id.FWMark == 0 || id.Protocol != config.FWM && !id.Addr.IsValid() {
		return ErrInvalid
	}
	if !slices.Contains(scheduler.Names(), s.Scheduler) {
		return ErrUnknownScheduler
	}
	flags, err := config.SchedFlags(s.Scheduler, s.SchedFlags)
	if err != nil {
		return fmt.Errorf("%w: scheduler flag %w", ErrInvalid, err)
	}
	s.SchedFlags = flags
	p := &s.Persistence
	if p.Timeout == 0 {
		p.Netmask = 0 // it means nothing without a time-out, and must not make two equal settings differ
		return nil
	}
	least, most := 0, 32
	if id.IPv6 || id.Addr.Addr().Is6() {
		least, most = 1, 128
	}
	if p.Timeout < 0 || p.Netmask < least || p.Netmask > most {
		return ErrInvalid
	}
	return nil
}

// checkServer is what ip_vs_add_dest and ip_vs_edit_dest refuse.
func checkServer(id config.VirtualID, addr netip.AddrPort, s ServerSettings) error {
	if s.Weight < 0 || s.Lower > s.Upper {
		return ErrRange
	}
	v6 := id.IPv6 || id.Addr.Addr().Is6()
	if !addr.IsValid() || s.Lower < 0 || addr.Addr().Is6() != v6 && s.Forward != config.IPIP {
		return ErrInvalid
	}
	return nil
}
