package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// ErrConfig is wrapped by every error about a [Config].
var ErrConfig = errors.New("invalid load configuration")

// Bounds of a [Config].
const (
	MaxUsers    = 1 << 20
	MaxRequests = 1 << 30 // of one user, and of all together
	MaxRate     = 1e6     // requests a second
	MaxRetries  = 100
)

// DefaultConcurrency is how many requests are in flight at most, unless the Config says so.
const DefaultConcurrency = 1000

// Config is what load to make. [Config.Defaults] fills what is zero.
type Config struct {
	// Name of the scenario, for people.
	Name string `json:"name,omitempty"`
	// URL of the counter page on the VIP, such as http://172.16.1.11/count, or of another kind of [Target]. Its host is resolved
	// once, at the start, and only the first address is used.
	URL string `json:"url"`
	// Plain has the page at URL be any page, of which only the status is looked at.
	Plain bool `json:"plain,omitempty"`
	// Users is the number of virtual users, each with a cookie jar of its own. Default 100,
	// or the most of Phases that have users.
	Users int `json:"users"`
	// Requests is how many turns each user has, whatever becomes of them. A turn is one request, or as many at once as
	// Parallel says. Default 50, or as many as fit where Duration or Phases bound the load.
	Requests int `json:"requests"`
	// Rate makes an open load of that many requests a second over all users, in a fixed order: the intended start of a
	// request does not depend on earlier answers. 0 makes a closed load: a user's next request follows its previous answer.
	Rate float64 `json:"rate"`
	// Phases make an open load whose rate changes, instead of Rate, or a closed load whose number of users does.
	Phases []PhasePlan `json:"phases,omitempty"`
	// Arrival is how the requests of an open load are spread over time. Default [Constant].
	Arrival Arrival `json:"arrival,omitempty"`
	// Think is how long a user of a closed load waits between an answer and the next request. The users' first requests
	// are spread over such a time.
	Think Durations `json:"think,omitzero"`
	// Visits is how many turns a session lasts; then its user logs out or abandons it, and begins another one. Default: as
	// long as the load.
	Visits Numbers `json:"visits,omitzero"`
	// Abandon is the part of those sessions, 0 to 1, that their users just leave instead of logging out.
	Abandon float64 `json:"abandon,omitempty"`
	// Mix is how often each page is asked for. Default: visits only.
	Mix Mix `json:"mix,omitzero"`
	// Parallel is how many requests a user makes at once in a turn. Those of more than one are visits and reads. Default 1.
	Parallel Numbers `json:"parallel,omitzero"`
	// Payload is how many bytes each visit stores in the session beside count and name. Default: the page is not asked to.
	Payload Numbers `json:"payload,omitzero"`
	// Faults are what to break, or to mend, during the load.
	Faults []FaultPlan `json:"faults,omitempty"`
	// Seed of all that is drawn at random. Default 1.
	Seed uint64 `json:"seed,omitempty"`
	// Concurrency is how many requests are in flight at most. In a closed load, fewer places than users mean that
	// users take turns. Default: as many as Users can make, at most [DefaultConcurrency].
	Concurrency int `json:"concurrency"`
	// Timeout is how long one request may take, from connecting to the last byte of the answer. Default 10 s.
	Timeout time.Duration `json:"-"`
	// Duration, if not 0, ends the load early: no request starts later than that.
	Duration time.Duration `json:"-"`
	// Retries is how often a failed request is tried again. Each try counts as an attempt; latency runs from the
	// intended start of the first. Default 0.
	Retries int `json:"retries"`
	// RetryWait is the pause before each retry. Default 100 ms.
	RetryWait time.Duration `json:"-"`
	// KeepAlive keeps each user's connection open between requests. The default is a connection for each request,
	// because a layer-4 director balances connections.
	KeepAlive bool `json:"keepalive"`
	// UserPrefix begins each user's name; a number from 0 follows. Harnesses that load one VIP together need
	// different prefixes to notice sessions mixed up between them. Default "u".
	UserPrefix string `json:"user_prefix"`
	// Weights are the expected shares of the real servers by name. Empty means that all that answer are equal.
	Weights map[string]int `json:"weights,omitempty"`
	// CheckShares has a load prove its point only if the servers' shares are those of their weights, see [ShareTest].
	CheckShares bool `json:"check_shares,omitempty"`
	// AllowErrors is how many failed requests a load may have and still prove its point; a negative number allows any.
	// Violations are never allowed.
	AllowErrors int64 `json:"allow_errors"`
	// SecretFile has the secret that a session server asks for: sessiond's of the namespace; or Redis's password, or its user and
	// password with a space between. It is read when the load begins.
	SecretFile string `json:"secret_file,omitempty"`
	// Secret is the secret itself, for those who have it from elsewhere; SecretFile comes first. No result shows it.
	Secret string `json:"-"`
	// CAFile has certificates of the authorities to believe, in PEM, for a target over TLS. Default: the system's.
	CAFile string `json:"ca_file,omitempty"`
	// NoProbe leaves out the request at the start which makes sure that the URL is a counter page. The probe is not
	// part of the result, yet the director counts its connection.
	NoProbe bool `json:"no_probe,omitempty"`
}

// Defaults returns the configuration with defaults for what is zero.
func (c Config) Defaults() Config {
	most := 0
	for _, p := range c.Phases {
		most = max(most, p.Users, p.UsersTo)
	}
	set(&c.Users, most)
	set(&c.Users, 100)
	if c.Duration > 0 || len(c.Phases) > 0 {
		set(&c.Requests, MaxRequests/max(c.Users, 1))
	}
	set(&c.Requests, 50)
	set(&c.Arrival, Constant)
	set(&c.Seed, 1)
	set(&c.Concurrency, min(c.Users*max(1, int(c.Parallel.most())), DefaultConcurrency))
	set(&c.Timeout, 10*time.Second)
	set(&c.RetryWait, 100*time.Millisecond)
	set(&c.UserPrefix, "u")
	return c
}

// configJSON is a Config as JSON has it: durations in milliseconds.
type configJSON struct {
	*plainConfig
	Timeout   Millis `json:"timeout_ms"`
	Duration  Millis `json:"duration_ms,omitempty"`
	RetryWait Millis `json:"retry_wait_ms"`
}

type plainConfig Config

// MarshalJSON writes durations in milliseconds.
func (c Config) MarshalJSON() ([]byte, error) {
	p := plainConfig(c)
	return json.Marshal(configJSON{&p, Millis(c.Timeout), Millis(c.Duration), Millis(c.RetryWait)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Config) UnmarshalJSON(b []byte) error {
	var p plainConfig
	j := configJSON{plainConfig: &p}
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*c = Config(p)
	c.Timeout, c.Duration, c.RetryWait = time.Duration(j.Timeout), time.Duration(j.Duration), time.Duration(j.RetryWait)
	return nil
}

func set[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Check reports what is wrong with a configuration that has its defaults. Errors wrap [ErrConfig].
func (c Config) Check() error {
	if err := c.checkURL(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	switch {
	case c.Users < 1 || c.Users > MaxUsers:
		return bad("users must be 1 to %d, not %d", MaxUsers, c.Users)
	case c.Requests < 1 || c.Requests > MaxRequests/c.Users:
		return bad("requests must be at least 1, and at most %d over all users", MaxRequests)
	case math.IsNaN(c.Rate) || c.Rate < 0 || c.Rate > MaxRate || c.Rate > 0 && c.Rate < 1e-3:
		return bad("rate must be 0 for a closed load, or 0.001 to %d requests a second, not %g", int(MaxRate), c.Rate)
	case c.Concurrency < 1:
		return bad("concurrency must be at least 1, not %d", c.Concurrency)
	case c.Timeout < time.Millisecond || c.Timeout > time.Hour:
		return bad("timeout must be 1ms to 1h, not %v", c.Timeout)
	case c.Duration < 0:
		return bad("duration must not be negative")
	case c.Retries < 0 || c.Retries > MaxRetries:
		return bad("retries must be 0 to %d, not %d", MaxRetries, c.Retries)
	case c.RetryWait < 0:
		return bad("retry wait must not be negative")
	case !plainName(c.UserPrefix) || len(c.UserPrefix) > 32:
		return bad("user prefix must be 1 to 32 of a-z, A-Z, 0-9, _ and -, not %q", c.UserPrefix)
	}
	if err := c.checkScenario(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c.checkWeights()
}

// Bounds of what a scenario asks for.
const (
	maxPhases   = 1000
	maxParallel = 256 // requests of one user at once
)

// checkScenario checks how users behave.
func (c Config) checkScenario() error {
	open := c.Rate > 0 || len(c.Phases) > 0 && !c.ramps()
	switch {
	case c.Arrival != Constant && c.Arrival != Poisson:
		return fmt.Errorf("arrival must be %s or %s, not %q", Constant, Poisson, c.Arrival)
	case c.Rate > 0 && len(c.Phases) > 0:
		return errors.New("phases have rates of their own: leave out the rate")
	case len(c.Phases) > maxPhases:
		return fmt.Errorf("at most %d phases are possible", maxPhases)
	case c.ramps() && slices.ContainsFunc(c.Phases, PhasePlan.ofRates):
		return errors.New("all phases have either users or rates")
	case !c.Think.IsZero() && open:
		return errors.New("only the users of a closed load think: leave out the rate and the phases, or the time to think")
	case c.Arrival == Poisson && !open:
		return errors.New("poisson arrivals need a rate or phases")
	case !c.Visits.IsZero() && c.Visits.most() < 1:
		return errors.New("a session lasts for one visit at least")
	case !(c.Abandon >= 0 && c.Abandon <= 1):
		return fmt.Errorf("abandon must be 0 to 1, not %g", c.Abandon)
	case c.Payload.most() > MaxPayload:
		return fmt.Errorf("a payload has at most %d bytes", MaxPayload)
	case c.Parallel.most() > maxParallel:
		return fmt.Errorf("a user makes at most %d requests at once", maxParallel)
	case !c.Parallel.IsZero() && c.Mix.sum() > 0 && c.Mix.Visit+c.Mix.Read == 0:
		return errors.New("requests at once need visits or reads in the mix")
	case min(c.Mix.Visit, c.Mix.Read, c.Mix.Login, c.Mix.Logout) < 0:
		return errors.New("the mix has a negative weight")
	}
	if len(c.Faults) > maxFaults {
		return fmt.Errorf("at most %d faults are possible", maxFaults)
	}
	for _, p := range c.Faults {
		if err := p.check(); err != nil {
			return err
		}
	}
	for _, p := range c.Phases {
		if err := p.check(); err != nil {
			return err
		}
		if max(p.Users, p.UsersTo) > c.Users {
			return fmt.Errorf("phase %s has more than all %d users", p.Name, c.Users)
		}
	}
	return nil
}

// ramps tells whether the load is a closed one whose users come and go.
func (c Config) ramps() bool { return slices.ContainsFunc(c.Phases, PhasePlan.ofUsers) }

func (c Config) checkWeights() error {
	sum := 0
	for name, w := range c.Weights {
		if name == "" || w < 0 || w > 65535 {
			return fmt.Errorf("%w: weight of %q must be 0 to 65535, not %d", ErrConfig, name, w)
		}
		sum += w
	}
	if len(c.Weights) > 0 && sum == 0 {
		return fmt.Errorf("%w: all weights are 0", ErrConfig)
	}
	return nil
}

// plainName tells whether a name needs no quoting in a URL, a cookie or a terminal.
func plainName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}
