package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Abilities are what a director can do: its dataplane, its schedulers, its checks.
type Abilities struct {
	// Dataplane is the dataplane's name, for messages.
	Dataplane  string
	Protocols  []Protocol
	Forwards   []Forward
	Schedulers []string
	CheckTypes []CheckType
	// Services are those that a negotiate or combined check can speak.
	Services []string
	// Local reports whether an address is the director's own in a way that makes gate and masq the same to it; it may
	// be nil. IPVS too delivers to a local address instead of routing.
	Local func(netip.Addr) bool
	// Thresholds tells that l: and u: of a real server are obeyed.
	Thresholds bool
}

// Unsupported returns a [Problems] with everything that the file asks for and a director with these abilities cannot
// do, or nil.
func (f *File) Unsupported(a Abilities) error {
	var ps Problems
	for i, v := range f.Spec.Virtuals {
		complain := func(real int, directive, format string, args ...any) {
			ps = append(ps, Problem{f.Name, f.line(i, real, directive), fmt.Sprintf(format, args...)})
		}
		a.checkVirtual(v, complain)
		for j, r := range v.Reals {
			a.checkReal(j, r, complain)
		}
	}
	return slices.Compact(ps).err() // a range of real servers complains once
}

// complaint reports what cannot be done, where real is -1 for a directive of the virtual service.
type complaint func(real int, directive, format string, args ...any)

func (a Abilities) checkVirtual(v Virtual, complain complaint) {
	if !slices.Contains(a.Protocols, v.ID.Protocol) {
		directive := "protocol"
		if v.ID.Protocol == FWM {
			directive = "virtual"
		}
		complain(-1, directive, "protocol %s is not supported yet by the %s dataplane: expected %s", v.ID.Protocol, a.Dataplane, join(a.Protocols))
	}
	if !slices.Contains(a.Schedulers, v.Scheduler) {
		complain(-1, "scheduler", "scheduler %s is not supported yet: expected %s", v.Scheduler, join(a.Schedulers))
	}
	if f := v.Fallback; !f.IsZero() && !a.forwards(f.Forward, f.Addr.Addr()) {
		complain(-1, "fallback", "fallback by %s (the method where none is given is gate): the %s dataplane forwards by %s: expected fallback=%s %s",
			f.Forward, a.Dataplane, join(a.Forwards), f.Addr, a.Forwards[0])
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
