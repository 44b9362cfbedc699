package load

import (
	"fmt"
	"time"
)

// PhasePlan is one part of a load over time. The phases of a load follow each other. Either they have rates, and make an open load,
// or users, and make a closed one.
type PhasePlan struct {
	Name string `json:"name"`
	// Duration is how long the phase lasts.
	Duration Millis `json:"duration_ms"`
	// Rate is that of the phase's beginning, and RateTo that of its end: between them it grows or shrinks evenly. Both in
	// requests a second over all users.
	Rate   float64 `json:"rate"`
	RateTo float64 `json:"rate_to"`
	// Users is how many users of a closed load take turns at the phase's beginning, and UsersTo at its end: between them
	// users join or leave one by one, evenly. Those with the lowest numbers are there first, and longest.
	Users   int `json:"users,omitempty"`
	UsersTo int `json:"users_to,omitempty"`
}

// ofUsers tells whether the phase is of a closed load.
func (p PhasePlan) ofUsers() bool { return p.Users > 0 || p.UsersTo > 0 }

// ofRates tells whether the phase is of an open load. One without requests is of neither.
func (p PhasePlan) ofRates() bool { return p.Rate > 0 || p.RateTo > 0 }

// check reports what is wrong with the plan.
func (p PhasePlan) check() error {
	rate := func(r float64) bool { return r >= 0 && r <= MaxRate }
	users := func(n int) bool { return n >= 0 && n <= MaxUsers }
	switch {
	case p.Name == "" || len(p.Name) > MaxUserLength:
		return fmt.Errorf("the name of a phase must have 1 to %d bytes, not %q", MaxUserLength, p.Name)
	case p.Duration <= 0:
		return fmt.Errorf("phase %s must last longer than %v", p.Name, p.Duration)
	case !rate(p.Rate) || !rate(p.RateTo):
		return fmt.Errorf("rates of phase %s must be 0 to %d requests a second, not %g and %g", p.Name, int(MaxRate), p.Rate, p.RateTo)
	case !users(p.Users) || !users(p.UsersTo):
		return fmt.Errorf("users of phase %s must be 0 to %d, not %d and %d", p.Name, MaxUsers, p.Users, p.UsersTo)
	case p.ofUsers() && p.ofRates():
		return fmt.Errorf("phase %s has either users or a rate", p.Name)
	}
	return nil
}

// Phase is what one phase of a load showed. A load without phases in its configuration has one, named "load". A request
// belongs to the phase in which it was due.
type Phase struct {
	PhasePlan
	From         Millis      `json:"from_ms"` // since the start of the run
	To           Millis      `json:"to_ms"`
	Acknowledged int64       `json:"acknowledged"`
	Errors       int64       `json:"errors"`
	Violations   int64       `json:"violations"`
	Throughput   float64     `json:"throughput"` // acknowledged requests a second
	Latency      Percentiles `json:"latency"`
	Histogram    Histogram   `json:"histogram"` // of the latency
}

// onlyPhase is the name of the phase of a load without phases.
const onlyPhase = "load"

// phases tells the phase of each request. The collector's lock guards it.
type phases struct{ list []Phase }

// newPhases returns the phases of a load with these plans, in order.
func newPhases(plans []PhasePlan) phases {
	if len(plans) == 0 {
		return phases{[]Phase{{PhasePlan: PhasePlan{Name: onlyPhase}}}}
	}
	list := make([]Phase, len(plans))
	var from Millis
	for i, p := range plans {
		list[i] = Phase{PhasePlan: p, From: from, To: from + p.Duration}
		from += p.Duration
	}
	return phases{list}
}

// at returns the phase of a request that was due then, since the start of the run.
func (p phases) at(due Millis) *Phase {
	last := len(p.list) - 1
	for i := range p.list[:last] {
		if due < p.list[i].To {
			return &p.list[i]
		}
	}
	return &p.list[last]
}

// result returns the phases that began before the load ended.
func (p phases) result(end Millis) []Phase {
	var list []Phase
	for i, f := range p.list {
		if i > 0 && f.From >= end {
			break
		}
		if i == len(p.list)-1 || f.To > end {
			f.To = end
		}
		f.Latency = f.Histogram.Percentiles()
		if s := time.Duration(f.To - f.From).Seconds(); s > 0 {
			f.Throughput = float64(f.Acknowledged) / s
		}
		list = append(list, f)
	}
	return list
}
