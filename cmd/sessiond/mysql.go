package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/cmd/internal/settings"
	"github.com/lvsession/lvsession/schema"
	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

// redactDSN returns the DSN without its password, and nothing of one that cannot be told apart.
func redactDSN(dsn string) string {
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return "(malformed)"
	}
	if c.Passwd != "" {
		c.Passwd = "***"
	}
	return c.FormatDSN()
}

func openMySQL(ctx context.Context, dsns []string, log *slog.Logger) (sessionstore.Store, error) {
	return ndb.Open(ctx, ndb.Options{DSNs: dsns, Log: log})
}

// ndbNode says how to be a node of an NDB Cluster.
type ndbNode struct{ connect, database string }

func (n *ndbNode) flags(flags *flag.FlagSet) {
	flags.StringVar(&n.connect, "ndb-connect", "", "the cluster's management nodes, `HOST:PORT`, separated by commas; needs a sessiond built with the tag ndbapi")
	flags.StringVar(&n.database, "ndb-database", "", "the sessions are in the tables of the database `NAME`")
}

func openNDB(ctx context.Context, n ndbNode, log *slog.Logger) (sessionstore.Store, error) {
	s, err := ndb.OpenAPI(ctx, ndb.APIOptions{Connect: n.connect, Database: n.database, Log: log})
	if err != nil {
		return nil, err
	}
	ndb.RaiseProcs()
	return s, nil
}

// checkTables tells whether the settings name the tables that --store needs, and no others.
func (c *config) checkTables() error {
	switch {
	case c.store == "mysql" && len(c.dsn.Values) == 0:
		return errors.New("--store mysql needs --dsn, once for each SQL node")
	case c.store != "mysql" && len(c.dsn.Values) > 0:
		return fmt.Errorf("--dsn goes with --store mysql, not with --store %s", c.store)
	case c.store == "ndbapi" && (c.ndb.connect == "" || c.ndb.database == ""):
		return errors.New("--store ndbapi needs --ndb-connect and --ndb-database")
	case c.store != "ndbapi" && c.ndb != ndbNode{}:
		return fmt.Errorf("--ndb-connect and --ndb-database go with --store ndbapi, not with --store %s", c.store)
	}
	return nil
}

// runSchema is sessiond schema print and sessiond schema apply.
func runSchema(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || (args[0] != "print" && args[0] != "apply") {
		return usageError{errors.New("schema: say print or apply")}
	}
	flags := flag.NewFlagSet("sessiond", flag.ContinueOnError)
	dsn := settings.Strings{Redact: redactDSN}
	engine := flags.String("engine", "", "`ENGINE` of the tables, ndb or innodb; default: print takes ndb, apply asks the server")
	unlogged := false
	if args[0] == "apply" {
		flags.BoolVar(&unlogged, "unlogged", false, "make tables of NDB that are in the data nodes' memory only: faster, and gone when the whole cluster stops")
		flags.Var(&dsn, "dsn", "MySQL `DSN` of the database, user:password@tcp(host:port)/database; of several, the first is used")
	}
	if err := settings.Fill(flags, args[1:]); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(out, "sessiond schema %s [options]\n\n", args[0])
		settings.Help(out, flags)
		return nil
	} else if err != nil {
		return usageError{err}
	}
	if *engine != "" && *engine != schema.NDB && *engine != schema.InnoDB {
		return usageError{fmt.Errorf("--engine %q: there are %s and %s", *engine, schema.NDB, schema.InnoDB)}
	}
	if args[0] == "print" {
		return printSchema(out, *engine)
	}
	if len(dsn.Values) == 0 {
		return usageError{errors.New("schema apply needs --dsn")}
	}
	return applySchema(ctx, out, dsn.Values[0], *engine, unlogged)
}

func printSchema(out io.Writer, engine string) error {
	if engine == "" {
		engine = schema.NDB
	}
	ddl, err := schema.Print(engine)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, ddl)
	return err
}

func applySchema(ctx context.Context, out io.Writer, dsn, engine string, unlogged bool) error {
	db, err := ndb.OpenDB(dsn)
	if err != nil {
		return usageError{err}
	}
	defer db.Close()
	if engine == "" {
		if engine, err = schema.Detect(ctx, db); err != nil {
			return err
		}
	}
	apply := schema.Apply
	if unlogged {
		apply = schema.ApplyUnlogged
	}
	from, to, err := apply(ctx, db, engine)
	if err != nil {
		return err
	}
	if from == to && unlogged {
		return errors.New("the tables are there already, and were left as they are: --unlogged counts when they are made")
	}
	if from == to {
		fmt.Fprintf(out, "schema for %s is at version %d already\n", engine, to)
		return nil
	}
	fmt.Fprintf(out, "schema for %s brought from version %d to %d\n", engine, from, to)
	return nil
}
