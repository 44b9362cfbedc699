package load

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestShares(t *testing.T) {
	tests := []struct {
		name    string
		answers map[string]int64
		weights map[string]int
		want    []Share
	}{
		{"nothing", nil, nil, []Share{}},
		{"equal without weights", map[string]int64{"b": 1, "a": 3}, nil,
			[]Share{{"a", 1, 3, 0.75, 0.5}, {"b", 1, 1, 0.25, 0.5}}},
		{"weights", map[string]int64{"a": 3, "b": 1}, map[string]int{"a": 3, "b": 1},
			[]Share{{"a", 3, 3, 0.75, 0.75}, {"b", 1, 1, 0.25, 0.25}}},
		{"a silent server", map[string]int64{"a": 4}, map[string]int{"a": 1, "b": 1},
			[]Share{{"a", 1, 4, 1, 0.5}, {"b", 1, 0, 0, 0.5}}},
		{"a quiescent server", map[string]int64{"a": 4}, map[string]int{"a": 1, "b": 0},
			[]Share{{"a", 1, 4, 1, 1}, {"b", 0, 0, 0, 0}}},
		{"a server that nobody named", map[string]int64{"a": 1, "fallback": 1}, map[string]int{"a": 1},
			[]Share{{"a", 1, 1, 0.5, 1}, {"fallback", 0, 1, 0.5, 0}}},
		{"no answer yet", nil, map[string]int{"a": 1}, []Share{{"a", 1, 0, 0, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := shares(tt.answers, tt.weights)
			if len(got) != len(tt.want) {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %+v, want %+v", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestChiSquared(t *testing.T) {
	// Critical values from any table of the distribution.
	for _, tt := range []struct {
		x       float64
		freedom int
		p       float64
	}{{3.841, 1, 0.05}, {6.635, 1, 0.01}, {5.991, 2, 0.05}, {11.070, 5, 0.05}, {18.307, 10, 0.05}, {29.588, 10, 0.001}, {124.342, 100, 0.05}, {0, 3, 1}, {7, 0, 1}} {
		if p := chiSquaredTail(tt.x, tt.freedom); math.Abs(p-tt.p) > 1e-3*tt.p+1e-6 {
			t.Errorf("chi-squared of %g with %d degrees has p %g, want %g", tt.x, tt.freedom, p, tt.p)
		}
	}
}

func TestShareTest(t *testing.T) {
	weights := map[string]int{"a": 3, "b": 1}
	for _, tt := range []struct {
		name    string
		answers map[string]int64
		want    string // part of the verdict, empty for none
	}{
		{"in turn", map[string]int64{"a": 7500, "b": 2500}, ""},
		{"by chance", map[string]int64{"a": 7450, "b": 2550}, ""},
		{"weights ignored", map[string]int64{"a": 5000, "b": 5000}, "not those of their weights"},
		{"a silent server", map[string]int64{"a": 100}, "not those of their weights"},
		{"a stranger", map[string]int64{"a": 7500, "b": 2500, "c": 1}, "without a weight"},
		{"too few", map[string]int64{"a": 3, "b": 1}, "too few"},
	} {
		got := testShares(shares(tt.answers, weights)).verdict()
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := testShares(shares(map[string]int64{"a": 3}, nil)); got.verdict() != "" || got.Enough {
		t.Errorf("one server: %+v", got)
	}
}

func TestSharesAddUp(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	rapid.Check(t, func(t *rapid.T) {
		answers := rapid.MapOfN(names, rapid.Int64Range(1, 1000), 1, 4).Draw(t, "answers")
		weights := rapid.MapOf(names, rapid.IntRange(1, 10)).Draw(t, "weights")
		var n int64
		var actual, expected, deviation float64
		for _, s := range shares(answers, weights) {
			n += s.Answers - answers[s.Server]
			actual += s.Actual
			expected += s.Expected
			deviation += s.Deviation()
		}
		if n != 0 || math.Abs(actual-1) > 1e-9 || math.Abs(expected-1) > 1e-9 || math.Abs(deviation) > 1e-9 {
			t.Fatalf("actual %g, expected %g, deviation %g", actual, expected, deviation)
		}
	})
}
