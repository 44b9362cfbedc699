// Package command is how the benchmarks' programs begin and end.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/machine"
)

var (
	began    = time.Now()
	jsonFile string
)

// Main runs a program under a name. Its context ends with SIGINT or SIGTERM, so that it can clean up. An error is printed,
// and the process ends with status 1. The default set of flags gets those of [Flags].
func Main(name string, run func(context.Context) error) {
	Flags(flag.CommandLine)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Flags adds the flags that every benchmark has.
func Flags(f *flag.FlagSet) {
	f.StringVar(&jsonFile, "json", "", "write the figures as JSON to this `FILE`, too")
}

// Publish completes a sheet with how, unless it says so, and where it was measured, prints it, and writes it to the file of --json.
func Publish(s figures.Sheet) error {
	s = complete(s)
	return errors.Join(s.Text(os.Stdout), write(s))
}

// Keep is Publish without the printing, for figures that are printed already.
func Keep(s figures.Sheet) error { return write(complete(s)) }

func complete(s figures.Sheet) figures.Sheet {
	if s.Command == "" {
		s.Command = Line("go run ./bench/"+s.Name, os.Args[1:])
	}
	s.Began, s.Took, s.Machine = began, time.Since(began).Seconds(), machine.Ask()
	return s
}

func write(s figures.Sheet) error {
	if jsonFile == "" {
		return nil
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return fmt.Errorf("write the figures as JSON: %w", err)
	}
	return os.WriteFile(jsonFile, append(text, '\n'), 0o644)
}

// Line is the command that measures the same again: a program with arguments, but for where the figures go.
func Line(program string, args []string) string {
	words := []string{program}
	for i := 0; i < len(args); i++ {
		switch flag := strings.TrimLeft(args[i], "-"); {
		case flag != args[i] && (flag == "json" || flag == "html"):
			i++
		case flag != args[i] && (strings.HasPrefix(flag, "json=") || strings.HasPrefix(flag, "html=")):
		case strings.ContainsAny(args[i], " \t\"'$;&|<>()*?\\"):
			words = append(words, "'"+strings.ReplaceAll(args[i], "'", `'\''`)+"'")
		default:
			words = append(words, args[i])
		}
	}
	return strings.Join(words, " ")
}
