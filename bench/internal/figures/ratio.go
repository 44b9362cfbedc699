package figures

import (
	"fmt"
	"slices"
)

// Ratio is how one side's figure stands to another's that took turns with it.
type Ratio struct {
	Of     float64 `json:"of"`               // of the medians; 0 if there is none
	Rounds Samples `json:"rounds,omitempty"` // of each round: its spread
	// What the ratio shall be; 0 for no aim.
	AtLeast float64 `json:"at_least,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"`
}

// Over returns the ratio of the samples to others.
func (s Samples) Over(others Samples) Ratio {
	var r Ratio
	if m := others.Median(); m != 0 {
		r.Of = s.Median() / m
	}
	for i := range min(len(s), len(others)) {
		if others[i] != 0 {
			r.Rounds.Add(s[i] / others[i])
		}
	}
	return r
}

// Least returns the ratio with an aim: at least that.
func (r Ratio) Least(aim float64) Ratio { r.AtLeast, r.AtMost = aim, 0; return r }

// Most returns the ratio with an aim: at most that.
func (r Ratio) Most(aim float64) Ratio { r.AtLeast, r.AtMost = 0, aim; return r }

// Met tells whether the ratio reaches its aim. Without an aim it does.
func (r Ratio) Met() bool {
	return (r.AtLeast == 0 || r.Of >= r.AtLeast) && (r.AtMost == 0 || r.Of <= r.AtMost)
}

// String is the ratio with the least and the most of the rounds, and its aim.
func (r Ratio) String() string {
	if r.Of == 0 {
		return "-"
	}
	text := fmt.Sprintf("%.2f ×", r.Of)
	if len(r.Rounds) > 1 {
		text += fmt.Sprintf(" (%.2f–%.2f)", slices.Min(r.Rounds), slices.Max(r.Rounds))
	}
	verdict := "missed"
	if r.Met() {
		verdict = "met"
	}
	switch {
	case r.AtLeast != 0:
		text += fmt.Sprintf(" (target ≥ %.2f: %s)", r.AtLeast, verdict)
	case r.AtMost != 0:
		text += fmt.Sprintf(" (target ≤ %.2f: %s)", r.AtMost, verdict)
	}
	return text
}
