package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// outsideRate is how many commands redis-benchmark gets to send for each second of a measurement: it counts, and knows no time.
const outsideRate = 20_000

// outsideSide is what redis-benchmark found of one side with one command.
type outsideSide struct {
	side           *side
	rate, p50, p99 figures.Samples // commands a second, ms
}

// measureOutside measures the sides that speak Redis's protocol with redis-benchmark, at the greatest concurrency, on the
// sessions that the mixes use.
func (o options) measureOutside(ctx context.Context, sides []*side) (figures.Table, error) {
	clients := slices.Max(o.clients)
	t := figures.Table{
		Labels:  []string{"redis-benchmark", "clients", "side"},
		Figures: []string{"commands/s", "p50 ms", "p99 ms"},
	}
	commands := [][]string{{"GET", outsideKey}, {"SETEX", outsideKey, strconv.Itoa(int(idle.Seconds())), string(figures.Payload(o.payload))}}
	for _, command := range commands {
		var found []*outsideSide
		for _, s := range sides {
			if s.redis != "" {
				found = append(found, &outsideSide{side: s})
			}
		}
		for round := range o.rounds {
			for i := range found {
				f := found[(i+round)%len(found)]
				if err := o.outside(ctx, f, clients, command); err != nil {
					return t, fmt.Errorf("%s: redis-benchmark %s: %w", f.side.name, command[0], err)
				}
			}
			fmt.Fprintf(os.Stderr, "round %d: redis-benchmark %s\n", round+1, command[0])
		}
		tabulateOutside(&t, command[0], clients, found)
	}
	return t, nil
}

// outsideKey is [sessionID] with a number that redis-benchmark chooses: it makes twelve digits.
var outsideKey = strings.TrimSuffix(sessionID(0), strings.Repeat("0", 12)) + "__rand_int__"

func (o options) outside(ctx context.Context, f *outsideSide, clients int, command []string) error {
	host, port, err := net.SplitHostPort(f.side.redis)
	if err != nil {
		return err
	}
	total := max(clients, int(o.span.Seconds()*outsideRate))
	args := []string{"-h", host, "-p", port, "-c", strconv.Itoa(clients), "-n", strconv.Itoa(total), "-r", strconv.Itoa(o.sessions), "--csv"}
	out, err := exec.CommandContext(ctx, "redis-benchmark", append(args, command...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return err
	}
	rate, p50, p99, err := readOutside(string(out))
	f.rate.Add(rate)
	f.p50.Add(p50)
	f.p99.Add(p99)
	return err
}

// readOutside reads what redis-benchmark prints with --csv: names of columns and one line of figures. The first column is
// the whole command, with quotes in it as they are.
func readOutside(text string) (rate, p50, p99 float64, err error) {
	names, line, _ := strings.Cut(strings.TrimSpace(text), "\n")
	columns, err := csv.NewReader(strings.NewReader(names)).Read()
	if err != nil {
		return 0, 0, 0, err
	}
	fields := strings.Split(line, ",")
	if len(fields) < len(columns) {
		return 0, 0, 0, fmt.Errorf("%q under %q", line, names)
	}
	fields = fields[len(fields)-len(columns):]
	for name, value := range map[string]*float64{"rps": &rate, "p50_latency_ms": &p50, "p99_latency_ms": &p99} {
		i := slices.Index(columns, name)
		if i < 0 {
			return 0, 0, 0, fmt.Errorf("no column %s in %q", name, names)
		}
		if *value, err = strconv.ParseFloat(strings.Trim(fields[i], `"`), 64); err != nil {
			return 0, 0, 0, err
		}
	}
	return rate, p50, p99, nil
}

func tabulateOutside(t *figures.Table, command string, clients int, found []*outsideSide) {
	labels := func(side string) []string { return []string{command, fmt.Sprint(clients), side} }
	for _, f := range found {
		t.Add(labels(f.side.name), f.rate, f.p50, f.p99)
	}
	for _, f := range found {
		for _, peer := range found {
			if !f.side.peer && peer.side.peer {
				t.Add(labels(f.side.name+" : "+peer.side.name), f.rate.Over(peer.rate), f.p50.Over(peer.p50), f.p99.Over(peer.p99))
			}
		}
	}
}
