package load

import (
	"math"
	"math/rand/v2"
	"time"
)

// Arrival is how the requests of an open load are spread over time.
type Arrival string

// The kinds of arrival.
const (
	// Constant has the same time between any two requests, and the users take turns in a fixed order: the default.
	Constant Arrival = "constant"
	// Poisson has each user's requests come at random, independent of each other and of all other users', as those of many
	// people who know nothing of each other do.
	Poisson Arrival = "poisson"
)

// schedule gives the intended starts of an open load. They depend on no answer.
type schedule struct {
	start   time.Time
	phases  []PhasePlan // none for a closed load
	ramps   []PhasePlan // of a closed load whose users come and go
	users   int
	poisson bool
}

func newSchedule(start time.Time, c Config) schedule {
	s := schedule{start: start, phases: c.Phases, users: c.Users, poisson: c.Arrival == Poisson}
	if c.ramps() {
		s.phases, s.ramps = nil, c.Phases
	}
	if len(s.phases) == 0 && c.Rate > 0 {
		s.phases = []PhasePlan{{Name: onlyPhase, Duration: Millis(math.MaxInt64), Rate: c.Rate, RateTo: c.Rate}}
	}
	return s
}

func (s schedule) open() bool { return len(s.phases) > 0 }

// clock is one user's way through a schedule.
type clock struct {
	turns   int     // taken
	arrived float64 // requests of all users before the last one of this user, under Poisson
}

// next returns when the user's next request is due, and false if the schedule ends before.
func (s schedule) next(index int, c *clock, from *rand.Rand) (time.Time, bool) {
	n := float64(c.turns)*float64(s.users) + float64(index)
	c.turns++
	if s.poisson {
		// A user has the users'th part of all requests: so many of all come between two of its own.
		c.arrived += from.ExpFloat64() * float64(s.users)
		n = c.arrived
	}
	after, ok := s.after(n)
	return s.start.Add(after), ok
}

// after returns the time, since the start, before which n requests are due, and false if all phases have fewer.
func (s schedule) after(n float64) (time.Duration, bool) {
	var from time.Duration
	for _, p := range s.phases {
		all := p.requests()
		if n < all {
			return from + p.after(n), true
		}
		n -= all
		from += time.Duration(p.Duration)
	}
	return from, false
}

// admit returns the first time from at on, since the start, at which the user may take a turn of a closed load with ramps, and false
// if there is none.
func (s schedule) admit(index int, at time.Duration) (time.Duration, bool) {
	var from time.Duration
	for _, p := range s.ramps {
		first, end := p.stay(index)
		if t := max(at, from+first); t < from+end {
			return t, true
		}
		from += time.Duration(p.Duration)
	}
	return 0, false
}

// stay returns from when until when, since the phase began, a user is there: while the number of users, which changes evenly, is
// above its own. Both are equal if it is not there at all.
func (p PhasePlan) stay(index int) (from, end time.Duration) {
	all := time.Duration(p.Duration)
	passes := func(n int) time.Duration { // when the number of users is n
		return time.Duration(float64(all) * float64(n-p.Users) / float64(p.UsersTo-p.Users))
	}
	switch {
	case index < min(p.Users, p.UsersTo):
		return 0, all
	case index >= max(p.Users, p.UsersTo):
		return 0, 0
	case p.UsersTo > p.Users:
		return passes(index), all
	}
	return 0, passes(index)
}

// requests is how many requests fall due in the phase.
func (p PhasePlan) requests() float64 {
	return (p.Rate + p.RateTo) / 2 * time.Duration(p.Duration).Seconds()
}

// after returns the time, since the phase began, before which n of its requests are due. With the rate r and its change a
// a second, n = rt + at²/2, of which this is the root that stays exact when a is small.
func (p PhasePlan) after(n float64) time.Duration {
	change := (p.RateTo - p.Rate) / time.Duration(p.Duration).Seconds()
	root := math.Sqrt(max(p.Rate*p.Rate+2*change*n, 0))
	if p.Rate+root == 0 { // the first request of a ramp from 0
		return 0
	}
	seconds := 2 * n / (p.Rate + root)
	return min(time.Duration(seconds*float64(time.Second)), time.Duration(p.Duration))
}

// plannedRequests is how many requests a load makes if it is not cut short; under Poisson, on average.
func (c Config) plannedRequests() int64 {
	most := float64(c.Users) * float64(c.Requests)
	s := newSchedule(time.Time{}, c)
	if len(s.phases) > 0 && c.Rate == 0 {
		sum := 0.0
		for _, p := range c.Phases {
			sum += p.requests()
		}
		return int64(math.Ceil(min(sum, most)))
	}
	if s.open() && c.Duration > 0 {
		return int64(min(c.Rate*c.Duration.Seconds()+1, most))
	}
	return int64(most)
}
