package report

import (
	"slices"

	"github.com/lvsession/lvsession/bench/load"
)

// phases tells how each part of a load went, if there are several.
func (p *printer) phases(r *load.Result) {
	if len(r.Phases) < 2 {
		return
	}
	rows := [][]string{{"phase", "from s", "to s", dueHead(r.Config.Phases), "acknowledged", "errors", "violations", "acknowledged/s", "p50 ms", "p99 ms"}}
	for _, f := range r.Phases {
		rows = append(rows, []string{
			printable(f.Name), seconds(f.From), seconds(f.To), due(f.PhasePlan), thousands(f.Acknowledged), thousands(f.Errors), thousands(f.Violations),
			decimal(f.Throughput, 0), millis(f.Latency.P50), millis(f.Latency.P99),
		})
	}
	p.table(rows)
	p.printf("\n")
}

// ofUsers tells whether phases are of a closed load.
func ofUsers(phases []load.PhasePlan) bool {
	return slices.ContainsFunc(phases, func(p load.PhasePlan) bool { return p.Users > 0 || p.UsersTo > 0 })
}

func openness(phases []load.PhasePlan) string {
	if ofUsers(phases) {
		return "closed"
	}
	return "open"
}

// dueHead is the heading of what [due] tells.
func dueHead(phases []load.PhasePlan) string {
	if ofUsers(phases) {
		return "users"
	}
	return "due/s"
}

// due tells the rate of a phase, or its users, and that at its end if it is another.
func due(p load.PhasePlan) string {
	from, to := p.Rate, p.RateTo
	if p.Users > 0 || p.UsersTo > 0 {
		from, to = float64(p.Users), float64(p.UsersTo)
	}
	if from == to {
		return decimal(from, 0)
	}
	return decimal(from, 0) + " to " + decimal(to, 0)
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
