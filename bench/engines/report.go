package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// phase is what was measured of one engine under one kind of load.
type phase struct {
	reads, writes figures.Latency
	slowest       figures.Samples // ms
}

func (p *phase) add(o outcome) {
	p.reads.Add(o.reads, o.seconds)
	p.writes.Add(o.writes, o.seconds)
	p.slowest.Add(float64(max(o.reads.Max(), o.writes.Max())) / 1000)
}

// result is all that is known of one engine.
type result struct {
	name                  string
	preload               time.Duration
	steady, collecting    phase
	collected             figures.Samples
	open, recover         figures.Samples // ms
	sizeBefore, sizeAfter int64
}

// sheet is what was measured, on a disk that takes so long to sync a write.
func (o options) sheet(results []result, sync time.Duration) figures.Sheet {
	s := figures.Sheet{
		Name: "engines", About: fmt.Sprintf("%d sessions of %d bytes, %d clients, half reads, half writes; %d rounds of %v",
			o.sessions, o.payload, o.clients, o.rounds, o.span),
		Tables: []figures.Table{o.load(results), files(results)},
	}
	s.Note("A write of 64 KiB takes this disk %v to sync.", sync.Round(time.Microsecond))
	for i := range results {
		if r := &results[i]; o.gc {
			s.Note("%s: %s sessions deleted while it was measured", r.name, r.collected)
		}
	}
	return s
}

func (o options) load(results []result) figures.Table {
	t := figures.Table{
		Title: "load", Labels: []string{"load", "engine"},
		Figures: []string{"writes/s", "write p50 ms", "write p99 ms", "reads/s", "read p50 ms", "read p99 ms", "slowest ms"},
	}
	add := func(name string, of func(r *result) *phase) {
		for i := range results {
			p := of(&results[i])
			t.Add([]string{name, results[i].name}, p.writes.Rate, p.writes.P50, p.writes.P99, p.reads.Rate, p.reads.P50, p.reads.P99, p.slowest)
		}
	}
	add("reads and writes", func(r *result) *phase { return &r.steady })
	if o.gc {
		add("while a tenth is deleted", func(r *result) *phase { return &r.collecting })
	}
	return t
}

func files(results []result) figures.Table {
	t := figures.Table{
		Title: "files", Labels: []string{"engine"},
		Figures: []string{"open after kill ms", "open ms", "to fill it s", "filled, MiB on disk", "at the end, MiB on disk"},
	}
	for i := range results {
		r := &results[i]
		mebibytes := func(size int64) string { return figures.Number(float64(size) / (1 << 20)) }
		t.Add([]string{r.name}, r.recover, r.open, figures.Number(r.preload.Seconds()), mebibytes(r.sizeBefore), mebibytes(r.sizeAfter))
	}
	return t
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
