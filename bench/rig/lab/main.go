// Command lab builds the namespaces rig and puts real programs into it: nginx on both real servers and lvsproxy on the
// director, or on two, with keepalived. It says how to enter each host, and stays until Ctrl-C. It leaves nothing behind,
// however it ends.
//
//	go run ./bench/rig/lab [--dataplane NAME] [--config FILE] [--directors 2] [--mtu BYTES]
//
// It needs root and the Debian packages iproute2 and nginx-light, and keepalived and curl for two directors.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

type options struct {
	dataplane string
	config    string
	directors int
	mtu       int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, parse(), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		os.Exit(1)
	}
}

func parse() (o options) {
	flag.StringVar(&o.dataplane, "dataplane", "userspace", "`NAME` of what carries the connections, as lvsproxy's --dataplane")
	flag.StringVar(&o.config, "config", "", "`FILE` that lvsproxy reads, an ldirectord.cf; default: one of the rig's addresses, port 80 to both real servers")
	flag.IntVar(&o.directors, "directors", 1, "1, or 2 of which keepalived gives the VIP to one")
	flag.IntVar(&o.mtu, "mtu", 0, "`BYTES` that packets between director and real servers may have, 1280 to 9000 (default 1500)")
	flag.Parse()
	return o
}

// run has the lab stand until ctx ends.
func run(ctx context.Context, o options, out io.Writer) error {
	l, err := build(ctx, o)
	defer l.stop()
	if err != nil {
		return err
	}
	l.explain(out)
	<-ctx.Done()
	return nil
}
