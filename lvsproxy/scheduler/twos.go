package scheduler

import "math/rand/v2"

// twoChoices is IPVS's twos (ip_vs_twos.c): of two destinations drawn by their weights, the one with the least overhead
// for its weight.
type twoChoices struct {
	stateless
	draw func(n int) int // returns one of 0 to n-1
}

func newTwoChoices() *twoChoices { return &twoChoices{draw: rand.IntN} }

func (*twoChoices) Name() string { return "twos" }

func (s *twoChoices) Next(d Destinations, _ Flow) int {
	total := 0
	for i := range d.Len() {
		if usable(d, i) {
			total += d.Weight(i)
		}
	}
	if total == 0 {
		return None
	}
	// The kernel draws from 0 to total, both included, so that the first destination gets a little more than its share.
	one, two := pick(d, s.draw(total+1)), pick(d, s.draw(total+1))
	if overhead(d, one)*d.Weight(two) > overhead(d, two)*d.Weight(one) {
		return two
	}
	return one
}

// pick returns the usable destination up to which the weights add up to n.
func pick(d Destinations, n int) int {
	for i := range d.Len() {
		if !usable(d, i) {
			continue
		}
		if n -= d.Weight(i); n <= 0 {
			return i
		}
	}
	return None
}
