package convert

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// LineError is an error about one line of rules.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// Read reads rules as "ipvsadm -S" prints them and "ipvsadm -R" takes them, and returns what they say as a configuration.
// ldirectord checks a server by what its service implies; a table knows nothing of checks, so the configuration has what
// a file has that says nothing about them. The error is a [*LineError], or one of reading.
func Read(r io.Reader, resolver config.Resolver) (config.Spec, error) {
	t := table{spec: config.Spec{CheckInterval: config.DefaultCheckInterval, CleanStop: true}, index: map[config.VirtualID]int{}}
	for in := ipvsadm.NewInput(r); ; {
		args, err := in.Next()
		if errors.Is(err, io.EOF) {
			return t.spec, nil
		}
		if err != nil {
			return config.Spec{}, err
		}
		command, err := ipvsadm.Parse("ipvsadm", args, resolver)
		if err == nil {
			err = t.add(command)
		}
		if err != nil {
			return config.Spec{}, &LineError{in.Line(), explain(err)}
		}
	}
}

// explain leaves of ipvsadm's way of ending what it says.
func explain(err error) error {
	var exit *ipvsadm.Exit
	if !errors.As(err, &exit) {
		return err
	}
	return errors.New(cmp.Or(firstLine(exit.Stderr), firstLine(exit.Stdout), "no rule"))
}

func firstLine(s string) string {
	for i := range len(s) {
		if s[i] == '\n' {
			return s[:i]
		}
	}
	return s
}

// table is a configuration that grows by rules.
type table struct {
	spec  config.Spec
	index map[config.VirtualID]int // in spec.Virtuals
}

func (t *table) add(c ipvsadm.Command) error {
	id := config.VirtualID{Protocol: config.FWM, Addr: c.Service.Addr, FWMark: c.Service.FWMark, IPv6: c.Service.IPv6}
	switch c.Service.Protocol {
	case ipvsadm.TCP, ipvsadm.UDP:
		id.Protocol = config.Protocol(c.Service.Protocol)
	case ipvsadm.SCTP:
		return errors.New("an ldirectord.cf has no SCTP services: expected -t, -u or -f")
	}
	i, known := t.index[id]
	switch {
	case c.Verb == ipvsadm.AddService && known:
		return errors.New("service already exists")
	case c.Verb == ipvsadm.AddService:
		v, err := virtualOf(id, c.Service)
		t.index[id] = len(t.spec.Virtuals)
		t.spec.Virtuals = append(t.spec.Virtuals, v)
		return err
	case c.Verb == ipvsadm.AddServer && !known:
		return errors.New("service not defined: expected -A before")
	case c.Verb == ipvsadm.AddServer:
		return addServer(&t.spec.Virtuals[i], c.Server)
	}
	return fmt.Errorf("--%s: expected -A or -a, which is what ipvsadm -S prints", c.Verb)
}

func virtualOf(id config.VirtualID, s ipvsadm.Service) (config.Virtual, error) {
	if s.Engine != "" {
		return config.Virtual{}, fmt.Errorf("an ldirectord.cf has no persistence engines: expected no --pe %s", s.Engine)
	}
	if strings.Trim(s.Scheduler, "abcdefghijklmnopqrstuvwxyz") != "" {
		return config.Virtual{}, fmt.Errorf("scheduler %q: an ldirectord.cf has lower-case letters", s.Scheduler)
	}
	v := config.Virtual{
		ID: id, Scheduler: s.Scheduler, OnePacket: s.OnePacket, CleanStop: true,
		Check: config.Check{
			Type: config.CheckNegotiate, Service: config.ServiceOf(id), Method: "GET", Interval: config.DefaultCheckInterval,
			ConnectTimeout: config.DefaultCheckTimeout, NegotiateTimeout: config.DefaultNegotiateTimeout,
			FailureCount: config.DefaultFailureCount, Count: config.DefaultCheckCount, Command: config.DefaultCheckCommand,
		},
	}
	if s.OnePacket && id.Protocol != config.UDP {
		return v, errors.New("an ldirectord.cf has one-packet scheduling for UDP only: expected no --ops")
	}
	var err error
	if v.SchedFlags, err = config.SchedFlags(s.Scheduler, s.SchedFlags); err != nil {
		return v, err
	}
	if s.Persistent == 0 {
		return v, nil
	}
	bits, ok := s.PrefixLen()
	if !ok {
		return v, errors.New("netmask with holes: expected ones followed by zeros, such as 255.255.255.0")
	}
	v.Persistence = config.Persistence{Timeout: time.Duration(s.Persistent) * time.Second, Netmask: bits}
	return v, nil
}

func addServer(v *config.Virtual, s ipvsadm.Server) error {
	if s.Tunnel.Type != "" && s.Tunnel.Type != "ipip" {
		return fmt.Errorf("an ldirectord.cf has no tunnels of type %s: expected ipip", s.Tunnel.Type)
	}
	if s.Addr.Addr().Is6() != (v.ID.IPv6 || v.ID.Addr.Addr().Is6()) {
		return fmt.Errorf("real server %s: an ldirectord.cf has no servers of another family than the service's", s.Addr)
	}
	for _, r := range v.Reals {
		if r.Addr == s.Addr {
			return errors.New("destination already exists")
		}
	}
	v.Reals = append(v.Reals, config.Real{
		Addr: s.Addr, Forward: s.Settings().Forward, Weight: s.Weight, Upper: s.Upper, Lower: s.Lower, Request: "/",
	})
	return nil
}
