package scheduler

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// None is what [Scheduler].Next returns when no destination may be picked.
const None = -1

// Destinations is the list that a scheduler picks from, in IPVS's order: index 0 is the destination added last.
type Destinations interface {
	// Len returns the number of destinations.
	Len() int
	// Weight returns the weight of destination i. A destination of weight 0 is never picked.
	Weight(i int) int
	// Overloaded reports whether destination i must be passed over for now, whatever its weight (IPVS's
	// IP_VS_DEST_F_OVERLOAD).
	Overloaded(i int) bool
	// Conns returns how many connections destination i has: established ones, and those being opened or closed.
	Conns(i int) (active, inactive int)
	// Loads appends what the schedulers compare that look at every destination for each pick, and returns the slice.
	Loads(to []Load) []Load
	// Addr returns the address and port of destination i, which tell it from all others.
	Addr(i int) netip.AddrPort
}

// Load is what one destination can take and has. Its Weight is 0 if the destination must not be picked: if its own is, or
// if it is overloaded.
type Load struct{ Weight, Active, Inactive int }

// Flow is what a scheduler may know of the connection, or datagram, that it picks a destination for.
type Flow struct {
	// Client is who it comes from, and VIP whom it was sent to.
	Client, VIP netip.AddrPort
}

// Scheduler picks destinations. Its methods mirror the kernel's struct ip_vs_scheduler.
type Scheduler interface {
	// Name is the scheduler's name in ldirectord.cf and ipvsadm.
	Name() string
	// Init begins with a list. It is called before any other method, and once.
	Init(d Destinations)
	// Added tells that a destination was put into the list at index i.
	Added(d Destinations, i int)
	// Removed tells that the destination that was at index i is no longer in the list.
	Removed(d Destinations, i int)
	// Updated tells that destination i has another weight.
	Updated(d Destinations, i int)
	// Next returns the index of the destination to use now, or [None].
	Next(d Destinations, f Flow) int
}

// Flags are what a virtual service asks of its scheduler beyond its name. A scheduler ignores those of others.
type Flags struct {
	// Fallback has sh and mh look for another destination where the one that the client belongs to cannot be used
	// (sh-fallback, mh-fallback).
	Fallback bool
	// Port has sh and mh distinguish clients by their port too (sh-port, mh-port).
	Port bool
	// LargeTable has mh use a table of [LargeTable] entries. Its picks are not those of IPVS with the smaller one.
	LargeTable bool
}

// Tabled is a [Scheduler] that goes by a table from hash values to destinations, so that someone else can look there: sh
// and mh are.
type Tabled interface {
	Scheduler
	// Table returns the index of the destination that each hash value belongs to, whether it can be used now or not.
	// The slice is the scheduler's, and good until the list changes.
	Table(d Destinations) []int16
}

// Cyclic is a [Scheduler] whose picks follow from the list alone and come again, as long as no destination is overloaded,
// so that someone else can pick from a record of them: rr and wrr are.
type Cyclic interface {
	Scheduler
	// Period returns after how many picks they come again; 0 if there is nothing to pick.
	Period(d Destinations) int
	// Clone returns a scheduler that is at the same place in its own copy of the list.
	Clone() Cyclic
}

// ParseFlags reads what ipvsadm's -b takes: names joined by commas. flag-1 and flag-2 are Fallback and Port, as in
// ipvsadm; flag-3 means nothing to any scheduler.
func ParseFlags(text string) (Flags, error) {
	var f Flags
	for name := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(name) {
		case "sh-fallback", "mh-fallback", "flag-1":
			f.Fallback = true
		case "sh-port", "mh-port", "flag-2":
			f.Port = true
		case "", "flag-3":
		default:
			return Flags{}, fmt.Errorf("unknown scheduler flag %q: expected sh-fallback, sh-port, mh-fallback, mh-port, flag-1, flag-2 or flag-3", name)
		}
	}
	return f, nil
}

var factories = map[string]func(Flags) Scheduler{
	"rr":    func(Flags) Scheduler { return &roundRobin{} },
	"wrr":   func(Flags) Scheduler { return &weightedRoundRobin{} },
	"lc":    func(Flags) Scheduler { return &leastConnection{} },
	"wlc":   func(Flags) Scheduler { return &weightedLeastConnection{} },
	"sed":   func(Flags) Scheduler { return &shortestExpectedDelay{} },
	"nq":    func(Flags) Scheduler { return &neverQueue{} },
	"fo":    func(Flags) Scheduler { return &failover{} },
	"ovf":   func(Flags) Scheduler { return &overflow{} },
	"twos":  func(Flags) Scheduler { return newTwoChoices() },
	"sh":    func(f Flags) Scheduler { return &sourceHashing{fallback: f.Fallback, port: f.Port} },
	"dh":    func(Flags) Scheduler { return &destinationHashing{} },
	"mh":    func(f Flags) Scheduler { return newMaglev(f) },
	"lblc":  func(Flags) Scheduler { return &localityLeastConnection{newLocality()} },
	"lblcr": func(Flags) Scheduler { return &localityReplicated{newLocality()} },
}

// New returns a new scheduler by its ipvsadm name, without flags.
func New(name string) (Scheduler, error) { return NewWith(name, Flags{}) }

// NewWith returns a new scheduler by its ipvsadm name.
func NewWith(name string, f Flags) (Scheduler, error) {
	make, ok := factories[name]
	if !ok {
		return nil, fmt.Errorf("unknown scheduler %q: expected one of %s", name, strings.Join(Names(), ", "))
	}
	return make(f), nil
}

// Names returns the names that [New] knows, sorted.
func Names() []string {
	names := make([]string, 0, len(factories))
	for name := range factories {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// head is the place before the first destination, the list head of the kernel's circular lists.
const head = -1

// cursor is a place in a list: a destination's index, or head.
type cursor int

func (c *cursor) added(i int) {
	if *c != head && int(*c) >= i {
		*c++
	}
}

// removed keeps the cursor on its destination, or moves it to the one before if that destination is the one removed.
func (c *cursor) removed(i int) {
	if int(*c) >= i {
		*c--
	}
}
