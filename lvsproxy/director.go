package lvsproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/alert"
	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// ErrNotRunning is the error of Reload before Run has opened the services, and after it has ended.
var ErrNotRunning = errors.New("director is not running")

// Director is the control plane. Make one with [New], and call [Director.Run] once.
type Director struct {
	options   Options
	log       *slog.Logger
	dataplane service.Dataplane
	checks    *checks
	started   chan struct{} // closed once all services are open
	ready     chan struct{}

	mu         sync.Mutex // held during a whole reload
	file       *config.File
	configured map[config.VirtualID]*config.Virtual // the services of file
	hand       map[config.VirtualID]service.Hand    // what was changed by hand, of services that are there or not
	touched    []config.VirtualID                   // the keys of hand, in the order in which they came
	timeouts   service.Timeouts
	running    bool
	leaving    []*service.Service // removed, and may have connections
	holding    bool               // some server may be in maintenance
	services   map[config.VirtualID]*service.Service
	restored   map[serverID]check.State // what is known from before a restart, until the services have it

	notices    *notices
	publishing sync.Mutex // one event at a time

	maintenance *maintenance
}

// Check reports what a file asks for that a Director with these options cannot do, as a config.Problems, or nil.
func Check(file *config.File, dataplane service.Dataplane) error {
	return file.UnsupportedBy(abilitiesBy(dataplane))
}

// Ignored returns what a file asks for and a Director does not do, though connections go where they should. They are
// warnings, beside those in file.Warnings.
func Ignored(file *config.File, dataplane service.Dataplane) []config.Problem {
	return file.IgnoredBy(abilitiesBy(dataplane))
}

// abilitiesBy returns what a director with a dataplane can do for each service.
func abilitiesBy(dataplane service.Dataplane) func(config.Virtual) config.Abilities {
	all := abilities(dataplane)
	chooser, ok := dataplane.(service.Chooser)
	return func(v config.Virtual) config.Abilities {
		if !ok || v.ID == (config.VirtualID{}) { // the whole file
			return all
		}
		c := chooser.Choose(v)
		a := abilities(c.Dataplane)
		a.Dataplanes, a.Instead = all.Dataplanes, c.Instead
		return a
	}
}

// abilities completes a dataplane's with what the control plane can do whatever the dataplane.
func abilities(dataplane service.Dataplane) config.Abilities {
	a := service.AbilitiesOf(dataplane)
	if a.Schedulers == nil {
		a.Schedulers = scheduler.Names()
	}
	a.CheckTypes = check.Types()
	a.Services = check.Services()
	a.SlowStart = true
	a.FallbackCommand, a.Mail, a.Webhook, a.MonitorFile, a.Callback, a.Maintenance = true, true, true, true, true, true
	a.Execute, a.LogFile = true, true // by whoever makes a Director: see Options.OnLoad
	return a
}

// New returns a Director for a file. The error is that of [Check].
func New(file *config.File, o Options) (*Director, error) {
	o = o.withDefaults()
	if err := Check(file, o.Dataplane); err != nil {
		return nil, err
	}
	d := &Director{
		options: o, log: o.Logger, dataplane: o.Dataplane, file: file,
		started: make(chan struct{}), ready: make(chan struct{}), services: map[config.VirtualID]*service.Service{},
		hand: map[config.VirtualID]service.Hand{}, timeouts: service.DefaultTimeouts,
		maintenance: newMaintenance(),
	}
	for _, e := range o.Hand {
		d.remember(e.ID, e.Hand.Clone())
	}
	d.notices = newNotices(o, d.known)
	d.checks = newChecks(check.NewLimit(o.MaxChecks), d.publish, d.notices.monitor, o.Logger)
	d.checks.onResult = o.OnCheck
	return d, nil
}

// Ready is closed once Run listens on every VIP and every real server has had its first check.
func (d *Director) Ready() <-chan struct{} { return d.ready }

// Run opens the virtual services and works until ctx ends. Then it takes no more connections, waits for those it has for
// at most the drain time-out, and returns nil. An error means that a service could not be opened, and that nothing was.
func (d *Director) Run(ctx context.Context) error {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	checking, stop := context.WithCancel(context.Background()) // not ctx: checks stop in an order of our own
	defer stop()
	end := d.notices.start()
	defer end()
	if err := d.start(ctx, checking); err != nil {
		d.checks.stop()
		d.dataplane.Shutdown(ctx) // it has no services, but may have begun
		return err
	}
	waiting.Go(func() { d.awaitReady(checking) })
	waiting.Go(func() { every(checking, service.EstimateInterval, d.estimate) })
	if ender, ok := d.dataplane.(service.Ender); ok {
		waiting.Go(func() { every(checking, drainLook, func() { d.endOverdue(ender) }) })
	}
	waiting.Go(func() { d.maintain(checking) })
	<-ctx.Done()
	d.mu.Lock()
	d.running = false
	d.mu.Unlock()
	d.checks.stop()
	d.notices.stopping()
	stop()
	d.drain()
	return nil
}

func (d *Director) start(ctx, checking context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checks.start(checking)
	d.readStates()
	if err := d.apply(ctx, d.file); err != nil {
		return err
	}
	d.running = true
	close(d.started)
	return nil
}

// awaitReady closes ready once all first checks are done.
func (d *Director) awaitReady(ctx context.Context) {
	if d.checks.awaitFirst(ctx) {
		d.notices.enter(alert.Running)
		close(d.ready)
	}
}

// every does something again and again until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

// estimate brings the rates of all services up to date.
func (d *Director) estimate() {
	d.mu.Lock()
	services := slices.Collect(maps.Values(d.services))
	d.mu.Unlock()
	for _, s := range services {
		d.count(s)
		s.Estimate()
	}
}

// count has a dataplane that counts by itself say what it has counted.
func (d *Director) count(s *service.Service) {
	if counter, ok := d.dataplane.(service.Counter); ok {
		counter.Count(s)
	}
}

// drainLook is how often drain time-outs are looked for.
const drainLook = 200 * time.Millisecond

// endOverdue cuts off the connections of servers that have drained for long enough.
func (d *Director) endOverdue(ender service.Ender) {
	d.mu.Lock()
	d.leaving = slices.DeleteFunc(d.leaving, (*service.Service).Gone)
	services := slices.AppendSeq(slices.Clone(d.leaving), maps.Values(d.services))
	d.mu.Unlock()
	for _, s := range services {
		for _, server := range s.Overdue() {
			if n := ender.End(s, server); n > 0 {
				e := event(service.ServerDrained, s.ID(), fmt.Sprintf("%d connections were cut off at the end of the drain time-out", n))
				e.Server = server.Addr()
				d.publish([]service.Event{e})
			}
		}
	}
}

// remove takes a service out of the table. Its connections go on.
func (d *Director) remove(id config.VirtualID, s *service.Service) {
	delete(d.services, id)
	d.dataplane.Close(s)
	s.Retire()
	d.leaving = append(slices.DeleteFunc(d.leaving, (*service.Service).Gone), s)
}

func (d *Director) drain() {
	timeout := max(d.options.DrainTimeout, 0)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	d.log.Info("draining", "at_most", timeout)
	if ended := d.dataplane.Shutdown(ctx); ended > 0 {
		d.log.Warn("connections were cut off at the end of the drain time-out", "connections", ended)
	}
}

// Reload makes the Director follow another file. Services and servers that stay keep their connections, and what the
// checks found out about them. The error is that of Check, or says that a new service could not be opened; the Director
// goes on as before then.
func (d *Director) Reload(file *config.File) error {
	if err := Check(file, d.dataplane); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return ErrNotRunning
	}
	before := d.notices.enter(alert.Reloading)
	defer d.notices.enter(before)
	return d.apply(context.Background(), file)
}

// apply opens what is new, updates what stays and closes what goes, in this order: opening is what may fail.
func (d *Director) apply(ctx context.Context, file *config.File) error {
	before, configured := d.file, d.configured
	d.file, d.configured = file, virtuals(file.Spec)
	opened, err := d.open(ctx)
	if err != nil {
		d.file, d.configured = before, configured
		return err
	}
	var events []service.Event
	for _, id := range d.defined() {
		if s, ok := opened[id]; ok {
			events = append(events, d.begin(id, s)...)
			continue
		}
		def := d.definition(id)
		if !def.Present() {
			continue
		}
		s := d.services[id]
		if s == nil {
			continue // made by hand before a restart, and now it cannot be opened
		}
		changes, err := s.Update(def.Base())
		if err != nil {
			return fmt.Errorf("reload: %w", err) // Check has excluded it
		}
		events = append(events, changes...)
	}
	for id, s := range d.services {
		if def := d.definition(id); !def.Present() {
			d.remove(id, s)
			events = append(events, event(service.ServiceRemoved, id, "no longer configured"))
		}
	}
	d.notices.configure(d.configured)
	servers := d.maintained()
	d.maintenance.decide(ctx, d.log, file.Spec.MaintenanceDir, servers)
	d.publish(append(events, hold(servers)...)) // before anything says that a server is up
	d.restore()
	return d.checks.set(d.wanted())
}

// readStates reads what is known from before a restart. What Options.Hand says goes before what the file says.
func (d *Director) readStates() {
	if d.options.StateFile == "" {
		return
	}
	states, edits, err := readStates(d.options.StateFile, time.Now())
	if err != nil {
		d.log.Warn("nothing is known of the real servers from before the start", "error", err)
	}
	d.restored = states
	for _, e := range edits {
		if _, given := d.hand[e.ID]; !given {
			d.remember(e.ID, e.Hand)
		}
	}
}

// restore gives the services what is known from before a restart.
func (d *Director) restore() {
	for id, state := range d.restored {
		if s := d.services[id.virtual]; s != nil {
			d.publishAs(s.SetState(id.addr, state, "known from before the restart"), true)
		}
	}
	d.restored = nil
}

// known returns what is to be kept over a restart, once Run has opened the services.
func (d *Director) known() (stateFile, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.started:
	default:
		return stateFile{}, false
	}
	known := stateFile{Hand: d.handEdits()}
	for id, v := range d.configured {
		s := d.services[id]
		if s == nil {
			continue
		}
		for _, r := range v.Reals {
			if state := s.State(r.Addr); state != check.Unknown {
				known.Servers = append(known.Servers, serverState{id, r.Addr, state})
			}
		}
	}
	return known, true
}

func virtuals(spec config.Spec) map[config.VirtualID]*config.Virtual {
	m := make(map[config.VirtualID]*config.Virtual, len(spec.Virtuals))
	for i := range spec.Virtuals {
		m[spec.Virtuals[i].ID] = &spec.Virtuals[i]
	}
	return m
}

// open opens the services that are defined and new. If one cannot be opened, none is.
func (d *Director) open(ctx context.Context) (map[config.VirtualID]*service.Service, error) {
	opened := map[config.VirtualID]*service.Service{}
	for _, id := range d.defined() {
		def := d.definition(id)
		if s := d.services[id]; !def.Present() || s != nil && !d.moves(s, def) {
			continue
		}
		s, err := d.openOne(ctx, def)
		if err != nil && def.Configured == nil {
			d.log.Error("a virtual service that was made by hand is not opened", "error", err)
			continue
		}
		if err != nil {
			for _, s := range opened {
				d.dataplane.Close(s)
			}
			return nil, err
		}
		opened[id] = s
	}
	return opened, nil
}

func (d *Director) openOne(ctx context.Context, def service.Definition) (*service.Service, error) {
	s, err := service.Define(def)
	if err != nil {
		return nil, err
	}
	s.SetMaxTemplates(d.options.MaxTemplates)
	return s, d.dataplane.Open(ctx, s)
}

// moves reports whether another dataplane is to carry a service now that it is defined like this.
func (d *Director) moves(s *service.Service, def service.Definition) bool {
	chooser, ok := d.dataplane.(service.Chooser)
	return ok && chooser.Choose(def.Hand.Over(def.Base())).Name != chooser.Carrier(s).Name
}

// begin puts a service that was opened into the table. Where another dataplane carried it before, what the checks say of its
// servers stays, and so do its connections, which end as those of a service that was removed.
func (d *Director) begin(id config.VirtualID, s *service.Service) []service.Event {
	before := d.services[id]
	if before == nil {
		d.services[id] = s
		return []service.Event{event(service.ServiceAdded, id, "configured")}
	}
	for _, r := range s.Spec().Reals {
		if state := before.State(r.Addr); state != check.Unknown {
			s.SetState(r.Addr, state, "known from the dataplane before")
		}
	}
	d.remove(id, before)
	d.services[id] = s
	return []service.Event{event(service.ServiceMoved, id, "carried by the "+d.dataplane.(service.Chooser).Carrier(s).Name+" dataplane")}
}

// defined returns the services of the configuration in the order of the file, and then those that only were touched by
// hand.
func (d *Director) defined() []config.VirtualID {
	ids := make([]config.VirtualID, 0, len(d.configured)+len(d.touched))
	for i := range d.file.Spec.Virtuals {
		ids = append(ids, d.file.Spec.Virtuals[i].ID)
	}
	for _, id := range d.touched {
		if d.configured[id] == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// ids returns the services in the table: those of the configuration in the order of the file, then those made by hand.
func (d *Director) ids() []config.VirtualID {
	return slices.DeleteFunc(d.defined(), func(id config.VirtualID) bool { return d.services[id] == nil })
}

// wanted returns the checks that the configuration needs, and whom the result of each concerns.
func (d *Director) wanted() map[check.Spec][]target {
	wanted := map[check.Spec][]target{}
	for id, v := range d.configured {
		s := d.services[id]
		if s == nil {
			continue
		}
		for _, r := range v.Reals {
			c := check.ForReal(*v, r, d.options.RiseCount)
			t := target{service: s, addr: r.Addr}
			if v.MonitorFile != "" {
				t.monitorFile, t.name = v.MonitorFile, monitorName(*v, r)
			}
			wanted[c] = append(wanted[c], t)
		}
	}
	return wanted
}

// Table returns all virtual services as they are now: in the order of the file, then those made by hand.
func (d *Director) Table() []service.Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := d.ids()
	table := make([]service.Snapshot, 0, len(ids))
	for _, id := range ids {
		d.count(d.services[id])
		snapshot := d.services[id].Snapshot()
		if chooser, ok := d.dataplane.(service.Chooser); ok {
			c := chooser.Carrier(d.services[id])
			snapshot.Dataplane, snapshot.DataplaneWhy = c.Name, c.Why
		}
		table = append(table, snapshot)
	}
	return table
}

// Spec returns what the Director follows.
func (d *Director) Spec() config.Spec {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.file.Spec
}

func event(kind service.EventKind, id config.VirtualID, reason string) service.Event {
	return service.Event{Time: time.Now(), Kind: kind, Virtual: id, Reason: reason}
}

// publish logs events and hands them to whoever wants them.
func (d *Director) publish(events []service.Event) { d.publishAs(events, false) }

// publishAs is publish; known tells that the events are from before a restart.
func (d *Director) publishAs(events []service.Event, known bool) {
	d.publishing.Lock()
	defer d.publishing.Unlock()
	for _, e := range events {
		level := slog.LevelInfo
		if e.Kind == service.ServerDown || e.Kind == service.FallbackOn {
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{slog.String("virtual", e.Virtual.Target()), slog.String("reason", e.Reason)}
		if e.Server.IsValid() {
			attrs = append(attrs, slog.String("server", e.Server.String()))
		}
		d.log.LogAttrs(context.Background(), level, string(e.Kind), attrs...)
		d.notices.tell(e, known)
		if d.options.OnEvent != nil {
			d.options.OnEvent(e)
		}
	}
}
