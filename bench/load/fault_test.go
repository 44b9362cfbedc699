package load

import (
	"strings"
	"testing"
	"time"
)

func TestParseFault(t *testing.T) {
	second := Millis(time.Second)
	for text, want := range map[string]FaultPlan{
		"20s kill 1234":               {Name: "kill 1234", At: 20 * second, Action: "kill", Target: "1234"},
		"20s:kill:1234":               {Name: "kill 1234", At: 20 * second, Action: "kill", Target: "1234"},
		"5s+2s stop sessiond":         {Name: "stop sessiond", At: 5 * second, For: 2 * second, Action: "stop", Target: "sessiond"},
		"1m:run:echo a:b > /dev/null": {Name: "run echo a:b > /dev/null", At: 60 * second, Action: "run", Target: "echo a:b > /dev/null"},
		"3s+1s delay lb/eth0=50ms":    {Name: "delay lb/eth0=50ms", At: 3 * second, For: second, Action: "delay", Target: "lb/eth0=50ms"},
	} {
		got, err := ParseFault(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":               "invalid duration",
		"5 kill 1":       "missing unit",
		"5s explode x":   "no action",
		"5s kill":        "needs a process",
		"-5s kill 1":     "before the start",
		"5s+5s kill 1":   "cannot be undone",
		"5s+0s stop 100": "must last longer",
	} {
		if _, err := ParseFault(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A fault that is parsed once is parsed the same from its own words.
func FuzzParseFault(f *testing.F) {
	f.Add("20s+1s stop 5")
	f.Add("1m:run:a b:c")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseFault(text)
		if err != nil {
			return
		}
		at := time.Duration(p.At).String()
		if p.For > 0 {
			at += "+" + time.Duration(p.For).String()
		}
		if again, err := ParseFault(at + " " + p.Action + " " + p.Target); err != nil || again != p {
			t.Fatalf("%q is %+v, and then %+v (%v)", text, p, again, err)
		}
	})
}

// timeline feeds a watch with an answer each 10 ms: latency gives each one's by when it is due, in ms; below 0 is an error.
func timeline(w *watch, faults []int, end int, latency func(due int) int) []Fault {
	var before Histogram
	for due := 0; due < end; due += 10 {
		for i, at := range faults {
			if at == due {
				w.begin(i, Millis(at)*Millis(time.Millisecond), before, 0)
			}
		}
		l := latency(due)
		took := max(l, 5)
		ends := Millis(due+took) * Millis(time.Millisecond)
		if l >= 0 {
			before.Record(time.Duration(took) * time.Millisecond)
		}
		w.outcome(Millis(due)*Millis(time.Millisecond), ends, l < 0)
	}
	return w.result(Millis(end) * Millis(time.Millisecond))
}

func TestRecovery(t *testing.T) {
	plans := func(n int) []FaultPlan { return make([]FaultPlan, n) }
	ms := func(m Millis) int64 { return time.Duration(m).Milliseconds() }

	f := timeline(ptr(newWatch(plans(1))), []int{2000}, 6000, func(int) int { return 5 })[0]
	if f.Disturbed || !f.Recovered || f.Recovery != 0 || f.Errors != 0 {
		t.Errorf("nothing happened, and %+v", f)
	}
	f = timeline(ptr(newWatch(plans(1))), []int{2000}, 6000, func(due int) int {
		if due >= 2000 && due < 2700 {
			return -1
		}
		return 5
	})[0]
	if !f.Disturbed || !f.Recovered || f.Errors != 70 || ms(f.Recovery) != 695 || ms(f.LastDue) != 2690 {
		t.Errorf("errors for 700 ms, and %+v", f)
	}
	f = timeline(ptr(newWatch(plans(1))), []int{2000}, 6000, func(due int) int { // a stall: what is due waits for its end
		return max(5, 3000-max(due, 0))*boolInt(due >= 1990) + 5*boolInt(due < 1990)
	})[0]
	if !f.Disturbed || !f.Recovered || ms(f.Recovery) < 950 || ms(f.Recovery) > 1000 || f.Errors != 0 {
		t.Errorf("a stall of a second, and %+v", f)
	}
	f = timeline(ptr(newWatch(plans(1))), []int{2000}, 6000, func(due int) int { // one slow answer in 50 is no disturbance
		if due%500 == 0 && due > 2000 {
			return 100
		}
		return 5
	})[0]
	if f.Disturbed && !f.Recovered {
		t.Errorf("a few slow answers, and %+v", f)
	}
	two := timeline(ptr(newWatch(plans(2))), []int{2000, 4000}, 8000, func(due int) int {
		if due >= 2000 && due < 4500 {
			return -1
		}
		return 5
	})
	if two[0].Recovered || ms(two[0].Recovery) != 2000 || !two[1].Recovered || ms(two[1].Recovery) != 495 || two[0].Errors != 200 {
		t.Errorf("broken until after the second fault, and %+v", two)
	}
	f = timeline(ptr(newWatch(plans(1))), []int{2000}, 4000, func(due int) int {
		if due >= 2000 {
			return -1
		}
		return 5
	})[0]
	if f.Recovered || ms(f.Recovery) != 2000 {
		t.Errorf("never recovers, and %+v", f)
	}
}

func ptr[T any](v T) *T { return &v }

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
