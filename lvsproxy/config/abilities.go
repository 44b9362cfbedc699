package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Abilities are what a director can do: its dataplane, its schedulers, its checks. What is not named here it cannot do:
// who implements something sets its field, in the dataplane's Abilities method or where the director completes them.
type Abilities struct {
	// Dataplane is the dataplane's name, for messages, and Instead is what a refusal ends with: why it is this one, or
	// which other could do what is refused. It may be empty.
	Dataplane  string
	Instead    string
	Protocols  []Protocol
	Forwards   []Forward
	Schedulers []string
	// CheckTypes are how a real server can be checked, ping and external programs among them.
	CheckTypes []CheckType
	// Services are those that a negotiate or combined check can speak.
	Services []string
	// Local reports whether an address is the director's own in a way that makes gate and masq the same to it; it may
	// be nil. IPVS too delivers to a local address instead of routing.
	Local func(netip.Addr) bool
	// Dataplanes are the values of dataplane= that the director can follow.
	Dataplanes []string

	// What is refused where it is asked for and missing, because connections would go elsewhere than the file says.

	Thresholds      bool // l: and u: of a real server are obeyed
	AnyPort         bool // a virtual service of port 0 takes every port
	Persistence     bool // persistent and netmask
	SchedFlags      bool // schedflags
	OnePacket       bool // ops
	ProxyIn         bool // acceptproxy
	ProxyOut        bool // sendproxy
	SlowStart       bool // slowstart
	MaxConns        bool // maxconn
	Queue           bool // queue and queuetimeout
	ConnectTimeout  bool // servertimeout
	IdleTimeout     bool // idletimeout
	DrainTimeout    bool // draintimeout
	FallbackCommand bool // fallbackcommand is run
	Execute         bool // execute starts other directors
	Maintenance     bool // files in maintenancedir take servers out

	// What is only warned of, because connections go where they should.

	KeepTable   bool // cleanstop=no leaves the table behind
	Mail        bool // emailalert
	Webhook     bool // webhook
	MonitorFile bool // monitorfile
	LogFile     bool // logfile
	Callback    bool // callback
}

// Unsupported returns a [Problems] with everything that the file asks for, a director with these abilities cannot do,
// and connections depend on; or nil. [File.Ignored] returns the rest.
func (f *File) Unsupported(a Abilities) error {
	return f.UnsupportedBy(func(Virtual) Abilities { return a })
}

// UnsupportedBy is Unsupported for a director whose services have different dataplanes. What concerns the whole file is
// asked of the zero Virtual.
func (f *File) UnsupportedBy(of func(Virtual) Abilities) error {
	refused, _ := f.missing(of)
	return refused.err()
}

// Ignored returns what the file asks for and a director with these abilities does not do, though connections go where
// they should.
func (f *File) Ignored(a Abilities) []Problem {
	return f.IgnoredBy(func(Virtual) Abilities { return a })
}

// IgnoredBy is to Ignored what UnsupportedBy is to Unsupported.
func (f *File) IgnoredBy(of func(Virtual) Abilities) []Problem {
	_, ignored := f.missing(of)
	return ignored
}

func (f *File) missing(of func(Virtual) Abilities) (refused, ignored Problems) {
	var virtual int
	instead := ""
	into := func(ps *Problems) complaint {
		return func(real int, directive, format string, args ...any) {
			*ps = append(*ps, Problem{f.Name, f.line(virtual, real, directive), fmt.Sprintf(format, args...) + instead})
		}
	}
	refuse, ignore := into(&refused), into(&ignored)
	virtual = -1
	of(Virtual{}).checkFile(f.Spec, refuse, ignore)
	for i, v := range f.Spec.Virtuals {
		virtual = i
		a := of(v)
		if a.Instead != "" {
			instead = " (" + a.Instead + ")"
		}
		a.checkCarried(v, refuse)
		instead = ""
		a.checkDirector(v, refuse)
		a.checkHarmless(v, ignore)
	}
	refused.sort()
	ignored.sort()
	return slices.Compact(refused), slices.Compact(ignored) // a range of real servers complains once, and so does the whole file
}

// Refuses returns what of a virtual service a dataplane with these abilities cannot carry, in words; nil if it can carry
// it all. It does not ask what is the director's: no Schedulers means all of them.
func (a Abilities) Refuses(v Virtual) (why []string) {
	if a.Schedulers != nil && !slices.Contains(a.Schedulers, v.Scheduler) {
		why = append(why, fmt.Sprintf("it has no scheduler %s", v.Scheduler))
	}
	a.checkCarried(v, func(_ int, _, format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) })
	return slices.Compact(why)
}

// complaint reports what cannot be done, where real is -1 for a directive of the virtual service.
type complaint func(real int, directive, format string, args ...any)

func (a Abilities) checkFile(s Spec, refuse, ignore complaint) {
	if !a.Execute && len(s.Execute) > 0 {
		refuse(-1, "execute", "execute is not supported yet: start one lvsproxy for each file instead")
	}
	if !a.Maintenance && s.MaintenanceDir != "" {
		refuse(-1, "maintenancedir", "maintenancedir is not supported yet: set a server's weight to 0 and reload instead")
	}
	if !a.KeepTable && !s.CleanStop {
		ignore(-1, "cleanstop", noKeep, a.Dataplane)
	}
	if !a.LogFile && s.LogFile != "" {
		ignore(-1, "logfile", "logfile has no effect: the log goes to standard error")
	}
	if !a.Callback && s.Callback != "" {
		ignore(-1, "callback", "callback is not supported yet: no program is run when the file changes")
	}
}

const noKeep = "cleanstop=no has no effect with the %s dataplane: connections end with lvsproxy, after they were drained"

// checkHarmless is about what only people and programs see that look at the director.
func (a Abilities) checkHarmless(v Virtual, ignore complaint) {
	if !a.KeepTable && !v.CleanStop {
		ignore(-1, "cleanstop", noKeep, a.Dataplane)
	}
	if !a.Mail && v.Alert.To != "" {
		ignore(-1, "emailalert", "emailalert is not supported yet: no e-mail is sent")
	}
	if !a.Webhook && v.Alert.Webhook != "" {
		ignore(-1, "webhook", "webhook is not supported yet: nothing is posted")
	}
	if !a.MonitorFile && v.MonitorFile != "" {
		ignore(-1, "monitorfile", "monitorfile is not supported yet: check results are in the log")
	}
}

// checkCarried is about what the dataplane has to do for a virtual service.
func (a Abilities) checkCarried(v Virtual, complain complaint) {
	switch has := slices.Contains(a.Protocols, v.ID.Protocol); {
	case !has && v.ID.Protocol == FWM:
		complain(-1, "virtual", "firewall marks are not supported by the %s dataplane: expected ADDRESS:PORT, with protocol=%s", a.Dataplane, join(a.Protocols))
	case !has:
		complain(-1, "protocol", "protocol %s is not supported yet by the %s dataplane: expected %s", v.ID.Protocol, a.Dataplane, join(a.Protocols))
	}
	if !a.AnyPort && v.ID.Protocol != FWM && v.ID.Addr.Port() == 0 {
		complain(-1, "virtual", "a virtual service of every port is not supported yet by the %s dataplane: expected a port from 1 to 65535", a.Dataplane)
	}
	if f := v.Fallback; !f.IsZero() && !a.forwards(f.Forward, f.Addr.Addr()) {
		complain(-1, "fallback", "fallback by %s (the method where none is given is gate): the %s dataplane forwards by %s: expected fallback=%s %s",
			f.Forward, a.Dataplane, join(a.Forwards), f.Addr, a.Forwards[0])
	}
	o := v.Own
	for _, one := range []struct {
		directive  string
		can, asked bool
	}{
		{"persistent", a.Persistence, v.Persistence.Timeout != 0},
		{"schedflags", a.SchedFlags, v.SchedFlags != ""},
		{"ops", a.OnePacket, v.OnePacket},
		{"acceptproxy", a.ProxyIn, o.ProxyIn},
		{"sendproxy", a.ProxyOut, o.ProxyOut != 0},
		{"maxconn", a.MaxConns, o.MaxConns != 0},
		{"queue", a.Queue, o.Queue != 0},
		{"servertimeout", a.ConnectTimeout, o.ConnectTimeout != 0},
		{"idletimeout", a.IdleTimeout, o.IdleTimeout != 0},
		{"draintimeout", a.DrainTimeout, o.DrainTimeout != 0},
	} {
		a.without(one.can, one.asked, one.directive, complain)
	}
	for i, r := range v.Reals {
		a.checkReal(i, r, complain)
	}
}

func (a Abilities) without(can, asked bool, directive string, complain complaint) {
	if asked && !can {
		complain(-1, directive, "%s is not supported yet by the %s dataplane: expected no such directive", directive, a.Dataplane)
	}
}

// checkDirector is about what the control plane has to do for a virtual service.
func (a Abilities) checkDirector(v Virtual, complain complaint) {
	if !slices.Contains(a.Schedulers, v.Scheduler) {
		complain(-1, "scheduler", "scheduler %s is not supported yet: expected %s", v.Scheduler, join(a.Schedulers))
	}
	a.without(a.FallbackCommand, v.FallbackCommand != "", "fallbackcommand", complain)
	a.without(a.SlowStart, v.Own.SlowStart != 0, "slowstart", complain)
	if d := v.Own.Dataplane; d != "" && d != a.Dataplane && !slices.Contains(a.Dataplanes, d) {
		complain(-1, "dataplane", "dataplane %s is not supported yet: expected %s", d, join(append([]string{a.Dataplane}, a.Dataplanes...)))
	}
	a.checkCheck(v.Check, complain)
}

func (a Abilities) checkCheck(c Check, complain complaint) {
	if !slices.Contains(a.CheckTypes, c.Type) {
		complain(-1, "checktype", "checktype %s is not supported yet: expected %s", c.Type, join(a.CheckTypes))
		return
	}
	negotiates := c.Type == CheckNegotiate || c.Type == CheckCombined
	if negotiates && !slices.Contains(a.Services, c.Service) {
		complain(-1, "service", "a negotiate check of service %s is not supported yet: expected %s, or checktype=connect", c.Service, join(a.Services))
	}
}

func (a Abilities) checkReal(i int, r Real, complain complaint) {
	if !a.forwards(r.Forward, r.Addr.Addr()) {
		complain(i, "real", "the %s dataplane cannot forward by %s: expected %s", a.Dataplane, r.Forward, join(a.Forwards))
	}
	if !a.Thresholds && (r.Lower != 0 || r.Upper != 0) {
		complain(i, "real", "connection thresholds (l: and u:) are not supported yet: expected none")
	}
}

func (a Abilities) forwards(f Forward, to netip.Addr) bool {
	return slices.Contains(a.Forwards, f) || f == Gate && a.Local != nil && a.Local(to)
}

func join[T ~string](values []T) string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = string(v)
	}
	return strings.Join(s, " or ")
}
