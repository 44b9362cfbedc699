package main

import (
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/ipvs/internal/result"
)

// TestSheet: what the sending takes is no dataplane's work.
func TestSheet(t *testing.T) {
	s := sheet(options{rounds: 1, packets: 1}, []result.Figure{{Family: "IPv4", Work: "masq", Sides: map[string][]float64{
		result.Nothing: {100, 200, 150}, result.Forward: {160, 260, 210}, "ipvs": {200, 300, 250}, "ebpf": {150, 240, 200},
	}}})
	var text strings.Builder
	if err := s.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"150 (100–200)", "100 (100–100)", "50.0 (40.0–50.0)", "0.50 × (0.40–0.50) (target ≤ 1.00: met)"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
}
