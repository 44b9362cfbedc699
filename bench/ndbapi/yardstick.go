package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lvsession/lvsession/bench/internal/visits"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
)

//go:embed yardstick/yardstick.cc
var source []byte

// buildYardstick compiles the program and returns where it is.
func buildYardstick(ctx context.Context, dir string) (string, error) {
	env, err := ndbcluster.BuildEnv()
	if err != nil {
		return "", err
	}
	code, program := filepath.Join(dir, "yardstick.cc"), filepath.Join(dir, "yardstick")
	if err := os.WriteFile(code, source, 0o644); err != nil {
		return "", err
	}
	args := []string{"-std=c++20", "-O2", "-o", program, code}
	for _, variable := range env {
		_, value, _ := strings.Cut(variable, "=")
		args = append(args, strings.Fields(strings.Trim(value, "'"))...)
	}
	out, err := exec.CommandContext(ctx, "g++", append(args, "-lndbclient", "-lpthread")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("g++: %w\n%s", err, out)
	}
	return program, nil
}

// yardstick is the program with what it works on.
type yardstick struct {
	program string
	args    []string // before the mode
	rest    []string // behind it
}

func newYardstick(program, connect, database, ids string, o options) (yardstick, error) {
	var b bytes.Buffer
	for n := range o.Sessions {
		key := visits.Key(n)
		b.Write(key[:])
	}
	y := yardstick{program: program, args: []string{connect, database, ids}}
	y.rest = []string{strconv.FormatFloat(o.Span.Seconds(), 'f', -1, 64), strconv.Itoa(o.Payload)}
	return y, os.WriteFile(ids, b.Bytes(), 0o644)
}

// run runs the program once and returns the rows that it went through in a second, and the median of a batch in ms.
func (y yardstick) run(ctx context.Context, mode string, threads, batch int) (rate, p50 float64, err error) {
	args := append(append([]string{}, y.args...), mode, strconv.Itoa(threads), strconv.Itoa(batch))
	cmd := exec.CommandContext(ctx, y.program, append(args, y.rest...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, &stderr)
	}
	var done, seconds, micros float64
	if _, err := fmt.Sscan(string(out), &done, &seconds, &micros); err != nil {
		return 0, 0, fmt.Errorf("yardstick: %q: %w", out, err)
	}
	return done / seconds, micros / 1000, nil
}
