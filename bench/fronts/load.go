package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// load is a kind of load.
type load struct {
	name, what, unit string
	path             string
	args             []string // for wrk
	active           int      // how many connections are busy at once, at most: more wait for each other on the machine's cores
}

var loads = []load{
	{"new", "a new connection for each request", "connections", "/index.html", []string{"-H", "Connection: close"}, 64},
	{"kept", "requests on kept connections", "requests", "/index.html", nil, 64},
	{"bodies", "bodies of 10 MB", "bodies", "/body", nil, 10},
}

// one measures one side once.
func (o options) one(ctx context.Context, rig *namespaces.Rig, r *result, f *figuresOf) error {
	args := append([]string{
		"-t1", "-c" + strconv.Itoa(min(r.conns, r.load.active)), "-d" + strconv.Itoa(int(o.span.Seconds())) + "s", "--timeout", "30s", "--latency",
	}, r.load.args...)
	before := f.side.processor()
	out, err := rig.Command(ctx, namespaces.Client, "wrk", append(args, "http://"+f.side.addr+r.load.path)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("wrk: %w: %s", err, out)
	}
	spent := f.side.processor() - before
	w, err := parseWrk(string(out))
	if err != nil {
		return err
	}
	f.rate.Add(w.rate)
	f.p99.Add(float64(w.p99.Microseconds()) / 1000)
	f.failed += w.failed
	if f.side.process != nil && w.requests > 0 {
		f.processor.Add(float64(spent.Microseconds()) / float64(w.requests))
	}
	return nil
}

// outcome is what wrk says.
type outcome struct {
	requests, failed int
	rate             float64
	p99              time.Duration
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkP99      = regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s|m)\s`)
	wrkErrors   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

func parseWrk(text string) (o outcome, err error) {
	requests, rate, p99 := wrkRequests.FindStringSubmatch(text), wrkRate.FindStringSubmatch(text), wrkP99.FindStringSubmatch(text)
	if requests == nil || rate == nil || p99 == nil {
		return o, fmt.Errorf("cannot read what wrk says:\n%s", text)
	}
	o.requests, _ = strconv.Atoi(requests[1])
	o.rate, _ = strconv.ParseFloat(rate[1], 64)
	if o.p99, err = time.ParseDuration(p99[1] + p99[2]); err != nil {
		return o, err
	}
	for _, match := range [][]string{wrkErrors.FindStringSubmatch(text), wrkStatus.FindStringSubmatch(text)} {
		for _, field := range match[min(1, len(match)):] {
			n, _ := strconv.Atoi(field)
			o.failed += n
		}
	}
	return o, nil
}
