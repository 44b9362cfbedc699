package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is the CPU time used by the load and the store in it, by the SQL nodes, and by the data nodes.
type usage struct{ load, sql, data time.Duration }

func (u usage) minus(v usage) usage { return usage{u.load - v.load, u.sql - v.sql, u.data - v.data} }

// sum is the CPU time of all.
func (u usage) sum() time.Duration { return u.load + u.sql + u.data }

// used returns the CPU time used so far by this process, and by the nodes that the parent, another process or this one,
// has started.
func used(parent int) (u usage) {
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
			u.load += onCPU(filepath.Dir(file))
		case fields[1] != strconv.Itoa(parent):
		case name == "mysqld":
			u.sql += onCPU(filepath.Dir(file))
		case name == "ndbmtd":
			u.data += onCPU(filepath.Dir(file))
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
