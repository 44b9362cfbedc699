package load_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/load"
)

// busy is a scenario in which users do everything that they can.
func busy(t testing.TB) load.Config {
	t.Helper()
	c := load.Config{Users: 20, Requests: 150, Abandon: 0.3}
	for name, value := range map[string]string{
		"mix": "visit=50,read=30,login=15,logout=5", "visits": "1-30", "parallel": "70%1,30%2-5", "payload": "50%0,30%1-3k,20%~200",
	} {
		if err := c.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// Users who do everything at once find no fault where there is none, and each planted one.
func TestRunChecksEverything(t *testing.T) {
	// once plants a fault in the first request, late enough for sessions to be under way, that the fault can befall.
	once := func() func(int64) bool {
		var struck atomic.Bool
		return func(n int64) bool { return n > 500 && struck.CompareAndSwap(false, true) }
	}
	always := func(int64) bool { return true }
	tests := []struct {
		name  string
		plant func(*site)
		want  load.Kind // empty for none
	}{
		{"no fault", func(*site) {}, ""},
		{"a payload is lost", func(s *site) {
			strike := once()
			s.session = func(n int64, v *siteSession) error {
				if v.read.Payload != "" && strike(n) {
					v.read.Payload = v.read.Payload[1:]
				}
				return nil
			}
		}, load.Corrupt},
		{"an old payload is kept", func(s *site) { s.loses = func(n int64) bool { return n%100 == 0 } }, load.Corrupt},
		{"another user's payload", func(s *site) {
			strike := once()
			s.session = func(n int64, v *siteSession) error {
				if v.read.Payload != "" && strike(n) {
					v.read.Payload = load.Payload("somebody", v.read.Count, len(v.read.Payload))
				}
				return nil
			}
		}, load.Corrupt},
		{"no lock", func(s *site) {
			s.unlocked = true
			s.session = func(int64, *siteSession) error { time.Sleep(time.Millisecond); return nil } // the planted race
		}, load.LostUpdate},
		{"a session is not destroyed", func(s *site) { s.undead = once() }, load.Resurrected},
		{"no session is destroyed", func(s *site) { s.undead = always }, load.Resurrected},
		{"a login keeps the id", func(s *site) { s.sticky = once() }, load.Fixated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, "web1", "web2")
			tt.plant(s)
			r := run(t, s, busy(t))
			if r.ErrorsTotal != 0 || r.Ended != load.Complete || r.Sessions < 2*20 {
				t.Errorf("%d errors %v, ended %s, %d sessions", r.ErrorsTotal, r.Errors, r.Ended, r.Sessions)
			}
			if tt.want == "" {
				if !r.Proven || r.ViolationsTotal != 0 {
					t.Fatalf("a fault is found where there is none: %+v", r.Violations[0])
				}
				return
			}
			if r.Proven || r.ViolationsByKind[tt.want] == 0 {
				t.Fatalf("not found, but %v", r.ViolationsByKind)
			}
			for _, v := range r.Violations {
				if v.Kind == tt.want && len(v.History) > 0 && v.Detail != "" {
					return
				}
			}
			t.Errorf("no violation tells its history: %+v", r.Violations)
		})
	}
}

// Requests whose answers get lost, whatever they asked for, are no violation, whether they were carried out or not.
func TestRunForgivesLostAnswers(t *testing.T) {
	s := newSite(t, "web1", "web2")
	s.before = func(n int64, w http.ResponseWriter, _ *http.Request) bool {
		if n%20 == 0 {
			reset(w)
		}
		return n%20 == 0
	}
	s.after = func(n int64, w http.ResponseWriter, _ *http.Request) bool {
		if n%20 == 10 {
			reset(w)
		}
		return n%20 == 10
	}
	c := busy(t)
	c.AllowErrors = -1
	r := run(t, s, c)
	if !r.Proven || r.ErrorsByClass[load.Reset] < 100 || r.Landed == 0 {
		t.Fatalf("%s; %v, %d landed; %+v", r.Reason, r.ErrorsByClass, r.Landed, r.Violations)
	}
}

// The phases of an open load have the rates that were asked for, and what happened in them.
func TestRunFollowsPhases(t *testing.T) {
	c := load.Config{Users: 50, Arrival: load.Poisson, Phases: []load.PhasePlan{
		{Name: "low", Duration: load.Millis(time.Second), Rate: 200, RateTo: 200},
		{Name: "ramp", Duration: load.Millis(time.Second), Rate: 200, RateTo: 800},
		{Name: "high", Duration: load.Millis(time.Second), Rate: 800, RateTo: 800},
	}}
	r := run(t, newSite(t), c)
	if !r.Proven || r.Ended != load.Complete || r.Planned != 1500 || len(r.Phases) != 3 {
		t.Fatalf("%s, ended %s, %d planned, %d phases", r.Reason, r.Ended, r.Planned, len(r.Phases))
	}
	for i, want := range []float64{200, 500, 800} {
		p := r.Phases[i]
		if n := float64(p.Acknowledged); n < want*0.7 || n > want*1.3 || p.Latency.Count != p.Acknowledged {
			t.Errorf("phase %s has %g requests, want about %g: %+v", p.Name, n, want, p.Latency)
		}
	}
}

// The users of a closed load come and go as its phases say, and a session goes on when its user comes back.
func TestRunFollowsUsers(t *testing.T) {
	phase := func(name string, from, to int) load.PhasePlan {
		return load.PhasePlan{Name: name, Duration: load.Millis(500 * time.Millisecond), Users: from, UsersTo: to}
	}
	c := load.Config{Phases: []load.PhasePlan{phase("low", 10, 10), phase("ramp", 10, 50), phase("none", 0, 0), phase("again", 20, 20)}}
	if err := c.Set("think", "20ms"); err != nil {
		t.Fatal(err)
	}
	r := run(t, newSite(t), c)
	if !r.Proven || r.Ended != load.Complete || r.Config.Users != 50 || len(r.Phases) != 4 {
		t.Fatalf("%s, ended %s, %d users, %d phases", r.Reason, r.Ended, r.Config.Users, len(r.Phases))
	}
	for i, users := range []float64{10, 30, 0, 20} {
		p := r.Phases[i]
		most := users * 500 / 20
		if n := float64(p.Acknowledged); n < users || n > most*1.1+users {
			t.Errorf("phase %s has %g requests, want %g to %g", p.Name, n, users, most)
		}
	}
}

// Users who think make fewer requests, and their first ones are spread.
func TestRunThinks(t *testing.T) {
	c := load.Config{Users: 40, Duration: time.Second}
	if err := c.Set("think", "90ms-110ms"); err != nil {
		t.Fatal(err)
	}
	r := run(t, newSite(t), c)
	if !r.Proven || r.Ended != load.OutOfTime || r.Acknowledged < 200 || r.Acknowledged > 440 {
		t.Errorf("%s, %s, %d requests of 40 users in a second, who think for 100 ms", r.Reason, r.Ended, r.Acknowledged)
	}
}
