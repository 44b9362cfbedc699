package lvsproxy

import (
	"context"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/alert"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// notices are what is done about events besides the table: mail and webhooks, fallbackcommands, monitorfiles, the state
// file. None of them ever holds up the Director.
type notices struct {
	alerts   *alert.Alerter
	commands *fallbackCommands
	monitor  *monitor
	state    *stateKeeper // nil without a state file
	stop     context.CancelFunc

	mu       sync.Mutex
	phase    alert.Phase
	virtuals map[config.VirtualID]*config.Virtual
	gone     map[config.VirtualID]*config.Virtual // those of the configuration before
}

// newNotices returns the notices of a Director. known is what its state file is to hold.
func newNotices(o Options, known func() (stateFile, bool)) *notices {
	n := &notices{
		alerts: alert.New(o.Alert), commands: newFallbackCommands(o.Logger), monitor: newMonitor(o.Logger),
		phase: alert.Starting,
	}
	if o.StateFile != "" {
		n.state = &stateKeeper{path: o.StateFile, known: known, changed: make(chan struct{}, 1), log: o.Logger}
	}
	return n
}

// start begins the work. It returns what ends it and waits: what waits to be sent may take a few seconds then.
func (n *notices) start() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var telling context.Context
	telling, n.stop = context.WithCancel(ctx)
	n.commands.start(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { n.alerts.Run(telling) })
	wg.Go(func() { n.monitor.run(ctx) })
	if n.state != nil {
		wg.Go(func() { n.state.run(telling) })
	}
	return func() {
		cancel()
		n.commands.wait()
		wg.Wait()
	}
}

// enter begins a phase and returns the one before.
func (n *notices) enter(p alert.Phase) (before alert.Phase) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before = n.phase
	if before != alert.Stopping {
		n.phase = p
	}
	return before
}

// configure takes a new configuration, before the events that come of it.
func (n *notices) configure(virtuals map[config.VirtualID]*config.Virtual) {
	n.mu.Lock()
	n.gone, n.virtuals = n.virtuals, virtuals
	n.mu.Unlock()
	n.alerts.Configure(virtuals)
	n.commands.configure(virtuals)
}

// keep has the state file written soon.
func (n *notices) keep() {
	if n.state == nil {
		return
	}
	select {
	case n.state.changed <- struct{}{}:
	default:
	}
}

// tell passes an event on. known tells that it is from before a restart.
func (n *notices) tell(e service.Event, known bool) {
	n.commands.note(e, known)
	n.keep()
	n.mu.Lock()
	v, phase := n.virtuals[e.Virtual], n.phase
	if v == nil {
		v = n.gone[e.Virtual]
	}
	n.mu.Unlock()
	if v != nil {
		n.alerts.Tell(alert.Change{Event: e, Phase: phase, Service: *v, Known: known})
	}
}

// stopping tells of the end. The checks have ended; connections may go on.
func (n *notices) stopping() {
	n.enter(alert.Stopping)
	n.mu.Lock()
	virtuals := n.virtuals
	n.mu.Unlock()
	for id, v := range virtuals {
		e := service.Event{Time: time.Now(), Kind: service.ServiceRemoved, Virtual: id, Reason: "the director ends"}
		n.alerts.Tell(alert.Change{Event: e, Phase: alert.Stopping, Service: *v})
	}
	n.stop()
}
