// Command sessiond serves sessions over HTTP and the Redis protocol from an embedded store, from memory, or from MySQL: NDB Cluster or InnoDB.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

const usage = `sessiond serves sessions.

  sessiond [options]                        serve until SIGTERM or SIGINT
  sessiond schema print [--engine ndb|innodb]
                                            print the SQL schema
  sessiond schema apply --dsn DSN [--engine ndb|innodb] [--unlogged]
                                            bring a database to the schema that this program needs
  sessiond admin count|list|destroy|export|import [options]
                                            look after a store, see sessiond admin --help

Every option can also be given in the environment (--lock-wait as SESSIOND_LOCK_WAIT) and in the file that --config
names (lock-wait = 30s). The command line goes before the environment, and that before the file.

Options:
`

// gcPercent keeps the heap's slack small. What sessiond has in use is little, most of it connections' buffers and
// stacks, so collecting more often costs next to nothing, and an idle daemon is smaller by a fifth.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil:
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "sessiond: %v\nTry: sessiond --help\n", err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "sessiond: %v\n", err)
		os.Exit(1)
	}
}

// usageError is an error of whoever typed the command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "schema" {
		return runSchema(ctx, args[1:], os.Stdout)
	}
	if len(args) > 0 && args[0] == "admin" {
		return runAdmin(ctx, args[1:], os.Stdout)
	}
	if len(args) > 0 && args[0] == "serve" {
		args = args[1:]
	}
	c, err := configure(args, os.Stdout)
	if err != nil || c == nil {
		return err
	}
	return serve(ctx, c)
}
