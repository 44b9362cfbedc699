package figures

import "testing"

func TestSamples(t *testing.T) {
	var s Samples
	if s.String() != "-" {
		t.Errorf("without rounds: %s", s)
	}
	for _, v := range []float64{1234, 5, 25} {
		s.Add(v)
	}
	if got := s.String(); got != "25.0 (5.00–1234)" {
		t.Errorf("three rounds: %s", got)
	}
	s.Add(35)
	if s.Median() != 30 {
		t.Errorf("median of four rounds: %v", s.Median())
	}
	for _, c := range []struct{ got, want string }{
		{AtLeast(6.1, 6), "6.10 × (target ≥ 6.00: met)"},
		{AtMost(0.6, 0.5), "0.60 × (target ≤ 0.50: missed)"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
