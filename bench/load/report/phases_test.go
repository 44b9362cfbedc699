package report

import (
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/load"
)

func TestTextTellsPhasesFaultsAndLimits(t *testing.T) {
	const s = load.Millis(time.Second)
	r := &load.Result{
		Phases: []load.Phase{
			{PhasePlan: load.PhasePlan{Name: "warm", Rate: 10, RateTo: 10}, To: 5 * s, Acknowledged: 50, Throughput: 10},
			{PhasePlan: load.PhasePlan{Name: "ramp", Rate: 10, RateTo: 1000}, From: 5 * s, To: 9 * s, Acknowledged: 2020, Errors: 3, Throughput: 505},
		},
		Faults: []load.Fault{
			{FaultPlan: load.FaultPlan{Name: "kill web1"}, Began: 2 * s, Ended: 2 * s, Disturbed: true, Recovered: true, Recovery: s / 2, Errors: 3, Definition: "recovered when calm"},
			{FaultPlan: load.FaultPlan{Name: "run \x1b[31m"}, Began: 6 * s, Ended: 6 * s, Error: "exit status 1", Output: "no\x07"},
			{FaultPlan: load.FaultPlan{Name: "stop x"}, Began: 7 * s, Disturbed: true, Recovery: 2 * s},
		},
		Generator: load.Generator{Saturated: true, Reasons: []string{"used 2.00 of its 2 cores"}},
	}
	var b strings.Builder
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"vipbench was at its own limits", "it used 2.00 of its 2 cores",
		"ramp    5.000  9.000  10 to 1,000         2,020       3",
		"kill web1          2.000       2.000       3              0.500",
		"failed: exit status 1", "not within 2.000", `run \x1b[31m failed: exit status 1 no\a`, "recovered when calm",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func TestDueTellsUsersOrRate(t *testing.T) {
	for want, p := range map[string]load.PhasePlan{
		"due/s 5":       {Rate: 5, RateTo: 5},
		"due/s 0 to 50": {RateTo: 50},
		"users 10":      {Users: 10, UsersTo: 10},
		"users 10 to 0": {Users: 10},
	} {
		if got := dueHead([]load.PhasePlan{{}, p}) + " " + due(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
