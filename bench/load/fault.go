package load

// FaultPlan is one thing to break, or to mend, at a time of the load.
type FaultPlan struct {
	Name string `json:"name"`
	// At is when, since the start of the load.
	At Millis `json:"at_ms"`
	// Action is what: "run" for a command, or a built-in one.
	Action string `json:"action"`
	// Target is what the action is done to: a command, process id, link; each action says.
	Target string `json:"target"`
}

// Fault is what came of a planned fault.
type Fault struct {
	FaultPlan
	Began  Millis `json:"began_ms"`         // when the action was begun, since the start of the run
	Ended  Millis `json:"ended_ms"`         // when it was done
	Error  string `json:"error,omitempty"`  // why the action failed; empty if it did not
	Output string `json:"output,omitempty"` // the beginning of what a command said

	// Disturbed tells that the load felt the fault: a request that was due between Began and the next fault, or in flight at
	// Began, failed or was slow. Slow is a latency above Slow.
	Disturbed bool   `json:"disturbed"`
	Slow      Millis `json:"slow_ms"`
	Errors    int64  `json:"errors"` // requests that failed: due before the next fault, and ended after Began
	// Recovered tells that the load was calm again before the next fault or the end; Recovery is then the time from Began
	// to the instant since which it has been. Otherwise Recovery is the time that was waited in vain.
	Recovered bool   `json:"recovered"`
	Recovery  Millis `json:"recovery_ms"`
	// Definition says in words how Recovered and Recovery were decided.
	Definition string `json:"definition"`
}
