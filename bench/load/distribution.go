package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Bounds of distributions.
const (
	maxNumber  = 1 << 30
	maxChoices = 32
	// An exponential distribution is cut at so many times its mean, which one value in 10^9 exceeds.
	maxExponential = 20
)

// Numbers is a distribution of whole numbers, such as sizes in bytes. Its text is one of
//
//	2000             always this
//	500-8000         each from 500 to 8000 equally likely
//	~2000            exponential, with this mean
//	90%500,10%~8000  a list of those, with the percentage of each
//
// The suffix k means 1,024. The zero value is no distribution at all and draws 0.
type Numbers struct{ spread }

// Durations is a distribution of durations: its text is like that of [Numbers], with values such as 1.5s or 200ms.
type Durations struct{ spread }

// ParseNumbers reads the text of a distribution.
func ParseNumbers(text string) (Numbers, error) {
	s, err := parseSpread(text, parseNumber)
	return Numbers{s}, err
}

// ParseDurations reads the text of a distribution.
func ParseDurations(text string) (Durations, error) {
	s, err := parseSpread(text, parseWait)
	return Durations{s}, err
}

func parseNumber(s string) (float64, error) {
	digits, thousands := strings.CutSuffix(s, "k")
	n, err := strconv.ParseUint(digits, 10, 31)
	if thousands {
		n *= 1 << 10
	}
	if err != nil || n > maxNumber {
		return 0, fmt.Errorf("%q is not a whole number of 0 to %d", s, maxNumber)
	}
	return float64(n), nil
}

func parseWait(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > time.Hour {
		return 0, fmt.Errorf("%q is not a duration of 0 to 1h", s)
	}
	return float64(d), nil
}

// Draw draws a number.
func (n Numbers) Draw(from *rand.Rand) int { return int(n.draw(from)) }

// Draw draws a duration.
func (d Durations) Draw(from *rand.Rand) time.Duration { return time.Duration(d.draw(from)) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (n *Numbers) UnmarshalText(b []byte) (err error) {
	*n, err = ParseNumbers(string(b))
	return err
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Durations) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDurations(string(b))
	return err
}

// spread is a distribution: one of its choices, each as likely as its weight says.
type spread struct {
	text    string
	choices []choice
}

// choice is one part of a distribution: equally likely from low to high, or exponential with the mean low.
type choice struct {
	upTo        float64 // the part of all draws that this choice and those before it take
	low, high   float64
	exponential bool
}

// String is the distribution's text.
func (s spread) String() string { return s.text }

// IsZero tells whether there is no distribution.
func (s spread) IsZero() bool { return len(s.choices) == 0 }

// MarshalText implements [encoding.TextMarshaler].
func (s spread) MarshalText() ([]byte, error) { return []byte(s.text), nil }

func (s spread) draw(from *rand.Rand) float64 {
	if s.IsZero() {
		return 0
	}
	c := s.choices[0]
	if len(s.choices) > 1 {
		at := from.Float64()
		for _, c = range s.choices {
			if at < c.upTo {
				break
			}
		}
	}
	return c.draw(from)
}

func (c choice) draw(from *rand.Rand) float64 {
	switch {
	case c.exponential:
		return c.low * min(from.ExpFloat64(), maxExponential)
	case c.low < c.high:
		return c.low + math.Floor(from.Float64()*(c.high-c.low+1))
	}
	return c.low
}

// most is the largest value that can be drawn.
func (s spread) most() float64 {
	most := 0.0
	for _, c := range s.choices {
		if c.exponential {
			c.high = maxExponential * c.low
		}
		most = max(most, c.high)
	}
	return most
}

func parseSpread(text string, value func(string) (float64, error)) (spread, error) {
	s := spread{text: text}
	parts := strings.Split(text, ",")
	if len(parts) > maxChoices {
		return spread{}, fmt.Errorf("a distribution has at most %d parts, not %d", maxChoices, len(parts))
	}
	sum := 0.0
	for _, part := range parts {
		c, err := parseChoice(strings.TrimSpace(part), len(parts) > 1, value)
		if err != nil {
			return spread{}, err
		}
		sum += c.upTo
		c.upTo = sum
		s.choices = append(s.choices, c)
	}
	if math.Abs(sum-1) > 1e-6 {
		return spread{}, fmt.Errorf("the parts of %q are %g%% together, not 100%%", text, 100*sum)
	}
	s.choices[len(parts)-1].upTo = 1
	return s, nil
}

// parseChoice reads one part, whose upTo is its own part of all draws.
func parseChoice(text string, weighted bool, value func(string) (float64, error)) (choice, error) {
	c := choice{upTo: 1}
	if weight, rest, found := strings.Cut(text, "%"); found {
		percent, err := strconv.ParseFloat(weight, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return choice{}, fmt.Errorf("%q is not a percentage", weight)
		}
		c.upTo, text = percent/100, rest
	} else if weighted {
		return choice{}, fmt.Errorf("%q of the list has no percentage", text)
	}
	text, c.exponential = strings.CutPrefix(text, "~")
	low, high, uniform := strings.Cut(text, "-")
	if !uniform {
		high = low
	}
	var err error
	if c.low, err = value(low); err != nil {
		return choice{}, err
	}
	if c.high, err = value(high); err != nil {
		return choice{}, err
	}
	if c.high < c.low || uniform && c.exponential {
		return choice{}, fmt.Errorf("%q is no range", text)
	}
	return c, nil
}
