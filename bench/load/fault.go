package load

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxFaults bounds the faults of a load.
const maxFaults = 100

// FaultPlan is one thing to break, or to mend, at a time of the load.
type FaultPlan struct {
	Name string `json:"name"`
	// At is when, since the start of the load.
	At Millis `json:"at_ms"`
	// Action is what: "run" for a command, or a built-in one.
	Action string `json:"action"`
	// Target is what the action is done to: a command, process id, link; each action says.
	Target string `json:"target"`
	// For is how long until the action is undone, 0 for never. Only some can be.
	For Millis `json:"for_ms,omitempty"`
}

// Fault is what came of a planned fault.
type Fault struct {
	FaultPlan
	Began  Millis `json:"began_ms"`         // when the action was begun, since the start of the run
	Ended  Millis `json:"ended_ms"`         // when it was done
	Error  string `json:"error,omitempty"`  // why the action failed; empty if it did not
	Output string `json:"output,omitempty"` // the beginning of what a command said

	// Disturbed tells that the load felt the fault: requests failed or were slow that ended between Began and the next fault,
	// or that were slow already when that began. Slow is a latency above Slow.
	Disturbed bool   `json:"disturbed"`
	Slow      Millis `json:"slow_ms"`
	Errors    int64  `json:"errors"` // of those requests, that failed
	// Recovered tells that the load was calm again before the next fault or the end; Recovery is then the time from Began
	// to the instant since which it has been. Otherwise Recovery is the time that was waited in vain.
	Recovered bool   `json:"recovered"`
	Recovery  Millis `json:"recovery_ms"`
	// Definition says in words how Recovered and Recovery were decided.
	Definition string `json:"definition"`
	// LastDue is when the last request was due that failed or was slow because of the fault, since the start of the run: those
	// due later were well, though a request due before may have failed later than they ended. 0 without such a request.
	LastDue Millis `json:"last_due_ms"`
}

// ParseFault reads a fault such as "20s kill 1234", "20s+5s stop web1.pid" (with the time after which it is undone) or
// "20s run systemctl restart sessiond". Colons may stand for the first two spaces.
func ParseFault(text string) (FaultPlan, error) {
	at, rest := cutWord(text)
	action, target := cutWord(rest)
	p := FaultPlan{Name: action + " " + target, Action: action, Target: target}
	begin, span, bounded := strings.Cut(at, "+")
	d, err := time.ParseDuration(begin)
	p.At = Millis(d)
	if bounded && err == nil {
		d, err = time.ParseDuration(span)
		p.For = Millis(d)
	}
	if err != nil {
		return FaultPlan{}, err
	}
	if bounded && p.For <= 0 {
		return FaultPlan{}, fmt.Errorf("a fault must last longer than %q", span)
	}
	return p, p.check()
}

// cutWord takes the first word from a text, which ends at white space or a colon.
func cutWord(s string) (word, rest string) {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t:"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i+1:])
	}
	return s, ""
}

func (p FaultPlan) check() error {
	d, known := deeds[p.Action]
	switch {
	case !known:
		return fmt.Errorf("there is no action %q, only %s", p.Action, strings.Join(actionNames(), ", "))
	case p.Target == "":
		return fmt.Errorf("action %s needs %s", p.Action, d.target)
	case p.At < 0 || p.For < 0:
		return errors.New("a fault cannot be before the start")
	case p.For > 0 && d.undo == nil:
		return fmt.Errorf("action %s cannot be undone: leave out how long", p.Action)
	}
	return nil
}

// What counts as a load that is disturbed, in spans of this length.
const (
	calmSpan  = 100 * time.Millisecond
	slowPart  = 0.10 // of the answers of a span, if more are slow
	calmFor   = Millis(time.Second)
	calmCount = 10 // answers since then
	// A latency is slow above so many times the 99th percentile of those before the first fault, and so much above it. With
	// fewer than enoughBefore of them, slowUnknown is.
	slowTimes    = 3
	slowMargin   = 50 * time.Millisecond
	enoughBefore = 20
	slowUnknown  = time.Second
)

// watch sees how the load fares under each fault. The collector's lock guards it.
type watch struct {
	faults  []Fault
	states  []calmness
	slow    time.Duration // set with the first fault
	errors  int64         // in a span, that were usual before the first fault
	defined string
}

// calmness is how far the load has come to rest after one fault.
type calmness struct {
	begun bool
	span  int64 // number of the span under way
	calmSpanTally
	last Millis // end of the last outcome that was not well, in a span that was not calm
	calm int64  // answers in calm spans since
}

type calmSpanTally struct {
	answers, slow, errors int64
	bad                   Millis // end of the last of those that were slow or failed
}

func newWatch(plans []FaultPlan) watch {
	w := watch{states: make([]calmness, len(plans))}
	for _, p := range plans {
		w.faults = append(w.faults, Fault{FaultPlan: p})
	}
	slices.SortStableFunc(w.faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return w
}

// begin notes that fault i begins, after a load with those latencies and errors.
func (w *watch) begin(i int, at Millis, before Histogram, failed int64) {
	w.faults[i].Began = at
	w.states[i].begun = true
	if w.slow > 0 {
		return
	}
	if before.Count() < enoughBefore {
		w.slow = slowUnknown
		w.defined = fmt.Sprintf("slow is above %v, for want of answers before the first fault", w.slow)
	} else {
		usual := before.At(99)
		w.slow = max(slowTimes*usual, usual+slowMargin)
		w.defined = fmt.Sprintf("slow is above %v, from the 99th percentile %v before the first fault", w.slow, usual)
	}
	if spans := float64(at) / float64(calmSpan); failed > 0 && spans > 0 {
		w.errors = 1 + int64(slowTimes*float64(failed)/spans)
	}
}

// latest is the fault that was begun last; one without a name if none was.
func (w *watch) latest() Fault {
	for i := len(w.faults) - 1; i >= 0; i-- {
		if w.states[i].begun {
			return w.faults[i]
		}
	}
	return Fault{}
}

// next is when the next fault after i began; it may lie ahead.
func (w *watch) next(i int) (Millis, bool) {
	for j := i + 1; j < len(w.faults); j++ {
		if w.states[j].begun {
			return w.faults[j].Began, true
		}
	}
	return 0, false
}

// outcome notes an answer, or an error, of a request that was due then.
func (w *watch) outcome(due, end Millis, failed bool) {
	slow := !failed && time.Duration(end-due) > w.slow
	i := w.blame(due, end, failed || slow)
	if i < 0 {
		return
	}
	f, s := &w.faults[i], &w.states[i]
	if n := int64(time.Duration(end-f.Began) / calmSpan); n > s.span {
		w.settle(i)
		s.span = n
	}
	s.answers++
	if !failed && !slow {
		return
	}
	s.bad = max(s.bad, end)
	f.LastDue = max(f.LastDue, due)
	if failed {
		s.errors++
		f.Errors++
	} else {
		s.slow++
	}
}

// blame returns the fault under which a request ended: the last one that had begun by then, but for a request that was not well
// and had been slow before that. It is -1 if there is none.
func (w *watch) blame(due, end Millis, bad bool) int {
	i := len(w.faults) - 1
	for ; i >= 0; i-- {
		if w.states[i].begun && end > w.faults[i].Began && !(bad && due+Millis(w.slow) < w.faults[i].Began) {
			break
		}
	}
	return i
}

// settle ends the span under way after fault i.
func (w *watch) settle(i int) {
	s := &w.states[i]
	if s.errors > w.errors || float64(s.slow) > slowPart*float64(s.answers) {
		w.faults[i].Disturbed = true
		s.last, s.calm = s.bad, 0
	} else {
		s.calm += s.answers
	}
	s.calmSpanTally = calmSpanTally{}
}

// result returns what came of the faults, of a load that ended then.
func (w *watch) result(end Millis) []Fault {
	list := []Fault{}
	for i := range w.faults {
		f, s := &w.faults[i], &w.states[i]
		if !s.begun {
			f.Error, f.Definition = "the load ended before", "the fault did not begin"
			list = append(list, *f)
			continue
		}
		w.settle(i)
		until := end
		if next, began := w.next(i); began {
			until = next
		}
		f.Slow = Millis(w.slow)
		f.Recovered = !f.Disturbed || until-s.last >= calmFor && s.calm >= calmCount
		switch {
		case !f.Recovered:
			f.Recovery = max(until-f.Began, 0)
		case f.Disturbed:
			f.Recovery = s.last - f.Began
		}
		f.Definition = fmt.Sprintf("recovered when the last request ended that failed or was slow, in a span of %v with more than %d errors or %.0f%% slow answers, "+
			"if at least %v and %d answers followed before the next fault or the end; %s", calmSpan, w.errors, 100*slowPart, calmFor, calmCount, w.defined)
		list = append(list, *f)
	}
	return list
}
