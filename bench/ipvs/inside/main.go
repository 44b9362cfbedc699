// Command inside is the part of bench/ipvs that runs in the guest. It prints what it has measured as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/ipvs/internal/result"
)

func main() {
	rounds := flag.Int("rounds", 5, "rounds")
	packets := flag.Int("packets", 1000, "packets, or connections, of a kind in a round")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	figures, err := run(ctx, *rounds, *packets)
	stop()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(figures)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "inside:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds, packets int) ([]result.Figure, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	var sides []*side
	defer func() {
		for _, s := range sides {
			s.stop()
		}
	}()
	for _, dataplane := range []string{"", "ipvs", "ebpf"} {
		s, err := startSide(ctx, dataplane)
		if s != nil {
			sides = append(sides, s)
		}
		if err != nil {
			return nil, fmt.Errorf("start %q: %w", dataplane, err)
		}
	}
	var figures []result.Figure
	for _, f := range families {
		for _, w := range works {
			figures = append(figures, result.Figure{Family: f.name, Work: w.name, Sides: map[string][]float64{}})
			if err := measure(sides, f, w, rounds, packets, figures[len(figures)-1].Sides); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", f.name, w.name, err)
			}
		}
	}
	return figures, nil
}

// measure has all sides do a work by turns. The first round warms up.
func measure(sides []*side, f family, w work, rounds, packets int, samples map[string][]float64) error {
	for round := -1; round < rounds; round++ {
		for i := range sides {
			s := sides[(i+max(0, round))%len(sides)]
			cost, err := s.work(f, w, packets)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name(), err)
			}
			if round < 0 {
				continue
			}
			samples[s.name()] = append(samples[s.name()], cost)
			if s.dataplane == "" {
				nothing, err := s.nothing(f, w, packets)
				if err != nil {
					return err
				}
				samples[result.Nothing] = append(samples[result.Nothing], nothing)
			}
		}
	}
	return nil
}

// ready makes sure that the figures are what they claim to be.
func ready() error {
	jit, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(jit)) != "1" {
		return errors.New("programs of BPF are interpreted")
	}
	// A loop's round is some two to four instructions, of a nanosecond each where the clock counts them.
	const rounds = 10_000_000
	var times []time.Duration
	for range 3 {
		began := time.Now()
		if n := spin(rounds); n < 0 { // so that the loop is not for nothing
			return fmt.Errorf("a loop went on to %d", n)
		}
		times = append(times, time.Since(began))
	}
	if each := float64(slices.Min(times)) / rounds; each < 1.5 || each > 5 {
		return fmt.Errorf("a round of an empty loop takes %.2f ns: the clock counts no instructions", each)
	}
	return nil
}

//go:noinline
func spin(rounds int) (n int) {
	for i := range rounds {
		n ^= i
	}
	return n
}
