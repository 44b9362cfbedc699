package report

import (
	"github.com/lvsession/lvsession/bench/load"
)

// phases tells how each part of a load went, if there are several.
func (p *printer) phases(r *load.Result) {
	if len(r.Phases) < 2 {
		return
	}
	rows := [][]string{{"phase", "from s", "to s", "due/s", "acknowledged", "errors", "violations", "acknowledged/s", "p50 ms", "p99 ms"}}
	for _, f := range r.Phases {
		due := decimal(f.Rate, 0)
		if f.RateTo != f.Rate {
			due += " to " + decimal(f.RateTo, 0)
		}
		rows = append(rows, []string{
			printable(f.Name), seconds(f.From), seconds(f.To), due, thousands(f.Acknowledged), thousands(f.Errors), thousands(f.Violations),
			decimal(f.Throughput, 0), millis(f.Latency.P50), millis(f.Latency.P99),
		})
	}
	p.table(rows)
	p.printf("\n")
}

// generator warns of figures that vipbench itself may have set.
func (p *printer) generator(r *load.Result) {
	if !r.Generator.Saturated {
		return
	}
	p.printf("vipbench was at its own limits; do not blame the target for these figures:\n")
	for _, reason := range r.Generator.Reasons {
		p.printf("  it %s\n", reason)
	}
	p.printf("\n")
}
