package load

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestReadScenario(t *testing.T) {
	c, err := ReadScenario(strings.NewReader(`# the morning of a sale
name      morning sale
url       http://172.16.1.11/count#part
users     5000      # in the town
phase     warm 10s 100
phase     ramp:30s:100-2000
arrival   poisson
visits    ~20
payload   90%500,10%1k-8k
mix       visit=60,read=40
abandon   30%
keepalive
weights   web1=3,web2=1
`))
	if err != nil {
		t.Fatal(err)
	}
	c = c.Defaults()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if c.Name != "morning sale" || c.URL != "http://172.16.1.11/count#part" || c.Users != 5000 || c.Arrival != Poisson || !c.KeepAlive ||
		c.Abandon != 0.3 || c.Mix != (Mix{Visit: 60, Read: 40}) || c.Weights["web1"] != 3 || c.Visits.String() != "~20" {
		t.Errorf("%+v", c)
	}
	ramp := PhasePlan{Name: "ramp", Duration: Millis(30 * time.Second), Rate: 100, RateTo: 2000}
	if len(c.Phases) != 2 || c.Phases[1] != ramp {
		t.Errorf("phases %+v", c.Phases)
	}
	if n := c.plannedRequests(); n != 1000+31500 {
		t.Errorf("%d requests are planned", n)
	}
}

func TestScenarioErrors(t *testing.T) {
	for text, want := range map[string]string{
		"\nuser 5":                  `line 2: invalid load configuration: there is no setting "user"`,
		"users 0":                   "line 1: invalid load configuration: users: must be",
		"phase warm 10s":            "name, duration and rate",
		"phase warm -1s 5":          "must last longer",
		"phase warm 1s 5-x":         "a rate must be",
		"mix visit=1,visit=2":       "is not visit",
		"mix visit=0":               "all weights",
		"payload 5-1":               "no range",
		"payload 50%1,40%2":         "not 100%",
		"payload 1,2":               "no percentage",
		"think 2h":                  "not a duration",
		"keepalive maybe":           "true or false",
		"phase a 1s users=2-x":      "users must be",
		"phase a 1s users=-1":       "users must be",
		strings.Repeat("x", 20<<10): "too long",
	} {
		if _, err := ReadScenario(strings.NewReader(text)); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}

// Whatever a file says, it is refused or makes a configuration that can be checked and drawn from.
func FuzzScenario(f *testing.F) {
	f.Add("url http://127.0.0.1/\nphase a 1s 0-5\nthink 90%1s,10%~2s\nmix visit=1,read=2\npayload ~5k\nparallel 1-4")
	f.Add("url http://127.0.0.1/\nphase a 1s users=0-50\nphase b 1m users=50\nthink 1s")
	f.Add("visits 5\nabandon 100%\nweights a=1\nretries 3\nseed 7 # x")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ReadScenario(strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Fatal(err)
			}
			return
		}
		c = c.Defaults()
		if c.Check() != nil {
			return
		}
		from := rand.New(rand.NewPCG(1, 2))
		if n := c.Payload.Draw(from); n < 0 || n > MaxPayload {
			t.Fatalf("payload of %d bytes", n)
		}
		if n := c.Parallel.Draw(from); n < 0 || n > maxParallel {
			t.Fatalf("%d requests at once", n)
		}
		if c.plannedRequests() < 0 {
			t.Fatalf("%d requests planned", c.plannedRequests())
		}
	})
}

func TestDistributions(t *testing.T) {
	from := rand.New(rand.NewPCG(1, 2))
	for text, want := range map[string]struct{ mean, low, high float64 }{
		"2000":            {2000, 2000, 2000},
		"10-20":           {15, 10, 20},
		"~1000":           {1000, 0, 20000},
		"90%100,10%1k-3k": {90 + 204.8, 100, 3072},
	} {
		n, err := ParseNumbers(text)
		if err != nil {
			t.Fatal(err)
		}
		const draws = 200_000
		sum := 0.0
		for range draws {
			x := float64(n.Draw(from))
			if x < want.low || x > want.high {
				t.Fatalf("%s drew %g", text, x)
			}
			sum += x
		}
		if mean := sum / draws; math.Abs(mean-want.mean) > 0.02*want.mean {
			t.Errorf("%s has the mean %g, want %g", text, mean, want.mean)
		}
		if again, err := ParseNumbers(n.String()); err != nil || again.String() != text {
			t.Errorf("%s is read back as %s (%v)", text, again, err)
		}
	}
}

// At any time as many requests have fallen due as the phases' rates have added up to.
func TestScheduleFollowsRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := schedule{users: 1}
		total := 0.0
		for range rapid.IntRange(1, 4).Draw(t, "phases") {
			p := PhasePlan{
				Duration: Millis(rapid.IntRange(1, 100_000).Draw(t, "ms")) * Millis(time.Millisecond),
				Rate:     rapid.Float64Range(0, 1000).Draw(t, "rate"), RateTo: rapid.Float64Range(0, 1000).Draw(t, "rate to"),
			}
			s.phases = append(s.phases, p)
			total += p.requests()
		}
		n := rapid.Float64Range(0, 1).Draw(t, "part") * total
		at, ok := s.after(n)
		if !ok {
			if n < total*0.999 {
				t.Fatalf("%g of %g requests do not fall due", n, total)
			}
			return
		}
		due, left := 0.0, at
		for _, p := range s.phases {
			in := min(left, time.Duration(p.Duration))
			part := in.Seconds() / time.Duration(p.Duration).Seconds()
			due += in.Seconds() * (p.Rate + (p.RateTo-p.Rate)*part/2)
			left -= in
		}
		if math.Abs(due-n) > 1e-3*(1+n) {
			t.Fatalf("%g requests are due at %v, want %g", due, at, n)
		}
	})
}

// At any time as many users are there as the phases say, and whoever is not is told when it will be.
func TestScheduleAdmitsUsers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 20
		var s schedule
		users := rapid.IntRange(0, most)
		for range rapid.IntRange(1, 4).Draw(t, "phases") {
			s.ramps = append(s.ramps, PhasePlan{
				Duration: Millis(rapid.IntRange(1, 100_000).Draw(t, "ms")) * Millis(time.Millisecond),
				Users:    users.Draw(t, "users"), UsersTo: users.Draw(t, "users to"),
			})
		}
		in := rapid.IntRange(0, len(s.ramps)-1).Draw(t, "in")
		part := rapid.Float64Range(0.01, 0.99).Draw(t, "part")
		var at time.Duration
		for _, p := range s.ramps[:in] {
			at += time.Duration(p.Duration)
		}
		p := s.ramps[in]
		at += time.Duration(part * float64(p.Duration))
		there := 0
		for index := range most {
			admitted, ok := s.admit(index, at)
			switch {
			case ok && admitted == at:
				there++
			case ok && admitted < at:
				t.Fatalf("user %d is admitted at %v, before %v", index, admitted, at)
			case ok:
				if again, ok := s.admit(index, admitted); !ok || again != admitted {
					t.Fatalf("user %d is admitted at %v, but then at %v, %t", index, admitted, again, ok)
				}
			}
		}
		want := float64(p.Users) + float64(p.UsersTo-p.Users)*part
		if float64(there) < want-1e-3 || float64(there) > want+1+1e-3 {
			t.Fatalf("%d users are there, want %g", there, want)
		}
	})
}

func TestPhasesOfUsers(t *testing.T) {
	for text, want := range map[string]string{
		"phase a 1s users=5-50\nphase b 1s users=50":           "",
		"phase a 1s users=5\nthink 1s\nusers 5":                "",
		"phase a 1s users=5\nphase b 1s 0\nphase c 1s users=2": "",
		"phase a 1s users=5\nphase b 1s 10":                    "either users or rates",
		"phase a 1s users=5\nusers 4":                          "more than all 4 users",
		"phase a 1s users=5\nrate 4":                           "leave out the rate",
		"phase a 1s users=5\narrival poisson":                  "poisson arrivals need a rate",
	} {
		c, err := ReadScenario(strings.NewReader("url http://127.0.0.1/\n" + text))
		if err != nil {
			t.Fatal(err)
		}
		if c = c.Defaults(); want == "" && (c.Users != 50 && c.Users != 5) {
			t.Errorf("%q has %d users", text, c.Users)
		}
		if err := c.Check(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Poisson arrivals have the rate asked for, and gaps whose deviation is their mean.
func TestPoissonArrivals(t *testing.T) {
	s := newSchedule(time.Time{}, Config{Users: 1, Rate: 1000, Arrival: Poisson})
	from := rand.New(rand.NewPCG(3, 4))
	var c clock
	const draws = 100_000
	var sum, squares float64
	last := time.Time{}
	for range draws {
		due, _ := s.next(0, &c, from)
		gap := due.Sub(last).Seconds()
		last, sum, squares = due, sum+gap, squares+gap*gap
	}
	mean := sum / draws
	deviation := math.Sqrt(squares/draws - mean*mean)
	if math.Abs(mean-1e-3) > 2e-5 || math.Abs(deviation-1e-3) > 3e-5 {
		t.Errorf("gaps of %g s on average deviate by %g", mean, deviation)
	}
}
