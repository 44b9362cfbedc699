package lvsproxy

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/alert"
	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Options of a Director. The zero value is good.
type Options struct {
	// Dataplane carries the connections; nil means a userspace dataplane with the options in Userspace.
	Dataplane service.Dataplane
	// Userspace are the options of the userspace dataplane, if that is used. Its Logger is the Director's if nil.
	Userspace userspace.Options
	// RiseCount is how many checks in a row must succeed before a failed real server is used again. It is at least 1,
	// which is what ldirectord does; 0 means 1.
	RiseCount int
	// MaxChecks bounds how many health checks run at once; 0 means DefaultMaxChecks.
	MaxChecks int
	// DrainTimeout is how long connections may go on after Run was told to end; 0 means DefaultDrainTimeout, a
	// negative value not at all.
	DrainTimeout time.Duration
	// OnEvent is called with every change of the table, one call at a time. It must return soon, and must not call the
	// Director.
	OnEvent func(service.Event)
	// OnCheck is called with every result of a health check, for each real server that it concerns, under the same
	// conditions.
	OnCheck func(virtual config.VirtualID, server netip.AddrPort, r check.Result)
	// MaxTemplates bounds how many clients persistence remembers for each service; 0 means service.DefaultMaxTemplates.
	MaxTemplates int
	// Hand is what was changed by hand before, from [Director.Hand].
	Hand []HandEdit
	// StateFile is where what the checks find out is kept, so that a restart marks nothing up or down; empty means
	// nowhere. It counts for StateMaxAge.
	StateFile string
	// Alert are the options of e-mail and webhooks. Its Logger is the Director's if nil.
	Alert alert.Options
	// OnLoad is called with every file that has come into force after the first. It must return soon, and must not call
	// the Director. The files that a file's execute= names are directors for the caller to start and end, and its
	// logfile= is for who made the Logger; a Director does nothing about them.
	OnLoad func(*config.File)
	// Logger gets what an operator should know; nil means none.
	Logger *slog.Logger
}

// Defaults of Options.
const (
	DefaultMaxChecks    = 256
	DefaultDrainTimeout = 30 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Userspace.Logger == nil {
		o.Userspace.Logger = o.Logger
	}
	if o.Alert.Logger == nil {
		o.Alert.Logger = o.Logger
	}
	if o.Dataplane == nil {
		o.Dataplane = userspace.New(o.Userspace)
	}
	if o.RiseCount <= 0 {
		o.RiseCount = 1
	}
	if o.MaxChecks <= 0 {
		o.MaxChecks = DefaultMaxChecks
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = DefaultDrainTimeout
	}
	return o
}
