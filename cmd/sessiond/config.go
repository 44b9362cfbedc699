package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/lvsession/lvsession/cmd/internal/settings"
	"github.com/lvsession/lvsession/sessionstore"
)

// config is everything that sessiond can be told.
type config struct {
	store  string
	data   string
	sync   string
	dsn    settings.Strings
	ndb    ndbNode
	doors  doors
	policy sessionstore.Policy
	// namespaces as given, and the policies that they come to
	namespaces settings.Strings
	own        []sessionstore.NamespacePolicy
	drain      time.Duration
	stop       time.Duration
	level      slog.Level
	conns      int
}

// configure reads the command line, the environment and the file. It returns nil without an error if --help or
// --print-config was all that was asked for.
func configure(args []string, out io.Writer) (*config, error) {
	c := &config{policy: sessionstore.DefaultPolicy(), dsn: settings.Strings{Redact: redactDSN}}
	flags := flag.NewFlagSet("sessiond", flag.ContinueOnError)
	show := flags.Bool("print-config", false, "print what the options, environment and file come to, without passwords, and exit")
	flags.String("config", "", "read settings from `FILE`, lines of name = value")

	flags.StringVar(&c.store, "store", "embedded", "where sessions live: embedded (durable, in --data, for one sessiond), memory (lost with the process), mysql (in --dsn), ndbapi (in --ndb-database, without SQL nodes)")
	flags.StringVar(&c.data, "data", "data", "keep the embedded store in `DIR`, which is made if it is missing")
	flags.StringVar(&c.sync, "sync", "always", "acknowledge what goes to the embedded store once it is on disk (`always`), or before, and sync it every second (everysec): a crash then loses the last second")
	flags.Var(&c.dsn, "dsn", "MySQL `DSN`, user:password@tcp(host:port)/database; once for each SQL node of the cluster")
	c.ndb.flags(flags)
	c.doors.flags(flags)
	flags.IntVar(&c.conns, "max-connections", 16384, "serve at most so many connections of each protocol at once")

	policyFlags(flags, &c.policy)
	flags.Var(&c.namespaces, "namespace", "give the namespace NAME settings of its own, `NAME:setting=value,…`, named as the options from --absolute to --touch-coarse; may be repeated")

	flags.DurationVar(&c.drain, "drain", 0, "after SIGTERM, answer /readyz with 503 for this long before refusing connections")
	flags.DurationVar(&c.stop, "stop-timeout", 20*time.Second, "after that, let requests in flight go on for at most this long")
	flags.TextVar(&c.level, "log-level", slog.LevelInfo, "log from this `LEVEL` on: DEBUG, INFO, WARN, ERROR")

	if err := settings.Fill(flags, args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		settings.Help(out, flags)
		return nil, nil
	} else if err != nil {
		return nil, usageError{err}
	}
	if *show {
		settings.Print(out, flags)
		return nil, nil
	}
	if err := c.check(); err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// policyFlags binds the options that make a policy.
func policyFlags(flags *flag.FlagSet, p *sessionstore.Policy) {
	flags.DurationVar(&p.Idle, "idle", p.Idle, "a session ends this long after its last write or touch, unless the client says otherwise")
	flags.DurationVar(&p.Absolute, "absolute", p.Absolute, "a session ends this long after its creation; 0: never")
	flags.DurationVar(&p.TouchCoarse, "touch-coarse", p.TouchCoarse, "a session may end this much earlier than --idle says, so that few touches need be written; 0: to the millisecond")
	flags.DurationVar(&p.Grace, "grace", p.Grace, "the old id of a regenerated session stays good this long")
	flags.DurationVar(&p.Tombstone, "tombstone", p.Tombstone, "a destroyed session cannot be written for this long")
	flags.DurationVar(&p.LockTTL, "lock-ttl", p.LockTTL, "a lock ends by itself after this long")
	flags.DurationVar(&p.LockWait, "lock-wait", p.LockWait, "a request waits for a lock at most this long")
	flags.IntVar(&p.MaxWaiters, "max-waiters", p.MaxWaiters, "at most so many requests wait for one session's lock")
	flags.IntVar(&p.MaxPayload, "max-payload", p.MaxPayload, "a payload has at most so many bytes")
	flags.IntVar(&p.Compress, "compress", p.Compress, "store payloads of at least so many `BYTES` compressed (zstd), if that makes them smaller; 0: none")
	flags.StringVar((*string)(&p.Locking), "locking", string(p.Locking), "`RULE` for locks: client (as each request asks), lease (every open locks), optimistic (a write names its version), none (the last writer wins)")
	flags.StringVar((*string)(&p.OnLocked), "on-locked", string(p.OnLocked), "`WHAT` becomes of a request that does not get the lock in time: fail, read-only, go-on")
}

// namespacePolicy reads NAME:setting=value,… on top of the general policy.
func namespacePolicy(text string, general sessionstore.Policy) (sessionstore.NamespacePolicy, error) {
	own := sessionstore.NamespacePolicy{Policy: general}
	name, list, ok := strings.Cut(text, ":")
	if !ok || list == "" {
		return own, fmt.Errorf("--namespace %q: expected NAME:setting=value,…", text)
	}
	own.Namespace = name
	flags := flag.NewFlagSet("namespace", flag.ContinueOnError)
	policyFlags(flags, &own.Policy)
	for one := range strings.SplitSeq(list, ",") {
		setting, value, ok := strings.Cut(one, "=")
		if !ok || flags.Lookup(setting) == nil {
			return own, fmt.Errorf("--namespace %s: %q: expected one of absolute, compress, grace, idle, lock-ttl, lock-wait, locking, max-payload, max-waiters, on-locked, tombstone, touch-coarse, with = and its value", name, one)
		}
		if err := flags.Set(setting, value); err != nil {
			return own, fmt.Errorf("--namespace %s: %s: %w", name, setting, err)
		}
	}
	if err := errors.Join(sessionstore.CheckNamespace(name), own.Policy.Check()); err != nil {
		return own, fmt.Errorf("--namespace %s: %w", name, err)
	}
	return own, nil
}

func (c *config) check() error {
	if err := c.policy.Check(); err != nil {
		return err
	}
	for _, text := range c.namespaces.Values {
		own, err := namespacePolicy(text, c.policy)
		if err != nil {
			return err
		}
		c.own = append(c.own, own)
	}
	if c.sync != "always" && c.sync != "everysec" {
		return fmt.Errorf("--sync %q: there are always and everysec", c.sync)
	}
	if c.sync != "always" && c.store != "embedded" {
		return fmt.Errorf("--sync %s goes with --store embedded, not with --store %s", c.sync, c.store)
	}
	switch c.store {
	case "memory", "embedded", "mysql", "ndbapi":
	default:
		return fmt.Errorf("--store %q: there are embedded, memory, mysql and ndbapi", c.store)
	}
	if err := c.checkTables(); err != nil {
		return err
	}
	if err := c.doors.check(); err != nil {
		return err
	}
	if c.conns < 1 {
		return fmt.Errorf("--max-connections %d: at least 1", c.conns)
	}
	if c.drain < 0 || c.stop < 0 {
		return fmt.Errorf("--drain and --stop-timeout cannot be negative")
	}
	return nil
}
