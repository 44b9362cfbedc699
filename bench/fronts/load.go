package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// load is a kind of load.
type load struct {
	name, what string
	path       string
	args       []string // for wrk
	active     int      // how many connections are busy at once, at most: more wait for each other on the machine's cores
	bytes      bool     // the unit of work is a gigabyte, and not a request
	visits     bool     // vipbench makes it, and not wrk
}

const (
	bodies = "bodies"
	visits = "visits"
)

var loads = []load{
	{"new", "connections, a request each", "/index.html", []string{"-H", "Connection: close"}, 64, false, false},
	{"kept", "requests on kept connections", "/index.html", nil, 64, false, false},
	{bodies, "gigabytes, in bodies of 10 MB", "/body", nil, 10, true, false},
	{visits, "visits of a PHP page, each checked", "/counter.php", nil, 16, false, true},
}

// one measures one side once.
func (o options) one(ctx context.Context, s *site, r *result, f *figuresOf) error {
	if r.load.visits {
		return o.visit(ctx, s, r, f)
	}
	args := append([]string{
		"-t2", "-c" + strconv.Itoa(min(r.conns, r.load.active)), "-d" + strconv.Itoa(int(o.span.Seconds())) + "s", "--timeout", "30s", "--latency",
	}, r.load.args...)
	if f.side.script != "" {
		args = append(args, "-s", f.side.script)
	}
	wrk := s.rig.Command(ctx, namespaces.Client, "wrk", append(args, "http://"+f.side.addrs[0]+r.load.path)...)
	before := s.ran()
	out, err := wrk.CombinedOutput()
	if err != nil {
		return fmt.Errorf("wrk: %w: %s", err, out)
	}
	ran := s.ran() - before + wrk.ProcessState.UserTime() + wrk.ProcessState.SystemTime()
	w, err := parseWrk(string(out))
	if err != nil {
		return err
	}
	work, unit := w.requests, time.Microsecond
	if r.load.bytes {
		work, unit = w.bytes/1e9, time.Millisecond
	}
	f.failed += w.failed
	if work == 0 {
		return errors.New("nothing was done in the time; it is too short")
	}
	f.rate.Add(work / w.took.Seconds())
	f.p50.Add(float64(w.p50.Microseconds()) / 1000)
	f.p99.Add(float64(w.p99.Microseconds()) / 1000)
	f.processor.Add(float64(ran) / float64(unit) / work)
	return nil
}

// outcome is what wrk says.
type outcome struct {
	requests, bytes float64
	took, p50, p99  time.Duration
	failed          int
}

var (
	wrkDone      = regexp.MustCompile(`(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)([KMGT]?)B read`)
	wrkQuantiles = regexp.MustCompile(`(50|99)%\s+([\d.]+)(us|ms|s|m)\s`)
	wrkErrors    = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkStatus    = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

func parseWrk(text string) (o outcome, err error) {
	done, quantiles := wrkDone.FindStringSubmatch(text), wrkQuantiles.FindAllStringSubmatch(text, -1)
	if done == nil || len(quantiles) != 2 {
		return o, fmt.Errorf("cannot read what wrk says:\n%s", text)
	}
	var errs [5]error
	o.requests, errs[0] = strconv.ParseFloat(done[1], 64)
	o.took, errs[1] = time.ParseDuration(done[2] + done[3])
	o.bytes, errs[2] = strconv.ParseFloat(done[4], 64)
	o.bytes *= float64(uint64(1) << (10 * strings.Index(" KMGT", (" " + done[5])[len(done[5]):])))
	o.p50, errs[3] = time.ParseDuration(quantiles[0][2] + quantiles[0][3])
	o.p99, errs[4] = time.ParseDuration(quantiles[1][2] + quantiles[1][3])
	if err := errors.Join(errs[:]...); err != nil || o.took == 0 {
		return o, fmt.Errorf("cannot read what wrk says: %w:\n%s", err, text)
	}
	for _, match := range [][]string{wrkErrors.FindStringSubmatch(text), wrkStatus.FindStringSubmatch(text)} {
		for _, field := range match[min(1, len(match)):] {
			n, _ := strconv.Atoi(field)
			o.failed += n
		}
	}
	return o, nil
}
