package load

import (
	"math"
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
