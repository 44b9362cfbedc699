// Command player runs the scenarios of a recording, read from standard input, each in a network namespace of its own, and
// writes the recording anew on standard output. It runs in the guest of package qemu. Its argument is the
// kind of scenario: ipvsadm, picks or ldirectord.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

// player runs the steps of one scenario after the other.
type player interface {
	play(step *recording.Step) error
	end() error
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "player:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	file, err := recording.Parse(text)
	if err != nil {
		return err
	}
	players := map[string]func() (player, error){"ipvsadm": newCommands, "picks": newPicks, "ldirectord": newDirector}
	begin, ok := players[strings.Join(os.Args[1:], " ")]
	if !ok {
		return fmt.Errorf("unknown kind of scenario %q", os.Args[1:])
	}
	runtime.LockOSThread() // only this thread changes its network namespace
	var errs []error       // a scenario that fails keeps the others from nothing
	for _, scenario := range file.Scenarios {
		if err := play(begin, scenario.Steps); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", scenario.Name, err))
		}
	}
	_, err = os.Stdout.Write(recording.Format(file))
	return errors.Join(append(errs, err)...)
}

// play runs the steps in a network namespace of their own and notes in them what happened.
func play(begin func() (player, error), steps []recording.Step) (err error) {
	if err := newNetwork(); err != nil {
		return err
	}
	p, err := begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	for i := range steps {
		steps[i].Stdout, steps[i].Stderr, steps[i].Code = "", "", 0
		if err := p.play(&steps[i]); err != nil {
			return fmt.Errorf("%s: %w", steps[i].Command, err)
		}
	}
	return nil
}
