package load

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func answer(count int64) Answer {
	return Answer{Server: "web1", ID: "00000001", Count: count, User: "u1"}
}

// script feeds a verifier from a compact notation and returns the kinds of violation, one for each step: a number is an
// answer with that count, and the other steps are as below.
func script(t *testing.T, v *Verifier, steps ...any) (kinds []Kind) {
	for i, step := range steps {
		var violation *Violation
		switch s := step.(type) {
		case int:
			violation = v.Ack(Millis(i), answer(int64(s)))
		case Answer:
			violation = v.Ack(Millis(i), s)
		case Class:
			v.Fail(Millis(i), s, s != Refused) // a refused connection counts nothing
		default:
			t.Fatalf("step %v", step)
		}
		kind := Kind("")
		if violation != nil {
			kind = violation.Kind
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

func TestVerifier(t *testing.T) {
	other := func(count int64) Answer { return Answer{Server: "web1", ID: "00000002", Count: count, User: "u1"} }
	foreign := func(count int64) Answer { return Answer{Server: "web1", ID: "00000009", Count: count, User: "u9"} }
	tests := []struct {
		name  string
		steps []any
		want  string // one character a step: . well, l lost, o over, g logged out, f foreign
	}{
		{"counts", []any{1, 2, 3}, "..."},
		{"begins too high", []any{2, 3}, "o."},
		{"lost", []any{1, 2, 2, 3}, "..l."},
		{"lost several", []any{1, 2, 3, 4, 2, 3}, "....l."},
		{"counted twice", []any{1, 3, 4}, ".o."},
		{"stale answer", []any{1, 2, 2, 4}, "..lo"},
		{"emptied", []any{1, 2, 1, 2}, "..g."},
		{"first answer again", []any{1, 1, 2}, ".g."},
		{"another session", []any{1, 2, other(1), other(2)}, "..g."},
		{"another session with the right count", []any{1, 2, other(3), other(4)}, "..g."},
		{"foreign once, visit counted there", []any{1, 2, foreign(7), 3, 4}, "..f.."},
		{"foreign once, visit counted here", []any{1, 2, foreign(7), 4, 5}, "..f.."},
		{"foreign once, visit counted twice", []any{1, 2, foreign(7), 5}, "..fo"},
		{"foreign for good", []any{1, foreign(7), foreign(8)}, ".ff"},
		{"foreign from the start", []any{foreign(7), foreign(8)}, "ff"},
		{"error, not counted", []any{1, Reset, 2, 3}, "...."},
		{"error, counted", []any{1, Reset, 3, 4}, "...."},
		{"error, counted twice", []any{1, Reset, 4}, "..o"},
		{"error, then lost", []any{1, 2, Reset, 2}, "...l"},
		{"refused is never counted", []any{1, Refused, 3}, "..o"},
		{"two errors, one counted", []any{1, Reset, Closed, 3, 4}, "....."},
		{"late landing", []any{1, Reset, 2, 4, 5}, "....."},
		{"late landing only once", []any{1, Reset, 2, 4, 6}, "....o"},
		{"nothing is late from an earlier session", []any{1, Reset, other(1), other(3)}, "..go"},
		{"errors before the first answer", []any{Reset, Reset, 3, 4}, "...."},
		{"an unacknowledged session may change", []any{Reset, other(1), other(2)}, "..."},
	}
	letters := map[Kind]string{"": ".", Lost: "l", Over: "o", Logout: "g", Foreign: "f"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, k := range script(t, NewVerifier("u1"), tt.steps...) {
				got += letters[k]
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestVerifierAmountsAndHistory(t *testing.T) {
	v := NewVerifier("u1")
	for i := int64(1); i <= 60; i++ {
		if violation := v.Ack(Millis(i), answer(i)); violation != nil {
			t.Fatal(violation)
		}
	}
	v.Fail(61, Reset, true)
	violation := v.Ack(62, answer(57))
	if violation == nil || violation.Kind != Lost || violation.Amount != 4 || violation.User != "u1" || violation.At != 62 {
		t.Fatalf("%+v", violation)
	}
	if want := "count 57 after 60, expected 61 to 62"; violation.Detail != want {
		t.Errorf("detail %q, want %q", violation.Detail, want)
	}
	h := violation.History
	if len(h) != HistoryLength || h[0].At != 13 || h[48].Class != Reset || h[49].Count != 57 {
		t.Errorf("history %+v", h)
	}
	if violation := v.Ack(63, answer(1)); violation == nil || violation.Kind != Logout || violation.Amount != 57 {
		t.Errorf("%+v", violation)
	}
}

// correctServer keeps a session as it should be kept. Requests whose answers get lost may be counted at once, later, or
// never.
type correctServer struct {
	count   int64
	waiting int64 // requests that may still be counted
	visible int64 // unknown requests counted by now
}

// A server that counts every acknowledged request once is never accused, whatever becomes of the others.
func TestVerifierAccusesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := NewVerifier("u1")
		var s correctServer
		var unknown, shown int64
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0: // fails, never sent
				v.Fail(0, Refused, false)
			case 1: // fails, counted at once
				s.count++
				s.visible++
				unknown++
				v.Fail(0, Closed, true)
			case 2: // fails, perhaps counted later
				s.waiting++
				unknown++
				v.Fail(0, Timeout, true)
			case 3: // a waiting request is counted
				if s.waiting > 0 {
					s.waiting--
					s.count++
					s.visible++
				}
			case 4: // is acknowledged
				s.count++
				shown = s.visible
				if violation := v.Ack(0, answer(s.count)); violation != nil {
					t.Fatalf("accused: %+v", violation)
				}
			}
		}
		landed, late := v.Landed()
		if landed != shown || late > landed || landed > unknown {
			t.Fatalf("landed %d, late %d, but %d of %d unknown requests showed", landed, late, shown, unknown)
		}
	})
}

// Any single fault in an otherwise clean run is found, named rightly, and reported once.
func TestVerifierFindsEveryFault(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := NewVerifier("u1")
		n := rapid.Int64Range(2, 30).Draw(t, "clean visits")
		for c := int64(1); c <= n; c++ {
			if violation := v.Ack(0, answer(c)); violation != nil {
				t.Fatalf("clean visit accused: %+v", violation)
			}
		}
		bad, want := answer(n+1), Kind("")
		switch rapid.IntRange(0, 4).Draw(t, "fault") {
		case 0:
			bad.Count, want = rapid.Int64Range(2, n).Draw(t, "count"), Lost
		case 1:
			bad.Count, want = rapid.Int64Range(n+2, n+9).Draw(t, "count"), Over
		case 2:
			bad.Count, want = 1, Logout
		case 3:
			bad.ID, bad.Count, want = "0000000f", rapid.Int64Range(1, n+3).Draw(t, "count"), Logout
		case 4:
			bad.User, bad.Count, want = "u2", rapid.Int64Range(1, n+3).Draw(t, "count"), Foreign
		}
		violation := v.Ack(0, bad)
		if violation == nil || violation.Kind != want {
			t.Fatalf("answer %+v after count %d: %+v, want %s", bad, n, violation, want)
		}
		next := bad
		if want == Foreign {
			next = answer(n)
		}
		for range 5 {
			next.Count++
			if violation := v.Ack(0, next); violation != nil {
				t.Fatalf("accused again: %+v", violation)
			}
		}
	})
}

// world is one possible truth about a session: its count, and how many requests may still be counted.
type world struct{ count, waiting int64 }

// The verifier agrees with a search over all worlds that the outcomes so far allow.
func TestVerifierAgreesWithAllWorlds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := NewVerifier("u1")
		worlds := map[world]bool{{}: true}
		last := int64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			next := map[world]bool{}
			if rapid.Bool().Draw(t, "fails") {
				v.Fail(0, Timeout, true)
				for w := range worlds {
					next[world{w.count, w.waiting + 1}] = true
				}
				worlds = next
				continue
			}
			count := max(1, last+rapid.Int64Range(-1, 4).Draw(t, "growth"))
			for w := range worlds {
				for landed := range w.waiting + 1 {
					if w.count+landed+1 == count {
						next[world{count, w.waiting - landed}] = true
					}
				}
			}
			violation := v.Ack(0, answer(count))
			if (violation == nil) != (len(next) > 0) {
				t.Fatalf("count %d after %d: verifier says %+v, worlds %v became %v", count, last, violation, worlds, next)
			}
			if violation != nil {
				return
			}
			worlds, last = next, count
		}
	})
}

func ExampleVerifier() {
	v := NewVerifier("u1")
	v.Ack(0, Answer{Server: "web1", ID: "5d41402a", Count: 1, User: "u1"})
	violation := v.Ack(0, Answer{Server: "web2", ID: "5d41402a", Count: 3, User: "u1"})
	fmt.Println(violation.Kind, violation.Detail)
	// Output: over count 3 after 1, expected 2
}
