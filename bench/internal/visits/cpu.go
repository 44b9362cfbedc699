package visits

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// Usage is the CPU time used by the load and the store in it, by the SQL nodes, and by the data nodes.
type Usage struct{ Load, SQL, Data time.Duration }

func (u Usage) minus(v Usage) Usage { return Usage{u.Load - v.Load, u.SQL - v.SQL, u.Data - v.Data} }

// Sum is the CPU time of all.
func (u Usage) Sum() time.Duration { return u.Load + u.SQL + u.Data }

// used returns the CPU time used so far by this process, and by the nodes that the parent, another process or this one,
// has started.
func used(parent int) (u Usage) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		end := bytes.LastIndexByte(stat, ')')
		if err != nil || end < 0 {
			continue // it has ended
		}
		// proc_pid_stat(5): pid (name) state ppid …
		pid, name, _ := strings.Cut(string(stat[:end]), " (")
		fields := strings.Fields(string(stat[end+1:]))
		switch {
		case pid == strconv.Itoa(os.Getpid()):
			u.Load += onCPU(filepath.Dir(file))
		case fields[1] != strconv.Itoa(parent):
		case name == "mysqld":
			u.SQL += onCPU(filepath.Dir(file))
		case name == "ndbmtd":
			u.Data += onCPU(filepath.Dir(file))
		}
	}
	return u
}

// onCPU returns the CPU time of a process's threads.
func onCPU(process string) (sum time.Duration) {
	threads, _ := filepath.Glob(process + "/task/*/schedstat")
	for _, thread := range threads {
		stat, _ := os.ReadFile(thread)
		ns, _, _ := strings.Cut(string(stat), " ")
		n, _ := strconv.ParseInt(ns, 10, 64)
		sum += time.Duration(n)
	}
	return sum
}

// CPU is the CPU time of a visit, one sample a round, in µs, and how many cores were used.
type CPU struct{ load, sql, data, cores figures.Samples }

// Add adds a measurement.
func (c *CPU) Add(o Outcome) {
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(1, o.Visits)) }
	c.load.Add(each(o.CPU.Load))
	c.sql.Add(each(o.CPU.SQL))
	c.data.Add(each(o.CPU.Data))
	c.cores.Add(o.CPU.Sum().Seconds() / o.Lasted.Seconds())
}

// Cells are the figures of a row behind the latency.
func (c *CPU) Cells() []any { return []any{c.load, c.sql, c.data, c.cores} }
