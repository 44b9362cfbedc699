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
const timeout = 30 * time.Minute

// atOnce is how many files are played at the same time: some scenarios only wait.
const atOnce = 4

// replay runs the scenarios of files in the guest and returns the new recordings, a file for each. A file's folder names
// the kind of its scenarios. With an error they hold what succeeded; a file is nil where nothing did.
func replay(ctx context.Context, guest *qemu.Guest, paths []string, files []*recording.File) ([]*recording.File, error) {
	all, errs := make([]*recording.File, len(paths)), make([]error, len(paths))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, path := range paths {
		group.Go(func() error {
			if all[i], errs[i] = play(ctx, guest, filepath.Base(filepath.Dir(path)), files[i]); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", path, errs[i])
			}
			return nil
		})
	}
	group.Wait()
	return all, errors.Join(errs...)
}

func play(ctx context.Context, guest *qemu.Guest, kind string, file *recording.File) (*recording.File, error) {
	in := string(recording.Format(file))
	r, err := guest.Run(ctx, qemu.Command{Args: []string{"player", kind}, Stdin: in, Timeout: timeout})
	switch {
	case err != nil:
		return nil, err
	case r.TimedOut:
		return nil, fmt.Errorf("no end after %v", timeout)
	}
	var failed error
	if r.Code != 0 {
		failed = errors.New(strings.TrimSpace(r.Stderr))
	}
	played, err := recording.Parse([]byte(r.Stdout))
	if err != nil || len(played.Scenarios) == 0 {
		return nil, fmt.Errorf("what the player wrote: %w", errors.Join(err, failed))
	}
	return played, failed
}
