package lvsadm

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// watch is "lvsadm watch": the services, their servers and the latest events, again each second, until ctx ends. On a
// terminal each view takes the place of the one before.
func (c *call) watch(ctx context.Context) int {
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	interval := flags.Duration("interval", time.Second, "")
	count := flags.Int("count", 0, "")
	if err := flags.Parse(c.args[1:]); err != nil || flags.NArg() > 0 || *interval <= 0 || *count < 0 {
		fmt.Fprintln(c.Stderr, "Usage: lvsadm [--admin PATH] watch [--interval TIME] [--count VIEWS]")
		return exitUsage
	}
	ctx, cancel := context.WithCancel(ctx)
	v := &view{}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { c.client.Events(ctx, v.add) }) // if the director goes, the table says so
	ticker := time.NewTicker(*interval)
	defer ticker.Stop()
	for n := 1; ; n++ {
		status, err := c.client.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return 0
		case err != nil:
			return c.fail(err)
		}
		if c.Terminal {
			c.out.WriteString("\x1b[H\x1b[2J") // home, clear
		} else if n > 1 {
			c.out.WriteString("\n")
		}
		v.write(c.out, time.Now(), status)
		if c.out.Flush() != nil || n == *count {
			return 0
		}
		select {
		case <-ctx.Done():
			return 0
		case <-ticker.C:
		}
	}
}

// shownEvents is how many events a view has.
const shownEvents = 10

// view is what is remembered between two views.
type view struct {
	mu     sync.Mutex
	latest []admin.Event
}

func (v *view) add(e admin.Event) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.latest = append(v.latest, e)
	v.latest = v.latest[max(0, len(v.latest)-shownEvents):]
	return true
}

const columns = "%-40s %-8s %6s %8s %8s %8s %9s %9s\n"

func (v *view) write(w io.Writer, now time.Time, s admin.Status) {
	ready := "ready"
	if !s.Ready {
		ready = "not ready"
	}
	fmt.Fprintf(w, "%s  %s\n\n", now.Format(time.DateTime), ready)
	fmt.Fprintf(w, columns, "", "STATE", "WEIGHT", "ACTIVE", "INACTIVE", "CONN/s", "IN B/s", "OUT B/s")
	for _, one := range s.Services {
		state := fmt.Sprintf("%d up", one.Up)
		if one.Fallback {
			state = "fallback"
		}
		fmt.Fprintf(w, columns, one.Virtual+" "+one.Scheduler, state, "", "", "", amount(one.Rates.Conns), amount(one.Rates.InBytes), amount(one.Rates.OutBytes))
		for _, r := range one.Servers {
			fmt.Fprintf(w, columns, "  "+r.Addr.String(), stateOf(r), fmt.Sprint(r.Weight), fmt.Sprint(r.ActiveConns), fmt.Sprint(r.InactConns),
				amount(r.Rates.Conns), amount(r.Rates.InBytes), amount(r.Rates.OutBytes))
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, e := range v.latest {
		if i == 0 {
			fmt.Fprintln(w)
		}
		words := []string{e.Time.Local().Format(time.TimeOnly), e.Virtual, e.Server, string(e.Kind)}
		fmt.Fprintf(w, "%s: %s\n", strings.Join(strings.Fields(strings.Join(words, " ")), " "), e.Reason)
	}
}

// stateOf returns a word for what a server is.
func stateOf(r admin.ServerStatus) string {
	switch {
	case r.Fallback:
		return "fallback"
	case r.Mark == service.Removed:
		return "removed"
	case r.Origin == service.ByHand:
		return "by hand"
	}
	return r.State.String()
}

// amount shortens a number: 12345 is 12.3k.
func amount(n uint64) string {
	for _, unit := range []struct {
		size uint64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if n >= unit.size {
			if unit.name == "k" {
				unit.size = 1e3
			}
			return fmt.Sprintf("%.1f%s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprint(n)
}
