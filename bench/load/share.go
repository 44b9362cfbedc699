package load

import (
	"fmt"
	"math"
	"sort"
)

// Share is what one real server did of the load, against what its weight asks for.
type Share struct {
	Server string `json:"server"`
	// Weight is the one configured, or 1 where none is. It is 0 for a server that answered though no weight names it.
	Weight   int     `json:"weight"`
	Answers  int64   `json:"answers"`  // acknowledged answers
	Actual   float64 `json:"actual"`   // part of all answers, 0 to 1
	Expected float64 `json:"expected"` // part of all weights, 0 to 1
}

// Deviation is how far the actual share is from the expected one: 0.02 means 2 percentage points more.
func (s Share) Deviation() float64 { return s.Actual - s.Expected }

// shares compares the answers of each server with its weight. Without weights all servers are expected to be equal. Servers
// come in order of their names.
func shares(answers map[string]int64, weights map[string]int) []Share {
	by := make(map[string]*Share, len(answers))
	var total, sum float64
	for name, w := range weights {
		by[name] = &Share{Server: name, Weight: w}
		sum += float64(w)
	}
	for name, n := range answers {
		if by[name] == nil {
			by[name] = &Share{Server: name}
			if len(weights) == 0 {
				by[name].Weight = 1
				sum++
			}
		}
		by[name].Answers = n
		total += float64(n)
	}
	list := make([]Share, 0, len(by))
	for _, s := range by {
		if total > 0 {
			s.Actual = float64(s.Answers) / total
		}
		s.Expected = float64(s.Weight) / sum
		list = append(list, *s)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Server < list[j].Server })
	return list
}

// ShareTest is Pearson's chi-squared test of whether the servers' answers follow their weights: a director that deals
// connections out at random by their weights would deviate as much or more with the probability P. One that deals them out
// in turn deviates less, and has a P near 1; so a small P tells that the shares are others.
type ShareTest struct {
	ChiSquared float64 `json:"chi_squared"`
	Freedom    int     `json:"freedom"` // degrees of it: servers with a weight, less one
	P          float64 `json:"p"`
	// Unexpected is how many answers came from servers without a weight, which the test leaves out.
	Unexpected int64 `json:"unexpected"`
	// Enough tells that each server was to give at least five answers, without which the test means nothing.
	Enough bool `json:"enough"`
}

// Limits of the test.
const (
	enoughAnswers = 5    // that each server is to give
	unlikely      = 1e-4 // a P below this is no chance
)

// testShares tests shares.
func testShares(list []Share) ShareTest {
	t := ShareTest{P: 1, Enough: true, Freedom: -1}
	var n int64
	for _, s := range list {
		if s.Weight == 0 {
			t.Unexpected += s.Answers
			continue
		}
		n += s.Answers
		t.Freedom++
	}
	for _, s := range list {
		if s.Weight == 0 {
			continue
		}
		expected := s.Expected * float64(n)
		if expected < enoughAnswers {
			t.Enough = false
		}
		if expected > 0 {
			t.ChiSquared += (float64(s.Answers) - expected) * (float64(s.Answers) - expected) / expected
		}
	}
	t.Freedom = max(t.Freedom, 0)
	t.Enough = t.Enough && t.Freedom > 0
	t.P = chiSquaredTail(t.ChiSquared, t.Freedom)
	return t
}

// chiSquaredTail is the probability that a chi-squared variable with so many degrees of freedom is at least x. It goes up from 1 or
// 2 degrees by Q(x, k+2) = Q(x, k) + (x/2)^(k/2) e^(-x/2) / Γ(k/2+1).
func chiSquaredTail(x float64, freedom int) float64 {
	if freedom == 0 || x <= 0 {
		return 1
	}
	k := 2 - freedom%2
	q := math.Exp(-x / 2)
	if k == 1 {
		q = math.Erfc(math.Sqrt(x / 2))
	}
	for ; k < freedom; k += 2 {
		half := float64(k) / 2
		gamma, _ := math.Lgamma(half + 1)
		q += math.Exp(half*math.Log(x/2) - x/2 - gamma)
	}
	return min(q, 1)
}

// verdict tells why the shares do not follow the weights; it is empty if they may.
func (t ShareTest) verdict() string {
	switch {
	case t.Unexpected > 0:
		return fmt.Sprintf("%d answers came from servers without a weight", t.Unexpected)
	case t.Freedom > 0 && !t.Enough:
		return fmt.Sprintf("too few answers to test the servers' shares: each must be to give %d", enoughAnswers)
	case t.P < unlikely:
		return fmt.Sprintf("the servers' shares are not those of their weights: chi-squared is %.1f with %d degrees of freedom, p = %.2g",
			t.ChiSquared, t.Freedom, t.P)
	}
	return ""
}

// ServerLatency is the latency of one real server's acknowledged answers.
type ServerLatency struct {
	Server    string      `json:"server"`
	Latency   Percentiles `json:"latency"`
	Histogram Histogram   `json:"histogram"`
}
