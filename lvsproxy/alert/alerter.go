package alert

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Phase is what the director is doing, in the words of emailalertstatus.
type Phase string

// The phases of ldirectord.
const (
	Starting  Phase = "starting"
	Running   Phase = "running"
	Stopping  Phase = "stopping"
	Reloading Phase = "reloading"
)

// Change is an event of the table, and what it happened to.
type Change struct {
	service.Event
	Phase Phase
	// Service is the virtual service as configured.
	Service config.Virtual
	// Known tells that this was known before a restart of the director: nobody is told again, except of a server that
	// stays down.
	Known bool
}

// Options of an Alerter. The zero value is good.
type Options struct {
	// Sendmail is the program that mail is handed to where a service names no SMTP host; empty means /usr/sbin/sendmail.
	// It is called with -t -oi.
	Sendmail string
	// Queue is how many messages of each kind wait at most; 0 means 1,000.
	Queue int
	// Tries is how often a message is tried, and Timeout how long one try may take; 0 means 3, and 10 s.
	Tries   int
	Timeout time.Duration
	// Logger gets what could not be delivered; nil means none.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Sendmail == "" {
		o.Sendmail = "/usr/sbin/sendmail"
	}
	if o.Queue <= 0 {
		o.Queue = 1000
	}
	if o.Tries <= 0 {
		o.Tries = 3
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// repeatEvery is how often it is looked whether a server that is still down is to be told of again.
const repeatEvery = time.Second

// lastWords is how long messages that wait when Run is told to end may take.
const lastWords = 5 * time.Second

// Alerter tells of changes. All methods may be called concurrently.
type Alerter struct {
	options Options
	host    string
	mails   *queue
	posts   *queue

	mu   sync.Mutex
	down map[server]*outage
}

// server is a real server of a virtual service.
type server struct {
	virtual config.VirtualID
	addr    netip.AddrPort
}

// outage is a server that is down and of which people want to be told again.
type outage struct {
	service config.Virtual
	phase   Phase
	told    time.Time
}

// New returns an Alerter. It delivers while [Alerter.Run] runs.
func New(o Options) *Alerter {
	o = o.withDefaults()
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &Alerter{
		options: o, host: host, down: map[server]*outage{},
		mails: newQueue("e-mail", o), posts: newQueue("webhook", o),
	}
}

// Run delivers messages until ctx ends, and what waits then for a few seconds more.
func (a *Alerter) Run(ctx context.Context) {
	delivering, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, stop) })()
	var wg sync.WaitGroup
	wg.Go(func() { a.mails.run(ctx, delivering) })
	wg.Go(func() { a.posts.run(ctx, delivering) })
	ticker := time.NewTicker(repeatEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-ticker.C:
			a.repeat(now)
		}
	}
	wg.Wait()
}

// Tell tells whoever is to know of a change. It never blocks.
func (a *Alerter) Tell(c Change) {
	a.note(c)
	if c.Known {
		return
	}
	if c.Service.Alert.To != "" {
		if subject := subjectOf(c); subject != "" {
			a.mail(c.Service, c.Phase, subject, c.Reason)
		}
	}
	if c.Service.Alert.Webhook != "" {
		a.post(c)
	}
}

// Configure makes repeated messages follow a new configuration.
func (a *Alerter) Configure(virtuals map[config.VirtualID]*config.Virtual) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s, o := range a.down {
		v := virtuals[s.virtual]
		if v == nil || !slices.ContainsFunc(v.Reals, func(r config.Real) bool { return r.Addr == s.addr }) {
			delete(a.down, s)
			continue
		}
		o.service = *v
	}
}

// note keeps the list of servers that are down.
func (a *Alerter) note(c Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := server{c.Virtual, c.Server}
	switch c.Kind {
	case service.ServerDown:
		a.down[key] = &outage{c.Service, c.Phase, c.Time}
	case service.ServerUp, service.ServerRemoved:
		delete(a.down, key)
	case service.ServiceRemoved:
		for s := range a.down {
			if s.virtual == c.Virtual {
				delete(a.down, s)
			}
		}
	}
}

// repeat tells again of the servers that have been down for emailalertfreq.
func (a *Alerter) repeat(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s, o := range a.down {
		if every := o.service.Alert.Every; every > 0 && now.Sub(o.told) >= every {
			o.told = now
			a.mail(o.service, Running, fmt.Sprintf("Inaccessible real server: %s (%s)", s.addr, s.virtual.Target()), "")
		}
	}
}

// subjectOf returns what ldirectord says of a change, or nothing where it says nothing.
func subjectOf(c Change) string {
	name := c.Virtual.Target()
	switch c.Kind {
	case service.ServerUp:
		verb := "Added"
		if c.Service.Quiescent {
			verb = "Restored"
		}
		return fmt.Sprintf("%s real server: %s (%s) (Weight set to %d)", verb, c.Server, name, weightOf(c))
	case service.ServerDown:
		if c.Service.Quiescent {
			return fmt.Sprintf("Quiescent real server: %s (%s) (Weight set to 0)", c.Server, name)
		}
		return fmt.Sprintf("Deleted real server: %s (%s)", c.Server, name)
	case service.ServerRemoved:
		return fmt.Sprintf("Purged real server (start): %s (%s)", c.Server, name)
	case service.FallbackOn:
		return fmt.Sprintf("Added fallback server: %s (%s) (Weight set to 1)", c.Server, name)
	case service.FallbackOff:
		return fmt.Sprintf("Deleted fallback server: %s (%s)", c.Server, name)
	case service.ServiceRemoved:
		if c.Phase == Stopping {
			return fmt.Sprintf("Purged virtual server (stop): %s", name)
		}
	}
	return ""
}

func weightOf(c Change) int {
	for _, r := range c.Service.Reals {
		if r.Addr == c.Server {
			return r.Weight
		}
	}
	return 1
}

// wanted reports whether a service's emailalertstatus names a phase.
func wanted(statuses string, p Phase) bool {
	return slices.Contains(strings.Split(statuses, ","), string(p))
}
