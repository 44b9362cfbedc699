package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/bench/rig/qemu"
	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

// Recordings is where they are, seen from the root of the checkout. Below it is a folder for each kind of scenario.
const Recordings = "lvsproxy/testdata/ipvs"

// files returns the files of recordings below the checkout's root.
func files(root string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(root, Recordings, "*", "*.txt"))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("there are no recordings below %s", filepath.Join(root, Recordings))
	}
	return found, err
}

// timeout is how long a scenario may take.
const timeout = 3 * time.Minute

// atOnce is how many scenarios run at the same time: some only wait.
const atOnce = 8

// replay runs the scenarios of files in the guest, each in a network namespace of its own, and returns the new recordings,
// a file for each. A file's folder names the kind of its scenarios.
func replay(ctx context.Context, guest *qemu.Guest, paths []string) ([]*recording.File, error) {
	var all []*recording.File
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, path := range paths {
		file, err := recording.Read(path)
		if err != nil {
			return nil, err
		}
		all = append(all, file)
		kind := filepath.Base(filepath.Dir(path))
		for i := range file.Scenarios {
			group.Go(func() (err error) {
				file.Scenarios[i], err = play(ctx, guest, kind, file.Scenarios[i])
				if err != nil {
					err = fmt.Errorf("%s: %w", path, err)
				}
				return err
			})
		}
	}
	return all, group.Wait()
}

func play(ctx context.Context, guest *qemu.Guest, kind string, s recording.Scenario) (recording.Scenario, error) {
	in := recording.Format(&recording.File{Scenarios: []recording.Scenario{s}})
	r, err := guest.Run(ctx, qemu.Command{Args: []string{"player", kind}, Stdin: string(in), Timeout: timeout, NewNet: true})
	switch {
	case err != nil:
		return s, err
	case r.TimedOut:
		return s, fmt.Errorf("%s: no end after %v", s.Name, timeout)
	case r.Code != 0:
		return s, fmt.Errorf("%s", strings.TrimSpace(r.Stderr))
	}
	out, err := recording.Parse([]byte(r.Stdout))
	if err != nil {
		return s, fmt.Errorf("what the player wrote: %w", err)
	}
	return out.Scenarios[0], nil
}
