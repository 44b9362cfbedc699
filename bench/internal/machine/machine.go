// Package machine tells what a measurement was made on: a figure without its machine says nothing.
package machine

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Facts are what is worth knowing of a machine beside a figure. What cannot be told is empty.
type Facts struct {
	Commit    string  `json:"commit"` // of the working directory's checkout, with a note if it has changes
	System    string  `json:"system"` // kernel's name, release and architecture
	Processor string  `json:"processor"`
	Cores     int     `json:"cores"`
	MemoryMiB int64   `json:"memory_mib"`
	Go        string  `json:"go"`
	Load      float64 `json:"load"` // average of the last minute, when it was asked
}

// Ask returns the facts of this machine now.
func Ask() Facts {
	return Facts{
		Commit: commit(), System: system(), Processor: Processor(), Cores: runtime.NumCPU(),
		MemoryMiB: Memory() >> 20, Go: runtime.Version(), Load: load(),
	}
}

func commit() string {
	hash, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return ""
	}
	text := strings.TrimSpace(string(hash))
	if exec.Command("git", "diff", "--quiet", "HEAD").Run() != nil {
		text += " with changes"
	}
	return text
}

func system() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return runtime.GOOS + " " + runtime.GOARCH
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}

// Processor returns the processor's name.
func Processor() string { return Field("/proc/cpuinfo", "model name", ":") }

// Memory returns how many bytes of memory there are.
func Memory() int64 {
	number, _, _ := strings.Cut(Field("/proc/meminfo", "MemTotal", ":"), " ")
	kib, _ := strconv.ParseInt(number, 10, 64)
	return kib << 10
}

func load() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	average, _ := strconv.ParseFloat(first, 64)
	return average
}

// Field returns what a file has behind a name and a separator, the first time; nothing if it does not.
func Field(path, name, separator string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, found := strings.Cut(lines.Text(), separator); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
