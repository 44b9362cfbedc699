package figures

import (
	"strings"
	"testing"
)

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
		{Number(9999.4), "9999"}, {Number(9999.5), "10,000"}, {Number(-123456), "-123,456"}, {Number(1234567), "1,234,567"},
		{Samples{-1234.5}.String(), "-1234"},
		{Samples{61}.Over(Samples{10}).Least(6).String(), "6.10 × (target ≥ 6.00: met)"},
		{Samples{6, 7, 5}.Over(Samples{10, 10, 10}).Most(0.5).String(), "0.60 × (0.50–0.70) (target ≤ 0.50: missed)"},
		{Samples{6}.Over(Samples{0}).String(), "-"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// TestSheet: a label is shown where it changes, and each kind of cell in its way.
func TestSheet(t *testing.T) {
	table := Table{Labels: []string{"clients", "side"}, Figures: []string{"per second", "p50 ms"}}
	table.Add([]string{"1", "a"}, Samples{1, 2, 3}, Samples{})
	table.Add([]string{"1", "b"}, Samples{200}, nil)
	table.Add([]string{"2", "b : a"}, Samples{200}.Over(Samples{100}), "none")
	s := Sheet{About: "three rounds", Tables: []Table{table}}
	s.Note("the aim is %s", "met")
	var b strings.Builder
	if err := s.Text(&b); err != nil {
		t.Fatal(err)
	}
	const want = `, 0 cores; three rounds

clients  side   per second        p50 ms
1        a      2.00 (1.00–3.00)  -
         b      200               
2        b : a  2.00 ×            none

the aim is met
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
