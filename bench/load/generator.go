package load

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvsession/lvsession/bench/internal/machine"
)

// Generator is how the load generator itself fared: what is its own fault must not be blamed on the target.
type Generator struct {
	Cores int     `json:"cores"` // that it may use
	CPU   float64 `json:"cpu"`   // cores that it used on average
	// PeakCPU is the most cores it used in any second, of those in [Result].Series.
	PeakCPU float64 `json:"peak_cpu"`
	// Saturated tells that the generator, not the target, may have set the figures; Reasons says what shows it.
	Saturated bool     `json:"saturated"`
	Reasons   []string `json:"reasons,omitempty"`
}

// What makes a generator count as saturated.
const (
	saturatedCPU  = 0.90 // of its cores, on average over the load or in more than a tenth of its seconds
	saturatedHeld = 0.01 // of all requests of an open load found no free user or place
	saturatedLag  = 0.25 // of the median latency, for the median lag of an open load
)

// judgeGenerator fills in Generator from the rest of the result.
func (r *Result) judgeGenerator(cpu time.Duration) {
	g := &r.Generator
	g.Cores = runtime.GOMAXPROCS(0)
	if s := time.Duration(r.Elapsed).Seconds(); s > 0 {
		g.CPU = cpu.Seconds() / s
	}
	busy := 0
	for _, s := range r.Series {
		g.PeakCPU = max(g.PeakCPU, s.CPU)
		if s.CPU > saturatedCPU*float64(g.Cores) {
			busy++
		}
	}
	reason := func(format string, args ...any) { g.Reasons = append(g.Reasons, fmt.Sprintf(format, args...)) }
	if g.CPU > saturatedCPU*float64(g.Cores) {
		reason("used %.2f of its %d cores", g.CPU, g.Cores)
	} else if busy*10 > len(r.Series) {
		reason("used more than %.0f%% of its %d cores in %d of %d seconds", 100*saturatedCPU, g.Cores, busy, len(r.Series))
	}
	if float64(r.Held) > saturatedHeld*float64(r.Attempts) {
		reason("had %d requests due while all places were taken: more concurrency or users, or a slower rate", r.Held)
	}
	if lag := r.Lag.P50; r.Lag.Count > 0 && lag > Millis(time.Millisecond) && float64(lag) > saturatedLag*float64(r.Latency.P50) {
		reason("woke up %v late in the median, which is much of the latency's %v", lag, r.Latency.P50)
	}
	if n := r.ErrorsByClass[Local]; n > 0 {
		reason("had %d requests fail for want of ports, files or buffers of this machine", n)
	}
	g.Saturated = len(g.Reasons) > 0
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Machine is what the load generator ran on.
type Machine struct {
	CPU    string `json:"cpu"`       // the processor's name
	Cores  int    `json:"cores"`     // of the machine
	Memory int64  `json:"memory"`    // bytes
	Kernel string `json:"kernel"`    // its release
	OS     string `json:"os"`        // the distribution
	Go     string `json:"go"`        // that vipbench was built with
	Commit string `json:"commit"`    // that vipbench was built from, if known
	Files  uint64 `json:"files_max"` // limit of open files
}

// ThisMachine tells the facts of the machine that the program runs on. What cannot be found out is left empty.
func ThisMachine() Machine {
	m := Machine{CPU: cmp.Or(machine.Processor(), runtime.GOARCH), Cores: runtime.NumCPU(), Memory: machine.Memory(), Go: runtime.Version()}
	m.OS = strings.Trim(machine.Field("/etc/os-release", "PRETTY_NAME", "="), `"`)
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		m.Files = limit.Cur
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				m.Commit = s.Value
			}
		}
	}
	return m
}
