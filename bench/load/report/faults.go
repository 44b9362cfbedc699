package report

import (
	"fmt"

	"github.com/lvsession/lvsession/bench/load"
)

// faults tells what was broken, and how long the load took to recover.
func (p *printer) faults(r *load.Result) {
	if len(r.Faults) == 0 {
		return
	}
	rows := [][]string{{"fault", "began at s", "ended at s", "errors", "recovered after s"}}
	for _, f := range r.Faults {
		rows = append(rows, []string{printable(f.Name), seconds(f.Began), seconds(f.Ended), thousands(f.Errors), recovery(f)})
	}
	p.table(rows)
	for _, f := range r.Faults {
		if f.Error != "" {
			p.printf("  %s failed: %s %s\n", printable(f.Name), printable(f.Error), printable(f.Output))
		}
	}
	p.printf("%s\n\n", r.Faults[0].Definition)
}

func recovery(f load.Fault) string {
	switch {
	case f.Error != "":
		return "failed"
	case !f.Disturbed:
		return "not felt"
	case !f.Recovered:
		return fmt.Sprintf("not within %s", seconds(f.Recovery))
	}
	return seconds(f.Recovery)
}
