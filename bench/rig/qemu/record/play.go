package main

import (
	"context"
	"errors"
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

// timeout is how long the scenarios of a file may take.
const timeout = 10 * time.Minute

// atOnce is how many files are played at the same time: some scenarios only wait.
const atOnce = 4

// replay runs the scenarios of files in the guest and returns the new recordings, a file for each.
func replay(ctx context.Context, guest *qemu.Guest, paths []string) ([]*recording.File, error) {
	all := make([]*recording.File, len(paths))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, path := range paths {
		group.Go(func() (err error) {
			if all[i], err = play(ctx, guest, path); err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
			return err
		})
	}
	return all, group.Wait()
}

// play runs the scenarios of a file. Its folder names their kind.
func play(ctx context.Context, guest *qemu.Guest, path string) (*recording.File, error) {
	old, err := recording.Read(path)
	if err != nil {
		return nil, err
	}
	kind := filepath.Base(filepath.Dir(path))
	r, err := guest.Run(ctx, qemu.Command{Args: []string{"player", kind}, Stdin: string(recording.Format(old)), Timeout: timeout})
	switch {
	case err != nil:
		return nil, err
	case r.TimedOut:
		return nil, fmt.Errorf("no end after %v", timeout)
	case r.Code != 0:
		return nil, errors.New(strings.TrimSpace(r.Stderr))
	}
	file, err := recording.Parse([]byte(r.Stdout))
	if err != nil {
		return nil, fmt.Errorf("what the player wrote: %w", err)
	}
	return file, nil
}
