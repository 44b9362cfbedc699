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

// runSchema is sessiond schema print and sessiond schema apply.
func runSchema(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || (args[0] != "print" && args[0] != "apply") {
		return usageError{errors.New("schema: say print or apply")}
	}
	flags := flag.NewFlagSet("sessiond", flag.ContinueOnError)
	dsn := settings.Strings{Redact: redactDSN}
	engine := flags.String("engine", "", "`ENGINE` of the tables, ndb or innodb; default: print takes ndb, apply asks the server")
	if args[0] == "apply" {
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
	return applySchema(ctx, out, dsn.Values[0], *engine)
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

func applySchema(ctx context.Context, out io.Writer, dsn, engine string) error {
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
	from, to, err := schema.Apply(ctx, db, engine)
	if err != nil {
		return err
	}
	if from == to {
		fmt.Fprintf(out, "schema for %s is at version %d already\n", engine, to)
		return nil
	}
	fmt.Fprintf(out, "schema for %s brought from version %d to %d\n", engine, from, to)
	return nil
}
