// Command lvsadm lists and changes the table of a running lvsproxy with ipvsadm's command line. Under the name ipvsadm it
// stands in for it. See docs/operator.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/lvsadm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	p := lvsadm.Program{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Terminal: term.IsTerminal(int(os.Stdout.Fd())),
		Resolver: config.SystemResolver{Context: ctx}, Names: lvsadm.SystemNames,
	}
	code := p.Run(ctx, os.Args, os.Getenv)
	stop()
	os.Exit(code)
}
