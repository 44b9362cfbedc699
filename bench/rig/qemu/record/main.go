// Command record runs the scenarios of lvsproxy/testdata/ipvs with the real IPVS, ipvsadm and ldirectord, in a qemu
// guest, and writes what they did into the same files. Its test compares instead.
//
//	go run ./bench/rig/qemu/record [PART OF A FILE'S PATH]...
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/lvsession/lvsession/bench/rig/qemu"
	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

// playerPackage is the program that runs the scenarios in the guest.
const playerPackage = "github.com/lvsession/lvsession/bench/rig/qemu/player"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := record(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(ctx context.Context, parts []string) error {
	paths, err := files(".")
	if err != nil {
		return fmt.Errorf("%w (run it in the root of the checkout)", err)
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return !wanted(path, parts) })
	guest, err := qemu.Boot(ctx)
	if err != nil {
		return err
	}
	defer guest.Stop()
	if err := guest.Install(ctx, playerPackage); err != nil {
		return err
	}
	var scripts []*recording.File
	for _, path := range paths {
		file, err := recording.Read(path)
		if err != nil {
			return err
		}
		scripts = append(scripts, file)
	}
	all, failed := replay(ctx, guest, paths, scripts)
	for i, path := range paths {
		file := all[i]
		if file == nil {
			continue
		}
		if err := os.WriteFile(path, recording.Format(file), 0o644); err != nil {
			return err
		}
		steps := 0
		for _, s := range file.Scenarios {
			steps += len(s.Steps)
		}
		fmt.Printf("%s: %d scenarios, %d commands\n", path, len(file.Scenarios), steps)
	}
	return failed
}

func wanted(path string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(path, part) {
			return true
		}
	}
	return len(parts) == 0
}
