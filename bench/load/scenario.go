package load

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Bounds of a scenario file.
const (
	maxScenario     = 1 << 20 // bytes
	maxScenarioLine = 16 << 10
)

// Setting is one thing that a scenario says, under one name in its file and on vipbench's command line.
type Setting struct {
	Name    string
	Value   string // what its value stands for, empty for a switch
	Default string // for people
	Help    string
	set     func(c *Config, value string) error
}

// Settings are all settings, in the order in which people should read of them.
var Settings = []Setting{
	{"name", "NAME", "", "name of the scenario, for the report", func(c *Config, v string) error { c.Name = v; return nil }},
	{"plain", "", "", "the page is any page: look at its status only", func(c *Config, v string) error { return parseSwitch(&c.Plain, v) }},
	{"users", "N", "100, or the most of the phases", "virtual users, each with a cookie jar", whole(func(c *Config) *int { return &c.Users })},
	{"requests", "N", "50, or no limit with --duration or --phase", "requests of each user", whole(func(c *Config) *int { return &c.Requests })},
	{"rate", "R", "", "open load of R requests/s over all users; without it the load is closed", setRate},
	{"phase", "'NAME D R[-R2]'", "", "part of an open load: its name, how long, its rate, and that at its end; or of a closed load, with users=N[-N2] as R; more follow each other", setPhase},
	{"arrival", "KIND", "constant", "constant or poisson: how the requests of an open load are spread over time", setArrival},
	{"think", "DIST", "", "time that users of a closed load wait between answer and request, such as 1s-3s", text(func(c *Config) textSetter { return &c.Think })},
	{"visits", "DIST", "", "requests after which a session ends, such as ~20; without it sessions last as long as the load", text(func(c *Config) textSetter { return &c.Visits })},
	{"abandon", "P%", "0%", "part of those sessions that are left without a logout", setAbandon},
	{"mix", "visit=N,…", "visit=1", "how often each page is asked for: visit, read, login, logout", setMix},
	{"parallel", "DIST", "1", "requests that a user makes at once, such as 90%1,10%4", text(func(c *Config) textSetter { return &c.Parallel })},
	{"payload", "DIST", "", "bytes that each visit stores in the session, such as 500-8k; without it the page is not asked to", text(func(c *Config) textSetter { return &c.Payload })},
	{"at", "'T[+D] ACTION TARGET'", "", "fault to cause at that time, undone after D: run, kill, term, stop, cont, reload, link-down, link-up, delay, no-delay", setFault},
	{"concurrency", "N", "as many as users can make, at most 1000", "requests in flight at most", whole(func(c *Config) *int { return &c.Concurrency })},
	{"timeout", "D", "10s", "time for one request, such as 2s", wait(func(c *Config) *time.Duration { return &c.Timeout })},
	{"duration", "D", "", "start no request later than that", wait(func(c *Config) *time.Duration { return &c.Duration })},
	{"retries", "N", "0", "times a failed request is tried again", setRetries},
	{"retry-wait", "D", "100ms", "pause before each retry", wait(func(c *Config) *time.Duration { return &c.RetryWait })},
	{"keepalive", "", "", "keep each user's connection instead of one for each request", func(c *Config, v string) error { return parseSwitch(&c.KeepAlive, v) }},
	{"allow-errors", "N", "0", "failed requests that still prove the point; -1 for any number", setAllowErrors},
	{"weights", "web1=3,web2=1", "equal", "expected shares of the real servers", setWeights},
	{"check-shares", "", "", "prove that the servers' shares are those of their weights, by a chi-squared test", func(c *Config, v string) error { return parseSwitch(&c.CheckShares, v) }},
	{"user-prefix", "P", "u", "beginning of the users' names", func(c *Config, v string) error { c.UserPrefix = v; return nil }},
	{"seed", "N", "1", "of everything that is drawn at random", setSeed},
	{"secret-file", "FILE", "the environment's VIPBENCH_SECRET, or none", "FILE with the secret that a session server asks for: a word, or Redis's user and password", func(c *Config, v string) error { c.SecretFile = v; return nil }},
	{"ca-file", "FILE", "the system's", "FILE with the certificates, in PEM, by which to know a target over TLS", func(c *Config, v string) error { c.CAFile = v; return nil }},
	{"no-probe", "", "", "do not try the page once before the load", func(c *Config, v string) error { return parseSwitch(&c.NoProbe, v) }},
}

// Set sets what the setting of that name says. A switch is on with an empty value. Errors wrap [ErrConfig].
func (c *Config) Set(name, value string) error {
	if name == "url" {
		c.URL = value
		return nil
	}
	for _, s := range Settings {
		if s.Name != name {
			continue
		}
		if err := s.set(c, value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrConfig, name, err)
		}
		return nil
	}
	return fmt.Errorf("%w: there is no setting %q", ErrConfig, name)
}

// ReadScenario reads a scenario into a configuration that has no defaults yet. The file has one setting a line: the name of an
// option of vipbench without its hyphens, and its value after white space. The setting url is the target. What follows a # at
// the beginning of a word is a comment. Errors wrap [ErrConfig] and name the line.
func ReadScenario(from io.Reader) (Config, error) {
	var c Config
	lines := bufio.NewScanner(io.LimitReader(from, maxScenario+1))
	lines.Buffer(nil, maxScenarioLine)
	read := 0
	for n := 1; lines.Scan(); n++ {
		read += len(lines.Bytes()) + 1
		name, value := splitSetting(lines.Text())
		if name == "" {
			continue
		}
		if err := c.Set(name, value); err != nil {
			return Config{}, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return Config{}, fmt.Errorf("%w: read the scenario: %w", ErrConfig, err)
	}
	if read > maxScenario {
		return Config{}, fmt.Errorf("%w: the scenario has more than %d bytes", ErrConfig, maxScenario)
	}
	return c, nil
}

// splitSetting takes a line apart; the name is empty if the line says nothing.
func splitSetting(line string) (name, value string) {
	if strings.HasPrefix(line, "#") {
		return "", ""
	}
	for _, mark := range []string{" #", "\t#"} {
		line, _, _ = strings.Cut(line, mark)
	}
	line = strings.TrimSpace(line)
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.TrimSpace(line[i:])
	}
	return line, ""
}

// whole sets a whole number of at least 1.
func whole(of func(*Config) *int) func(*Config, string) error {
	return func(c *Config, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("must be a whole number of at least 1, not %q", value)
		}
		*of(c) = n
		return nil
	}
}

// wait sets a duration above 0.
func wait(of func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("must be a duration above 0 such as 1.5s, not %q", value)
		}
		*of(c) = d
		return nil
	}
}

type textSetter interface{ UnmarshalText([]byte) error }

// text sets what reads its own text.
func text(of func(*Config) textSetter) func(*Config, string) error {
	return func(c *Config, value string) error { return of(c).UnmarshalText([]byte(value)) }
}

func parseSwitch(to *bool, value string) error {
	on, err := strconv.ParseBool(cmp.Or(value, "true"))
	if err != nil {
		return fmt.Errorf("must be true or false, not %q", value)
	}
	*to = on
	return nil
}

func parseRate(value string) (float64, error) {
	r, err := strconv.ParseFloat(value, 64)
	if err != nil || !(r >= 0 && r <= MaxRate) {
		return 0, fmt.Errorf("a rate must be 0 to %d requests/s, not %q", int(MaxRate), value)
	}
	return r, nil
}

func setRate(c *Config, value string) (err error) {
	c.Rate, err = parseRate(value)
	return err
}

func parseUsers(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > MaxUsers {
		return 0, fmt.Errorf("users must be 0 to %d, not %q", MaxUsers, value)
	}
	return n, nil
}

// ramp reads the value at the beginning of a phase and, after a hyphen, that at its end.
func ramp[T any](text string, parse func(string) (T, error)) (from, to T, err error) {
	first, last, changes := strings.Cut(text, "-")
	if from, err = parse(first); err != nil || !changes {
		return from, from, err
	}
	to, err = parse(last)
	return from, to, err
}

// setPhase adds a phase such as "ramp 30s 100-2000", "ramp:30s:100-2000" or "ramp 30s users=10-200".
func setPhase(c *Config, value string) error {
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == ':' })
	if len(words) != 3 {
		return fmt.Errorf("must be name, duration and rate, such as %q, not %q", "ramp 30s 100-2000", value)
	}
	d, err := time.ParseDuration(words[1])
	if err != nil {
		return err
	}
	p := PhasePlan{Name: words[0], Duration: Millis(d)}
	if users, found := strings.CutPrefix(words[2], "users="); found {
		p.Users, p.UsersTo, err = ramp(users, parseUsers)
	} else {
		p.Rate, p.RateTo, err = ramp(words[2], parseRate)
	}
	if err != nil {
		return err
	}
	c.Phases = append(c.Phases, p)
	return p.check()
}

func setFault(c *Config, value string) error {
	p, err := ParseFault(value)
	c.Faults = append(c.Faults, p)
	return err
}

func setArrival(c *Config, value string) error {
	c.Arrival = Arrival(value)
	if c.Arrival != Constant && c.Arrival != Poisson {
		return fmt.Errorf("must be %s or %s, not %q", Constant, Poisson, value)
	}
	return nil
}

func setAbandon(c *Config, value string) error {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
	if err != nil || !(percent >= 0 && percent <= 100) {
		return fmt.Errorf("must be 0%% to 100%%, not %q", value)
	}
	c.Abandon = percent / 100
	return nil
}

func setMix(c *Config, value string) (err error) {
	c.Mix, err = ParseMix(value)
	return err
}

func setRetries(c *Config, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > MaxRetries {
		return fmt.Errorf("must be 0 to %d, not %q", MaxRetries, value)
	}
	c.Retries = n
	return nil
}

func setAllowErrors(c *Config, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return fmt.Errorf("must be a whole number, not %q", value)
	}
	c.AllowErrors = n
	return nil
}

func setSeed(c *Config, value string) error {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n == 0 {
		return fmt.Errorf("must be a whole number above 0, not %q", value)
	}
	c.Seed = n
	return nil
}

// setWeights reads name=weight pairs, separated by commas.
func setWeights(c *Config, value string) error {
	if c.Weights == nil {
		c.Weights = map[string]int{}
	}
	for pair := range strings.SplitSeq(value, ",") {
		name, weight, found := strings.Cut(strings.TrimSpace(pair), "=")
		if !found || name == "" {
			return fmt.Errorf("%q is not name=weight", pair)
		}
		if _, twice := c.Weights[name]; twice {
			return fmt.Errorf("%q has two weights", name)
		}
		w, err := strconv.Atoi(weight)
		if err != nil {
			return errors.New("weight " + strconv.Quote(weight) + " of " + name + " is not a whole number")
		}
		c.Weights[name] = w
	}
	return nil
}
