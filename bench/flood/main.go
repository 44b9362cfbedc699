// Command flood measures what is left of established transfers while SYNs of clients that are not there pour in at the same
// virtual service: their rate, compared with that before the flood, and how many break. It needs root, for the network that it
// makes of namespaces.
//
//	go run ./bench/flood [--rate 205000] [--span 10s] [--rounds 3]
//
// Each transfer is paced, as by the link of its client, and checked byte by byte. The SYNs come from random addresses and ports.
// By default the real servers throw them away where they come in: what is measured is the director, and two cores cannot carry
// the answers of the real servers' TCP to 200,000 SYNs a second besides. With --answer they answer them all. One core makes the
// flood, and the director's kernel works on it on that core too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

type options struct {
	rate, rounds, transfers int
	span                    time.Duration
	pace                    int // bytes a second of a transfer
	answer                  bool
	forwards                figures.List
}

func main() {
	var o options
	var kilobytes int
	flag.IntVar(&o.rate, "rate", 205_000, "SYNs a second, of which some less leave in time")
	flag.DurationVar(&o.span, "span", 10*time.Second, "length of a flood, and of the calm before it")
	flag.IntVar(&o.rounds, "rounds", 3, "floods; figures are medians over them")
	flag.IntVar(&o.transfers, "transfers", 20, "established transfers")
	flag.IntVar(&kilobytes, "pace", 1000, "kilobytes a second of each transfer")
	flag.BoolVar(&o.answer, "answer", false, "the real servers answer the flood's SYNs")
	flag.Var(&o.forwards, "forward", "measure only this forwarding method (masq, gate); may be repeated")
	command.Main("flood", func(ctx context.Context) error {
		flag.Parse()
		o.pace = kilobytes * 1000
		return o.run(ctx)
	})
}

// result is what was measured of one forwarding method.
type result struct {
	forward           string
	rate              figures.Samples // SYNs a second
	calm, storm       figures.Samples // megabytes a second of all transfers
	daemon            figures.Samples // percent of a core, in the storm
	broken, transfers int
}

func (o options) run(ctx context.Context) error {
	if o.rounds < 1 || o.transfers < 1 || o.pace < 1000 || o.span < 100*time.Millisecond {
		return errors.New("rounds, transfers, pace or span are out of range: at least 1, 1, 1 and 100ms")
	}
	rig, err := namespaces.Start(ctx)
	if err != nil {
		return err
	}
	defer rig.Stop()
	s, err := start(ctx, rig, o)
	defer s.stop()
	if err != nil {
		return err
	}
	forwards := o.forwards
	if len(forwards) == 0 {
		forwards = figures.List{"masq", "gate"}
	}
	var results []*result
	for _, forward := range forwards {
		r := &result{forward: forward}
		results = append(results, r)
		if err := o.measure(ctx, s, r); err != nil {
			return fmt.Errorf("%s: %w", forward, err)
		}
	}
	return command.Publish(figures.Sheet{
		Name: "flood", About: fmt.Sprintf("%d rounds of %v, %d transfers", o.rounds, o.span, o.transfers),
		Tables: []figures.Table{tabulate(results)},
	})
}

// measure floods one forwarding method round by round, with the same transfers all the time.
func (o options) measure(ctx context.Context, s *site, r *result) (err error) {
	stop, err := s.direct(ctx, r.forward)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	t, err := s.open(ctx, o)
	if err != nil {
		return err
	}
	defer t.close()
	for round := range o.rounds {
		calm, err := t.rate(ctx, o.span, nil)
		if err != nil {
			return err
		}
		ran := s.daemon()
		var sent float64
		storm, err := t.rate(ctx, o.span, func(ctx context.Context) (err error) {
			sent, err = s.flood(ctx, o, uint64(round))
			return err
		})
		if err != nil {
			return err
		}
		r.rate.Add(sent)
		r.calm.Add(calm)
		r.storm.Add(storm)
		r.daemon.Add(100 * (s.daemon() - ran).Seconds() / o.span.Seconds())
		fmt.Fprintf(os.Stderr, "%s, round %d: %.0f SYNs a second, %.1f MB/s of %.1f\n", r.forward, round+1, sent, storm, calm)
	}
	r.broken, r.transfers = t.broken(), o.transfers
	return s.await(ctx)
}

// leastKept is the aim: what shall be left of the rate.
const leastKept = 0.8

func tabulate(results []*result) figures.Table {
	t := figures.Table{
		Labels:  []string{"forwarding"},
		Figures: []string{"SYNs a second", "MB/s before", "MB/s in the flood", "in the flood : before", "transfers", "broken", "daemon, % of a core"},
	}
	for _, r := range results {
		t.Add([]string{"ebpf " + r.forward}, r.rate, r.calm, r.storm, r.storm.Over(r.calm).Least(leastKept), r.transfers, r.broken, r.daemon)
	}
	return t
}
