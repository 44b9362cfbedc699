package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
)

// options are all that the program can be told outside the ldirectord.cf.
type options struct {
	config         string
	admin          string
	stateFile      string
	metrics        string
	dataplane      string
	connectTimeout time.Duration
	maxConns       int
	maxChecks      int
	rise           int
	drainTimeout   time.Duration
	logLevel       slog.Level
	logFormat      string
	printConfig    bool
	json           bool
	from           string
	state          string

	interfaces    string // names, joined by commas
	tunnelSources string // prefixes, joined by commas
	sloppyTCP     bool
	bpfPin        string
	bpfMaxConns   int
	xdp           string
	bpfMaxServers int

	loops int // of the userspace dataplane; 0 is its default
}

// noAdmin as the admin path means that there is no admin socket.
const noAdmin = "off"

// noState as the state file means that there is none.
const noState = "off"

// noConfig as the file means that there is none: all services come over the admin socket.
const noConfig = "none"

// newFlags returns the flags with their defaults, bound to o.
func newFlags(o *options) *flag.FlagSet {
	f := flag.NewFlagSet("lvsproxy", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.config, "config", defaultConfig, "`FILE` to read: an ldirectord.cf; without a slash, it is looked for in /etc/ha.d, /etc/ha.d/conf and the present directory; none for an empty table, to be filled by lvsadm")
	f.StringVar(&o.admin, "admin", "/run/lvsproxy.sock", "`PATH` of the Unix socket that lvsadm speaks to; off for none")
	f.StringVar(&o.stateFile, "state-file", "", "`FILE` that keeps over a restart which real servers are alive; off for none. The default is the admin socket's path with .state for .sock")
	f.StringVar(&o.metrics, "metrics", "", "`ADDRESS` to serve /metrics, /healthz, /readyz and /v1/status at, to anybody; :PORT is a port of 127.0.0.1 (default none)")
	f.StringVar(&o.dataplane, "dataplane", "userspace", "`NAME` of what carries connections where the configuration does not say: userspace; ebpf; ipvs; auto, the best that the machine and the configuration allow; or none, with which the table is all there is")
	f.DurationVar(&o.connectTimeout, "connect-timeout", userspace.DefaultConnectTimeout, "`TIME` to reach one real server before another is tried")
	f.IntVar(&o.maxConns, "max-conns", userspace.DefaultMaxConns(), "`N` connections at most; further ones wait. The default follows the limit on open files")
	f.StringVar(&o.interfaces, "interface", "", "`NAMES`, joined by commas, of the interfaces at which the ebpf dataplane takes packets (default all that have an address)")
	f.StringVar(&o.tunnelSources, "tunnel-source", "", "`PREFIXES`, one of IPv4 and one of IPv6 joined by a comma, of the addresses that ipip of the ebpf dataplane comes from; what is beyond a prefix's length differs by connection (default the machine's own address)")
	f.BoolVar(&o.sloppyTCP, "sloppy-tcp", false, "a connection of the ebpf dataplane may begin in its middle, so that with the schedulers sh and mh one that another director has begun goes on here")
	f.StringVar(&o.xdp, "xdp", string(ebpf.XDPOff), "`WHERE` the ebpf dataplane takes packets of established connections in the interfaces' drivers, too: auto, at those that are real devices; on, at virtual ones too; or off. Where a driver cannot, they are taken as with off")
	f.StringVar(&o.bpfPin, "bpf-pin", ebpf.DefaultPin, "`FOLDER` in a bpffs, where what the ebpf dataplane has in the kernel is pinned: it outlives the program")
	f.IntVar(&o.bpfMaxConns, "bpf-max-conns", ebpf.DefaultMaxConns(), "`N` connections at most of the ebpf dataplane, some 250 bytes each; beyond, those make room on which nothing has moved for longest. The default follows the memory")
	f.IntVar(&o.bpfMaxServers, "bpf-max-servers", ebpf.DefaultMaxServers, "`N` real servers at most of the ebpf dataplane, each counted once for each virtual service")
	f.IntVar(&o.maxChecks, "max-checks", lvsproxy.DefaultMaxChecks, "`N` health checks at once at most")
	f.IntVar(&o.rise, "rise", 1, "`N` checks in a row must succeed before a failed server is used again")
	f.DurationVar(&o.drainTimeout, "drain-timeout", lvsproxy.DefaultDrainTimeout, "`TIME` that connections may go on after SIGTERM")
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "`LEVEL` of the log on standard error: debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "text", "`FORMAT` of the log: text or json")
	f.BoolVar(&o.json, "json", false, "print what check says as JSON")
	f.StringVar(&o.from, "from", fromLdirectord, "`FORMAT` that convert reads: ldirectord, and it writes rules of ipvsadm; or ipvsadm, and it writes an ldirectord.cf")
	f.StringVar(&o.state, "state", stateUp, "`STATE` that convert takes all real servers to be in: up or down")
	f.BoolVar(&o.printConfig, "print-config", false, "print the options and the configuration in force, and exit")
	return f
}

// envName returns the environment variable of a flag.
func envName(flag string) string {
	return "LVSPROXY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// parseOptions reads the options from the arguments, or the environment, or else takes the defaults. It returns the
// arguments that are no options; those may come before, after and between.
func parseOptions(args []string, env func(string) string) (o options, rest []string, err error) {
	f := newFlags(&o)
	var wrong error
	f.VisitAll(func(one *flag.Flag) {
		value := env(envName(one.Name))
		if value == "" || wrong != nil {
			return
		}
		if err := f.Set(one.Name, value); err != nil {
			wrong = fmt.Errorf("environment variable %s is %q: %w", envName(one.Name), value, err)
		}
	})
	if wrong != nil {
		return o, nil, wrong
	}
	for {
		if err := f.Parse(args); err != nil {
			return o, nil, err
		}
		if f.NArg() == 0 {
			o.config = findConfig(o.config, configDirs)
			return o, rest, o.validate()
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
}

func (o options) validate() error {
	switch {
	case o.config == "":
		return fmt.Errorf("--config is empty: expected a file")
	case !slices.Contains(dataplanes, o.dataplane):
		return fmt.Errorf("--dataplane is %q: expected %s", o.dataplane, strings.Join(dataplanes, " or "))
	case o.admin == "":
		return fmt.Errorf("--admin is empty: expected a path, or off")
	case o.connectTimeout <= 0:
		return fmt.Errorf("--connect-timeout is %v: expected more than 0", o.connectTimeout)
	case o.drainTimeout < 0:
		return fmt.Errorf("--drain-timeout is %v: expected 0 or more", o.drainTimeout)
	case o.maxConns < 1:
		return fmt.Errorf("--max-conns is %d: expected at least 1", o.maxConns)
	case wrongPrefixes(o.tunnelSources) != nil:
		return fmt.Errorf("--tunnel-source: %w", wrongPrefixes(o.tunnelSources))
	case !slices.Contains([]string{string(ebpf.XDPOff), string(ebpf.XDPAuto), string(ebpf.XDPOn)}, o.xdp):
		return fmt.Errorf("--xdp is %q: expected auto, on or off", o.xdp)
	case o.bpfPin == "":
		return fmt.Errorf("--bpf-pin is empty: expected a folder")
	case o.bpfMaxConns < 1:
		return fmt.Errorf("--bpf-max-conns is %d: expected at least 1", o.bpfMaxConns)
	case o.bpfMaxServers < 1:
		return fmt.Errorf("--bpf-max-servers is %d: expected at least 1", o.bpfMaxServers)
	case o.maxChecks < 1:
		return fmt.Errorf("--max-checks is %d: expected at least 1", o.maxChecks)
	case o.rise < 1:
		return fmt.Errorf("--rise is %d: expected at least 1", o.rise)
	case o.from != fromLdirectord && o.from != fromIpvsadm:
		return fmt.Errorf("--from is %q: expected ldirectord or ipvsadm", o.from)
	case o.state != stateUp && o.state != stateDown:
		return fmt.Errorf("--state is %q: expected up or down", o.state)
	case o.logFormat != "text" && o.logFormat != "json":
		return fmt.Errorf("--log-format is %q: expected text or json", o.logFormat)
	}
	return nil
}

// wrongPrefixes says what is wrong with prefixes that are joined by commas.
func wrongPrefixes(text string) error {
	_, err := prefixes(text)
	return err
}

func prefixes(text string) (all []netip.Prefix, err error) {
	if text == "" {
		return nil, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(one)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// director returns the options as the Director wants them; the record is told what it says.
func (o options) director(log *slog.Logger, record *admin.Record, inherited *sockets) lvsproxy.Options {
	drain := o.drainTimeout
	if drain == 0 {
		drain = -1
	}
	return lvsproxy.Options{
		StateFile: o.statePath(),
		Dataplane: o.newDataplane(log, inherited.of), OnEvent: record.Event, OnCheck: record.Check, RiseCount: o.rise, MaxChecks: o.maxChecks, DrainTimeout: drain, Logger: log,
	}
}

// statePath returns where the state file lies, or nothing if there is none.
func (o options) statePath() string {
	switch {
	case o.stateFile == noState, o.stateFile == "" && o.admin == noAdmin:
		return ""
	case o.stateFile == "":
		return strings.TrimSuffix(o.admin, ".sock") + ".state"
	}
	return o.stateFile
}

// metricsAddr returns where to listen for --metrics.
func (o options) metricsAddr() string {
	if strings.HasPrefix(o.metrics, ":") {
		return "127.0.0.1" + o.metrics
	}
	return o.metrics
}
