package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lvsession/lvsession/cmd/internal/progress"
	"github.com/lvsession/lvsession/cmd/internal/settings"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/embedded"
)

const adminUsage = `sessiond admin COMMAND [options] works on a store directly, not through a running sessiond.

  count     how many sessions live in each namespace
  list      sessions that live, one a line; of keys only the beginning, never an id
  destroy   end all sessions of one user: --namespace and --subject
  export    write all sessions to --file
  import    take the sessions of --file

The embedded store belongs to one process: stop sessiond before. With --store mysql and ndbapi everything goes on meanwhile.

Options:
`

// admin is sessiond admin: what it was told, and the store.
type admin struct {
	store sessionstore.Store
	out   io.Writer
	bar   *progress.Bar

	namespace string
	subject   string
	within    time.Duration
	limit     int
	tombstone time.Duration
	file      string
	replace   bool
}

var adminCommands = map[string]func(*admin, context.Context) error{
	"count": (*admin).count, "list": (*admin).list, "destroy": (*admin).destroy, "export": (*admin).export, "import": (*admin).take,
}

func runAdmin(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		args = []string{"count", "--help"}
	}
	run, ok := adminCommands[args[0]]
	if !ok {
		return usageError{fmt.Errorf("admin %.20q: there are count, destroy, export, import and list", args[0])}
	}
	a := &admin{out: out, bar: progress.New(os.Stderr)}
	c, err := a.configure(args, out)
	if err != nil || c == nil {
		return err
	}
	if c.store == "embedded" && args[0] != "import" {
		if _, err := os.Stat(c.data); err != nil {
			return fmt.Errorf("--data %s: %w", c.data, err) // not made, as a sessiond would
		}
	}
	if a.store, err = openStore(ctx, c, slog.New(slog.DiscardHandler)); err != nil {
		if errors.Is(err, embedded.ErrInUse) {
			err = fmt.Errorf("%w; stop that sessiond first", err)
		}
		return err
	}
	err = run(a, ctx)
	return errors.Join(err, a.store.Close())
}

func (a *admin) configure(args []string, out io.Writer) (*config, error) {
	c := &config{dsn: settings.Strings{Redact: redactDSN}}
	flags := flag.NewFlagSet("sessiond", flag.ContinueOnError)
	flags.StringVar(&c.store, "store", "embedded", "where the sessions live: embedded (in --data), mysql (in --dsn) or ndbapi (in --ndb-database)")
	flags.StringVar(&c.data, "data", "data", "the embedded store is in `DIR`")
	flags.Var(&c.dsn, "dsn", "MySQL `DSN`, user:password@tcp(host:port)/database; once for each SQL node of the cluster")
	c.ndb.flags(flags)
	flags.StringVar(&a.namespace, "namespace", "", "only sessions of the namespace `NAME`")
	flags.StringVar(&a.subject, "subject", "", "only sessions of `USER`, as the application calls them; needs --namespace")
	flags.DurationVar(&a.within, "expires-within", 0, "count and list: only sessions that end within this time unless they are touched; 0: all")
	flags.IntVar(&a.limit, "limit", 1000, "list: at most so many; 0: all")
	flags.DurationVar(&a.tombstone, "tombstone", sessionstore.DefaultPolicy().Tombstone, "destroy: the sessions cannot be written for this long")
	flags.StringVar(&a.file, "file", "", "export and import: the archive is `FILE`")
	flags.BoolVar(&a.replace, "replace", false, "import: a session that the store has in an older version is replaced, not kept")
	if err := settings.Fill(flags, args[1:]); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, adminUsage)
		settings.Help(out, flags)
		return nil, nil
	} else if err != nil {
		return nil, usageError{err}
	}
	if err := a.check(args[0], c); err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

func (a *admin) check(command string, c *config) error {
	if err := c.checkTables(); err != nil {
		return err
	}
	switch {
	case c.store != "embedded" && c.store != "mysql" && c.store != "ndbapi":
		return fmt.Errorf("--store %q: there are embedded, mysql and ndbapi", c.store)
	case a.subject != "" && a.namespace == "":
		return errors.New("--subject needs --namespace: each namespace has its own users")
	case len(a.subject) > sessionstore.MaxSubjectLength:
		return fmt.Errorf("--subject: at most %d bytes", sessionstore.MaxSubjectLength)
	case command == "destroy" && a.subject == "":
		return errors.New("destroy needs --namespace and --subject")
	case (command == "export" || command == "import") && a.file == "":
		return fmt.Errorf("%s needs --file", command)
	case command == "import" && a.namespace != "":
		return errors.New("import takes the whole archive: choose at export")
	case a.within < 0 || a.limit < 0:
		return errors.New("--expires-within and --limit cannot be negative")
	}
	if a.namespace != "" {
		if err := sessionstore.CheckNamespace(a.namespace); err != nil {
			return fmt.Errorf("--namespace: %w", err)
		}
	}
	return sessionstore.CheckDuration("--tombstone", a.tombstone)
}

// who returns the key of --subject, the zero key without it.
func (a *admin) who() sessionstore.Key {
	if a.subject == "" {
		return sessionstore.Key{}
	}
	return sessionstore.NewSubject(a.namespace, a.subject)
}

var errEnough = errors.New("enough")

// walk shows do every session that the options choose.
func (a *admin) walk(ctx context.Context, payload bool, do func(sessionstore.Session) error) error {
	walker, ok := a.store.(sessionstore.Walker)
	if !ok {
		return errors.New("this store cannot list its sessions")
	}
	defer a.bar.Done()
	w := sessionstore.Walk{Limit: sessionstore.MaxPage, Namespace: a.namespace, Subject: a.who(), Payload: payload}
	for n := 0; ; {
		page, err := walker.Walk(ctx, w)
		if err != nil {
			return err
		}
		for _, s := range page.Sessions {
			if a.within > 0 && time.Until(s.Expires) > a.within {
				continue
			}
			if err := do(s); errors.Is(err, errEnough) {
				return nil
			} else if err != nil {
				return err
			}
			n++
		}
		a.bar.Show(-1, fmt.Sprintf("%d sessions", n))
		if w.After = page.Next; w.After == "" {
			return nil
		}
	}
}

func (a *admin) count(ctx context.Context) error {
	total, count := 0, map[string]int{}
	err := a.walk(ctx, false, func(s sessionstore.Session) error {
		total++
		count[s.Namespace]++
		return nil
	})
	if err != nil {
		return err
	}
	names := make([]string, 0, len(count))
	for name := range count {
		names = append(names, name)
	}
	slices.Sort(names)
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, name := range names {
		fmt.Fprintf(table, "%s\t%d\n", orDash(name), count[name])
	}
	fmt.Fprintf(table, "total\t%d\n", total)
	return table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (a *admin) list(ctx context.Context) error {
	shown := 0
	line := func(cells ...string) error {
		_, err := fmt.Fprintln(a.out, strings.Join(cells, "\t"))
		return err
	}
	if err := line("KEY", "NAMESPACE", "SUBJECT", "VERSION", "CREATED", "EXPIRES"); err != nil {
		return err
	}
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return a.walk(ctx, false, func(s sessionstore.Session) error {
		if a.limit > 0 && shown == a.limit {
			return errEnough
		}
		shown++
		subject := "-"
		if s.Subject != (sessionstore.Key{}) {
			subject = s.Subject.String()
		}
		return line(s.Key.String(), orDash(s.Namespace), subject, fmt.Sprint(s.Version), at(s.Created), at(s.Expires))
	})
}

func (a *admin) destroy(ctx context.Context) error {
	store, ok := a.store.(sessionstore.SubjectStore)
	if !ok {
		return errors.New("this store knows no subjects")
	}
	n, err := store.DestroySubject(ctx, a.who(), a.tombstone)
	if err != nil {
		return fmt.Errorf("%d sessions destroyed, then: %w", n, err)
	}
	_, err = fmt.Fprintf(a.out, "%d sessions destroyed\n", n)
	return err
}
