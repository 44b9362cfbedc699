package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// samples are the values of one figure, one a round.
type samples []float64

func (s *samples) add(v float64) { *s = append(*s, v) }

func (s samples) String() string {
	if len(s) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(s))
	return fmt.Sprintf("%s (%s–%s)", number(sorted[len(sorted)/2]), number(sorted[0]), number(sorted[len(sorted)-1]))
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// figures are the figures of one phase.
type figures struct {
	readRate, writeRate                    samples // per second
	read50, read99, write50, write99, high samples // ms
}

func (f *figures) add(o outcome) {
	at := func(h *hdrhistogram.Histogram, q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	f.readRate.add(float64(o.reads.TotalCount()) / o.seconds)
	f.writeRate.add(float64(o.writes.TotalCount()) / o.seconds)
	f.read50.add(at(o.reads, 50))
	f.read99.add(at(o.reads, 99))
	f.write50.add(at(o.writes, 50))
	f.write99.add(at(o.writes, 99))
	f.high.add(float64(max(o.reads.Max(), o.writes.Max())) / 1000)
}

// result is all that is known of one engine.
type result struct {
	name                  string
	preload               time.Duration
	steady, collecting    figures
	collected             samples
	open, recover         samples // ms
	sizeBefore, sizeAfter int64
}

func report(w io.Writer, results []result, o options) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value func(r *result) string) {
		fmt.Fprint(t, name)
		for i := range results {
			fmt.Fprint(t, "\t", value(&results[i]))
		}
		fmt.Fprintln(t)
	}
	row("", func(r *result) string { return r.name })
	phase := func(prefix string, of func(r *result) *figures) {
		row(prefix+"reads/s", func(r *result) string { return of(r).readRate.String() })
		row(prefix+"writes/s", func(r *result) string { return of(r).writeRate.String() })
		row(prefix+"read p50 ms", func(r *result) string { return of(r).read50.String() })
		row(prefix+"read p99 ms", func(r *result) string { return of(r).read99.String() })
		row(prefix+"write p50 ms", func(r *result) string { return of(r).write50.String() })
		row(prefix+"write p99 ms", func(r *result) string { return of(r).write99.String() })
		row(prefix+"slowest ms", func(r *result) string { return of(r).high.String() })
	}
	phase("", func(r *result) *figures { return &r.steady })
	if o.gc {
		phase("gc: ", func(r *result) *figures { return &r.collecting })
		row("gc: deleted", func(r *result) string { return r.collected.String() })
	}
	row("open ms", func(r *result) string { return r.open.String() })
	row("open after kill ms", func(r *result) string { return r.recover.String() })
	row("preload s", func(r *result) string { return number(r.preload.Seconds()) })
	row("MiB on disk, filled", func(r *result) string { return number(float64(r.sizeBefore) / (1 << 20)) })
	row("MiB on disk, at the end", func(r *result) string { return number(float64(r.sizeAfter) / (1 << 20)) })
	t.Flush()
}

// describe prints what is measured, and on what.
func describe(dir string, o options) error {
	sync, err := syncTime(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d sessions of %d bytes, %d clients, half reads, half writes; %d rounds of %v; median (lowest–highest)\n",
		o.sessions, o.payload, o.clients, o.rounds, o.span)
	fmt.Printf("%s, %d cores, fsync of 64 KiB takes %v\n\n", runtime.Version(), runtime.NumCPU(), sync.Round(time.Microsecond))
	return nil
}

// syncTime is the median time that the disk takes to sync a write of 64 KiB.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := []byte(strings.Repeat("x", 64<<10))
	var times []time.Duration
	for range 101 {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		start := time.Now()
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// size is the disk space that a folder takes, in bytes; holes in files do not count.
func size(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			return fmt.Errorf("size of %s: %w", path, err)
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}
