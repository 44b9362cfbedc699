// Command demo is the whole product in one process, for a first look: the embedded store, sessiond, two Go web servers
// as real servers, and the director in front of them. It needs no root, no database and no configuration, and leaves
// nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/lvsession/lvsession/cmd/internal/settings"
)

const usage = `demo runs lvsession in one process: a director on a VIP, two web servers behind it, and sessiond with an embedded
store behind those. Ctrl-C ends it.

Options:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "the VIP: `HOST:PORT` that the director listens on; port 0 takes a free one")
	data := flags.String("data", "", "keep the sessions in `DIR`; default: a temporary one, removed at the end")
	level := slog.LevelWarn
	flags.TextVar(&level, "log-level", level, "log from this `LEVEL` on: DEBUG, INFO, WARN, ERROR")
	if err := settings.Fill(flags, args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		settings.Help(out, flags)
		return nil
	} else if err != nil {
		return err
	}
	if *data == "" {
		dir, err := os.MkdirTemp("", "lvsession-demo-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		*data = dir
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	s, err := startStack(ctx, *addr, *data, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, welcome, s.url, s.servers[0], s.servers[1], s.sessiond)
	<-ctx.Done()
	fmt.Fprintln(out, "\nending")
	return s.close()
}

const welcome = `ready %[1]s

A browser gets one of two web servers in turn, and its session is there whichever answers:

  for i in 1 2 3 4 5 6; do curl -b jar -c jar %[1]s; done

To prove it with 200 visitors at once:

  go run ./cmd/vipbench --users 200 --requests 50 %[1]scount

  director  %[1]s  rr, health-checked
    -> web1 http://%[2]s/
    -> web2 http://%[3]s/
  sessiond  %[4]s/  embedded store

Ctrl-C ends it.
`
