// Command ipvs counts the instructions that a packet takes in the kernel, by lvsproxy's ebpf dataplane and by IPVS, which
// lvsproxy drives there: both in one guest with Debian's kernel, whose emulated processor counts.
//
//	go run ./bench/ipvs
//
// A client's device sends frames to a director in another network namespace, which sends them on to a real server's, where they
// are dropped; the server's answers go the other way. What the sending takes itself is counted by frames that the director's machine
// does not take, and subtracted: what is left is the director's work, the second link included. A machine that only routes is
// shown beside. All sides take turns in every round.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"

	"github.com/lvsession/lvsession/bench/internal/command"
	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/ipvs/internal/result"
	"github.com/lvsession/lvsession/bench/rig/qemu"
)

type options struct {
	rounds  int
	packets int
}

func main() {
	command.Main("ipvs", func(ctx context.Context) error {
		var o options
		flag.IntVar(&o.rounds, "rounds", 5, "rounds; figures are medians over them")
		flag.IntVar(&o.packets, "packets", 500, "packets, or new connections, of each kind in a round")
		flag.Parse()
		// Every connection has a port of its own.
		if o.rounds < 1 || o.packets < 1 || (o.rounds+1)*(4*o.packets+500) > 60_000 {
			return errors.New("rounds or packets are out of range")
		}
		measured, err := o.measure(ctx)
		if err != nil {
			return err
		}
		return command.Publish(sheet(o, measured))
	})
}

// measure has the guest do it.
func (o options) measure(ctx context.Context) (measured []result.Figure, err error) {
	guest, err := qemu.BootWith(ctx, qemu.Options{Counting: true})
	if err != nil {
		return nil, err
	}
	defer guest.Stop()
	for _, pkg := range []string{"cmd/lvsproxy", "bench/ipvs/inside"} {
		if err := guest.Install(ctx, "github.com/lvsession/lvsession/"+pkg); err != nil {
			return nil, err
		}
	}
	r, err := guest.Run(ctx, qemu.Command{
		Args: []string{"inside", "--rounds", strconv.Itoa(o.rounds), "--packets", strconv.Itoa(o.packets)}, Timeout: time.Hour,
	})
	if err != nil {
		return nil, err
	}
	if r.Code != 0 {
		return nil, fmt.Errorf("in the guest: exit code %d: %s", r.Code, r.Stderr)
	}
	return measured, json.Unmarshal([]byte(r.Stdout), &measured)
}

// sheet is what was measured.
func sheet(o options, measured []result.Figure) figures.Sheet {
	t := figures.Table{
		Labels:  []string{"IP", "work", "side"},
		Figures: []string{"instructions", "without the sending", "ebpf : ipvs"},
	}
	for _, m := range measured {
		nothing := figures.Samples(m.Sides[result.Nothing])
		for _, side := range []string{result.Nothing, result.Forward, "ipvs", "ebpf"} {
			all := figures.Samples(m.Sides[side])
			cells := []any{all, nil, nil}
			if side != result.Nothing {
				cells[1] = minus(all, nothing)
			}
			if side == "ebpf" {
				cells[2] = minus(all, nothing).Over(minus(m.Sides["ipvs"], nothing)).Most(1)
			}
			t.Add([]string{m.Family, m.Work, side}, cells...)
		}
	}
	return figures.Sheet{
		Name: "ipvs", About: fmt.Sprintf("instructions of an emulated processor, %d packets or connections in a round, %d rounds", o.packets, o.rounds),
		Tables: []figures.Table{t},
		Notes: []string{
			"Instructions are not time: an emulated processor knows no caches, and no branches that were guessed wrong.",
			"Segments without data, of 64 connections by turns, one real server, rr, the settings of both as they come. Debian's kernel, whose programs of BPF are compiled (JIT).",
		},
	}
}

// minus subtracts round by round.
func minus(a, b figures.Samples) (left figures.Samples) {
	for i := range min(len(a), len(b)) {
		left.Add(a[i] - b[i])
	}
	return left
}
