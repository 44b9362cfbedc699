package linear

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Violation is a session whose history no order of its operations explains, or that breaks a promise outright.
type Violation struct {
	Seed    uint64
	Session string
	Reason  string
	// Entries are the history up to the first operation that cannot be explained, that one included. Operations that had
	// not returned by then count as of unknown outcome.
	Entries []Entry
	// Explained is the longest order of operations found that the model explains, each with the state it leaves.
	Explained []string

	model porcupine.Model
	info  porcupine.LinearizationInfo
}

// shown is how many operations of each list Error shows.
const shown = 25

// Error describes the violation: the last operations of its history, and how far the model came.
func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s: %s\n", v.Seed, v.Session, v.Reason)
	fmt.Fprintf(&b, "history, by call (the last of %d operations; … is an outcome that was not known by then):\n", len(v.Entries))
	for _, e := range v.Entries[max(0, len(v.Entries)-shown):] {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	if len(v.Explained) > 0 {
		fmt.Fprintf(&b, "as far as it can be explained (the last of %d operations, and the state after each):\n", len(v.Explained))
		for _, text := range v.Explained[max(0, len(v.Explained)-shown):] {
			fmt.Fprintf(&b, "  %s\n", text)
		}
	}
	return b.String()
}

// Visualize writes porcupine's interactive picture of the history, a page of HTML, to a file.
func (v *Violation) Visualize(path string) error {
	if err := porcupine.VisualizePath(v.model, v.info, path); err != nil {
		return fmt.Errorf("visualize %s: %w", v.Session, err)
	}
	return nil
}

// ErrUndecided says that the checker did not come to an end in time.
var ErrUndecided = errors.New("undecided")

// Check looks for sessions whose history is not linearizable, and returns once it has found enough. It gives each session so
// much time; an error wraps [ErrUndecided] and means that some sessions were not decided, which is no proof of anything.
func Check(h *History, each time.Duration, enough int) (found []*Violation, err error) {
	undecided := 0
	for _, name := range h.Sessions() {
		v, ok := judge(h.Of(name), each)
		if !ok {
			undecided++
		}
		if v == nil {
			continue
		}
		v.Seed, v.Session = h.Seed, name
		if found = append(found, v); len(found) == enough {
			break
		}
	}
	if undecided > 0 {
		err = fmt.Errorf("linear: seed %d: %d sessions: %w within %v each", h.Seed, undecided, ErrUndecided, each)
	}
	return found, err
}

// judge checks one session's history. decided is false if it took too long to tell.
func judge(entries []Entry, limit time.Duration) (v *Violation, decided bool) {
	result, info := decide(entries, limit)
	if result == porcupine.Illegal {
		v = explain(entries, limit)
	}
	if reason, about := broken(entries); reason != "" {
		if v == nil {
			v = &Violation{Entries: about, model: model(), info: info}
		}
		v.Reason = reason
	}
	return v, v != nil || result == porcupine.Ok
}

// decide asks porcupine.
func decide(entries []Entry, limit time.Duration) (porcupine.CheckResult, porcupine.LinearizationInfo) {
	return porcupine.CheckOperationsVerbose(model(), operations(entries), limit)
}

// operations are the entries in porcupine's form. Each client of its picture does one operation at a time, so one that
// never returned takes a client for good.
func operations(entries []Entry) (list []porcupine.Operation) {
	var free []time.Duration // from when on each client is free
	for _, e := range entries {
		client := slices.IndexFunc(free, func(since time.Duration) bool { return since < e.Call })
		if client < 0 {
			client = len(free)
			free = append(free, 0)
		}
		free[client] = e.Return
		end := e.Return.Nanoseconds()
		if e.Return == never {
			end = math.MaxInt64
		}
		list = append(list, porcupine.Operation{ClientId: client, Input: e.Operation, Output: e.Outcome, Call: e.Call.Nanoseconds(), Return: end})
	}
	return list
}

// explain cuts a history that is not linearizable down to its shortest beginning that is not, and tells how far the
// model came. What linearizability forbids it forbids for ever, so the cut can be found by halving.
func explain(entries []Entry, limit time.Duration) *Violation {
	var ends []time.Duration
	for _, e := range entries {
		if e.Return != never {
			ends = append(ends, e.Return)
		}
	}
	slices.Sort(ends)
	first := sort.Search(len(ends)-1, func(i int) bool {
		result, _ := decide(until(entries, ends[i]), limit)
		return result == porcupine.Illegal
	})
	v := &Violation{Reason: "not linearizable", Entries: until(entries, ends[first]), model: model()}
	_, v.info = decide(v.Entries, limit)
	v.Explained = replay(v.info)
	return v
}

// until is the history as it was known at an instant.
func until(entries []Entry, end time.Duration) (list []Entry) {
	for _, e := range entries {
		if e.Call > end {
			continue
		}
		if e.Return > end {
			if e.Kind == Read {
				continue
			}
			// A lease that was granted later is not known to be, but if it was, then with this token.
			e.Return, e.Outcome = never, Outcome{Class: Unknown, Token: e.Outcome.Token}
		}
		list = append(list, e)
	}
	return list
}

// replay is the longest order of operations that the model explains.
func replay(info porcupine.LinearizationInfo) (list []string) {
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	var s state
	for _, op := range longest {
		o, got := op.Input.(Operation), op.Output.(Outcome)
		_, s = s.step(o, got)
		list = append(list, fmt.Sprintf("%s → %s: %s", o, got.describe(o.Kind), s))
	}
	return list
}
