// Package choice is a dataplane that holds several and gives each virtual service to one: to the one that the configuration
// or the command line names, or, with [Auto], to the best that the machine and the configuration allow.
//
// Best is the first of the candidates that has nothing against the service, in the order of [Options].Candidates: ebpf,
// ipvs, userspace. A dataplane has something against a service if
//
//   - it cannot do what the service asks for: the PROXY protocol, a queue or maxconn are userspace's alone; gate, ipip and
//     services of every port are the kernel's alone; firewall marks are IPVS's alone;
//   - the machine does not have it, or not for this process: no privilege, no module;
//   - it works in the kernel, and packets would not come by: the VIP is a loopback address; or a real server is reached
//     by masq and this machine does not forward packets, so it cannot be the real servers' gateway, through which their
//     answers have to come back. Userspace needs no such way: it connects to the real servers itself.
//
// What no candidate can carry is refused.
package choice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Auto as the name of a dataplane takes the best.
const Auto = "auto"

// Candidate is a dataplane that may be chosen.
type Candidate struct {
	// Name is what the configuration and the command line call it.
	Name string
	// Dataplane has nothing open before it is chosen. It is nil if this build does not have it: Missing says why then.
	Dataplane service.Dataplane
	// Missing returns what keeps this process from using the dataplane on this machine; nil means that nothing does. It is
	// asked once, and only for a service that the dataplane can carry.
	Missing func() error
	// Kernel tells that packets do not pass through a socket of this process.
	Kernel bool
}

// Options for a dataplane.
type Options struct {
	// Default is what carries the services that name nothing: Auto, or the name of a candidate.
	Default string
	// Candidates are the dataplanes, the best first. The last one must be there, on every machine.
	Candidates []Candidate
	// Forwards reports whether this machine forwards packets of IPv6, or of IPv4; nil means to ask the kernel.
	Forwards func(ipv6 bool) bool
	// Logger gets what an operator should know; nil means none.
	Logger *slog.Logger
}

// Dataplane is a service.Dataplane, and all that one may be besides: what a candidate cannot do, it does not do for the
// services of that candidate.
type Dataplane struct {
	options Options
	log     *slog.Logger
	missing []func() error // of each candidate, asked once

	mu       sync.Mutex
	carriers map[*service.Service]service.Choice // of those that are open
	closed   map[*service.Service]service.Choice // and of those that were, and may have connections
	failed   map[config.VirtualID]map[string]error
	timeouts *service.Timeouts // that were set
}

// New returns a dataplane without services.
func New(o Options) *Dataplane {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Forwards == nil {
		o.Forwards = forwards
	}
	d := &Dataplane{
		options: o, log: o.Logger, carriers: map[*service.Service]service.Choice{}, closed: map[*service.Service]service.Choice{},
		failed: map[config.VirtualID]map[string]error{},
	}
	for _, c := range o.Candidates {
		missing := c.Missing
		if missing == nil {
			missing = func() error { return nil }
		}
		d.missing = append(d.missing, sync.OnceValue(missing))
	}
	return d
}

// Abilities implements [service.Dataplane]: those of the default, as far as they do not depend on the service.
func (d *Dataplane) Abilities() config.Abilities {
	name := d.options.Default
	if i := d.index(name); i >= 0 {
		a := d.options.Candidates[i].Dataplane.Abilities()
		a.Dataplanes = d.names()
		return a
	}
	return config.Abilities{Dataplane: name, KeepTable: true, Dataplanes: d.names()}
}

// names returns what may be asked for.
func (d *Dataplane) names() []string {
	names := []string{Auto}
	for _, c := range d.options.Candidates {
		if c.Dataplane != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// index returns which candidate of this build has a name, or -1.
func (d *Dataplane) index(name string) int {
	return slices.IndexFunc(d.options.Candidates, func(c Candidate) bool { return c.Name == name && c.Dataplane != nil })
}

// Choose implements [service.Chooser].
func (d *Dataplane) Choose(v config.Virtual) service.Choice {
	name, by := v.Own.Dataplane, "the configuration names it"
	if name == "" {
		name, by = d.options.Default, "the command line names it"
	}
	if i := d.index(name); i >= 0 {
		c := d.options.Candidates[i]
		return service.Choice{Dataplane: c.Dataplane, Name: c.Name, Why: by, Instead: d.others(v, i)}
	}
	return d.best(v)
}

// others says which candidates could carry what the one with this index is named for.
func (d *Dataplane) others(v config.Virtual, named int) string {
	var can []string
	for i, c := range d.options.Candidates {
		if i != named && c.Dataplane != nil && len(service.AbilitiesOf(c.Dataplane).Refuses(v)) == 0 {
			can = append(can, c.Name)
		}
	}
	if len(can) == 0 {
		return ""
	}
	return fmt.Sprintf("%s can: say --dataplane %s, or dataplane=%s for this service", strings.Join(can, " or "), Auto, Auto)
}

// best returns the first candidate with nothing against a service, or else the last one.
func (d *Dataplane) best(v config.Virtual) service.Choice {
	var against []string
	for i, c := range d.options.Candidates {
		why := d.against(i, v)
		if why == "" {
			return service.Choice{Dataplane: c.Dataplane, Name: c.Name, Why: cmp.Or(strings.Join(against, "; "), "it is the best there is")}
		}
		against = append(against, c.Name+": "+why)
	}
	last := len(against) - 1
	c := d.options.Candidates[last]
	return service.Choice{Dataplane: c.Dataplane, Name: c.Name, Why: against[last], Instead: strings.Join(against[:last], "; ")}
}

// against returns what a candidate has against a service, or nothing.
func (d *Dataplane) against(i int, v config.Virtual) string {
	c := d.options.Candidates[i]
	if c.Dataplane == nil {
		return d.missing[i]().Error()
	}
	if refused := service.AbilitiesOf(c.Dataplane).Refuses(v); len(refused) > 0 {
		return refused[0]
	}
	d.mu.Lock()
	err := d.failed[v.ID][c.Name]
	d.mu.Unlock()
	if err == nil {
		err = d.missing[i]()
	}
	if err != nil {
		return err.Error()
	}
	if c.Kernel {
		return d.unreached(v)
	}
	return ""
}

// unreached returns why packets of a service would not all come by in the kernel, or nothing.
func (d *Dataplane) unreached(v config.Virtual) string {
	if v.ID.Addr.Addr().IsLoopback() {
		return fmt.Sprintf("no packet comes from outside to %s", v.ID.Addr.Addr())
	}
	ipv6 := v.ID.IPv6 || v.ID.Addr.Addr().Is6()
	masq := slices.ContainsFunc(v.Reals, func(r config.Real) bool { return r.Forward == config.Masq && !r.Addr.Addr().IsLoopback() })
	if masq && !d.options.Forwards(ipv6) {
		return "masq in the kernel needs the answers to come back through this machine, which does not forward packets"
	}
	return ""
}

// forwards asks the kernel whether this machine forwards packets.
func forwards(ipv6 bool) bool {
	name := "/proc/sys/net/ipv4/ip_forward"
	if ipv6 {
		name = "/proc/sys/net/ipv6/conf/all/forwarding"
	}
	value, err := os.ReadFile(name)
	return err == nil && strings.TrimSpace(string(value)) != "0"
}

// Carrier implements [service.Chooser].
func (d *Dataplane) Carrier(s *service.Service) service.Choice {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.carriers[s]
}

// Open implements [service.Dataplane]. With Auto, a service that the best cannot open after all goes to the next.
func (d *Dataplane) Open(ctx context.Context, s *service.Service) error {
	v := s.Spec()
	var failures []error
	for {
		c := d.Choose(v)
		if refused := service.AbilitiesOf(c.Dataplane).Refuses(v); len(failures) > 0 && len(refused) > 0 {
			return errors.Join(failures...)
		}
		err := c.Dataplane.Open(ctx, s)
		if err == nil {
			return d.carried(s, c)
		}
		failures = append(failures, err)
		if cmp.Or(v.Own.Dataplane, d.options.Default) != Auto || c.Name == d.options.Candidates[len(d.options.Candidates)-1].Name {
			return errors.Join(failures...)
		}
		d.log.Warn("a dataplane cannot open a virtual service; the next one is tried", "virtual", s.ID().Name(), "dataplane", c.Name, "error", err)
		d.fail(v.ID, c.Name, err)
	}
}

// carried notes who carries a service.
func (d *Dataplane) carried(s *service.Service, c service.Choice) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.carriers[s] = c
	maps.DeleteFunc(d.closed, func(s *service.Service, _ service.Choice) bool { return s.Gone() })
	if d.options.Default == Auto || c.Name != d.options.Default {
		d.log.Info("dataplane chosen", "virtual", s.ID().Name(), "dataplane", c.Name, "why", c.Why)
	}
	if setter, ok := c.Dataplane.(service.TimeoutSetter); ok && d.timeouts != nil {
		return setter.SetTimeouts(*d.timeouts)
	}
	return nil
}

// fail notes that a candidate cannot open a service.
func (d *Dataplane) fail(id config.VirtualID, name string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed[id] == nil {
		d.failed[id] = map[string]error{}
	}
	d.failed[id][name] = err
}

// Close implements [service.Dataplane].
func (d *Dataplane) Close(s *service.Service) {
	d.mu.Lock()
	c, ok := d.carriers[s]
	delete(d.carriers, s)
	if ok {
		d.closed[s] = c
	}
	d.mu.Unlock()
	if ok {
		c.Dataplane.Close(s)
	}
}

// Shutdown implements [service.Dataplane].
func (d *Dataplane) Shutdown(ctx context.Context) (ended int) {
	d.mu.Lock()
	clear(d.carriers)
	d.mu.Unlock()
	var wg sync.WaitGroup
	counts := make([]int, len(d.options.Candidates))
	for i, c := range d.options.Candidates {
		if c.Dataplane != nil {
			wg.Go(func() { counts[i] = c.Dataplane.Shutdown(ctx) })
		}
	}
	wg.Wait()
	for _, n := range counts {
		ended += n
	}
	return ended
}
