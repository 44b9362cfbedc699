// Package figures holds what the benchmarks that compare sides have in common: the samples that they take in each round,
// the ratios between sides, the tables in which both are shown, and the payloads that are stored.
package figures

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Samples are the values of one figure, one a round.
type Samples []float64

// Add adds the value of a round.
func (s *Samples) Add(v float64) { *s = append(*s, v) }

// Median is the median over the rounds; 0 without any.
func (s Samples) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// String is the median, with the least and the most if there is more than one.
func (s Samples) String() string {
	switch len(s) {
	case 0:
		return "-"
	case 1:
		return Number(s[0])
	}
	return fmt.Sprintf("%s (%s–%s)", Number(s.Median()), Number(slices.Min(s)), Number(slices.Max(s)))
}

// Number prints three digits, or more of a large number, with commas from five on.
func Number(v float64) string {
	switch size := math.Abs(v); {
	case size >= 9999.5 && size < 1e15:
		return group(fmt.Sprintf("%.0f", v))
	case size >= 100:
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// group puts commas between the thousands of a whole number.
func group(digits string) string {
	first := 0
	if strings.HasPrefix(digits, "-") {
		first = 1
	}
	for i := len(digits) - 3; i > first; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Latency is the latency of one kind of work: one sample a round of its rate and quantiles.
type Latency struct {
	Rate     Samples // a second
	P50, P99 Samples // ms
}

// Add adds a round's histogram, in microseconds, that was filled for so many seconds.
func (l *Latency) Add(h *hdrhistogram.Histogram, seconds float64) {
	l.Rate.Add(float64(h.TotalCount()) / seconds)
	l.P50.Add(float64(h.ValueAtQuantile(50)) / 1000)
	l.P99.Add(float64(h.ValueAtQuantile(99)) / 1000)
}

// Histogram returns an empty histogram of microseconds, up to a minute.
func Histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }
