// Command player runs the scenarios of a recording, read from standard input, in the network namespace that it is
// started in, and writes the recording anew on standard output. It runs in the guest of package qemu. Its argument is the
// kind of scenario: ipvsadm or picks.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

// player runs the steps of one scenario after the other.
type player interface {
	play(step *recording.Step) error
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
	if err := network(); err != nil {
		return err
	}
	players := map[string]func() (player, error){"ipvsadm": newCommands, "picks": newPicks}
	make, ok := players[strings.Join(os.Args[1:], " ")]
	if !ok {
		return fmt.Errorf("unknown kind of scenario %q", os.Args[1:])
	}
	for _, scenario := range file.Scenarios {
		p, err := make()
		if err != nil {
			return err
		}
		for i := range scenario.Steps {
			step := &scenario.Steps[i]
			step.Stdout, step.Stderr, step.Code = "", "", 0
			if err := p.play(step); err != nil {
				return fmt.Errorf("%s: %s: %w", scenario.Name, step.Command, err)
			}
		}
	}
	_, err = os.Stdout.Write(recording.Format(file))
	return err
}

// network makes all of 10.0.0.0/8 and fd00::/16 addresses of this machine, so that one process can be client, director
// and real servers.
func network() error {
	for _, command := range []string{
		"ip link set lo up",
		"ip addr add 10.0.0.1/8 dev lo",
		"ip -6 route add local fd00::/16 dev lo",
		"ip link add dummy0 type dummy", // for the synchronization daemon
		"ip link set dummy0 up",
	} {
		if err := quietly(strings.Fields(command)...); err != nil {
			return err
		}
	}
	return sysctl("net/ipv6/ip_nonlocal_bind", "1")
}

func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
}

// quietly runs a command that must succeed without a word.
func quietly(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil || len(out) > 0 {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), errors.Join(err), out)
	}
	return nil
}
