package load

import "sort"

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

// ServerLatency is the latency of one real server's acknowledged answers.
type ServerLatency struct {
	Server    string      `json:"server"`
	Latency   Percentiles `json:"latency"`
	Histogram Histogram   `json:"histogram"`
}
