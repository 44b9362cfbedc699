package scheduler

import "math/rand/v2"

// twoChoices is IPVS's twos (ip_vs_twos.c): of two destinations drawn by their weights, the one with the least overhead
// for its weight.
type twoChoices struct {
	looking
	draw func(n int) int // returns one of 0 to n-1
}

func newTwoChoices() *twoChoices { return &twoChoices{draw: rand.IntN} }

func (*twoChoices) Name() string { return "twos" }

func (s *twoChoices) Next(d Destinations, _ Flow) int {
	loads, total := s.look(d), 0
	for _, l := range loads {
		total += l.Weight
	}
	if total == 0 {
		return None
	}
	// The kernel draws from 0 to total, both included, so that the first destination gets a little more than its share.
	one, two := pick(loads, s.draw(total+1)), pick(loads, s.draw(total+1))
	if loads[one].overhead()*loads[two].Weight > loads[two].overhead()*loads[one].Weight {
		return two
	}
	return one
}

// pick returns the destination up to which the weights add up to n.
func pick(loads []Load, n int) int {
	for i, l := range loads {
		if n -= l.Weight; n <= 0 && l.Weight > 0 {
			return i
		}
	}
	return None
}
