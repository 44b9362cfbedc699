package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

// commands plays scenarios of ipvsadm: each step is its command line, or an action that gives it something to count.
type commands struct{}

func newCommands() (player, error) {
	return commands{}, errors.Join(network6(), quietly("ip", "link", "add", "dummy0", "type", "dummy"),
		quietly("ip", "link", "set", "dummy0", "up")) // the synchronization daemon wants an interface
}

func (commands) end() error { return nil }

func (c commands) play(step *recording.Step) error {
	args := step.Args()
	switch args[0] {
	case "ipvsadm", "ipvsadm-save", "ipvsadm-restore":
		return command(args, step)
	case "answer":
		return answer(args[1])
	case "send":
		return send(1, true, args[1], args[2])
	case "tell":
		return send(1, false, args[1], args[2])
	case "flood":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return send(n, true, args[2], args[3])
	case "sleep":
		d, err := time.ParseDuration(args[1])
		time.Sleep(d)
		return err
	}
	return errors.New("unknown action")
}

// expires is the column of a listed connection that says when it will be forgotten: it depends on the moment.
var expires = regexp.MustCompile(`(?m)^(TCP|UDP|IP ) [0-9][0-9]:[0-9][0-9]`)

func command(args []string, step *recording.Step) error {
	cmd := exec.Command(args[0], args[1:]...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(step.Stdin), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	step.Stdout, step.Stderr, step.Code = stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	step.Stdout = steady(step.Stdout)
	return nil
}

// steady makes a list of connections the same each time: their order is that of a hash with a random key.
func steady(listing string) string {
	if !strings.HasPrefix(listing, "IPVS connection entries\n") {
		return listing
	}
	lines := strings.SplitAfter(expires.ReplaceAllString(listing, "$1 mm:ss"), "\n")
	slices.Sort(lines[2 : len(lines)-1]) // behind two lines of heading; behind the last line's end is nothing
	return strings.Join(lines, "")
}

// answer has a server send back each datagram that reaches addr.
func answer(addr string) error {
	server, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			server.WriteTo(b[:n], from)
		}
	}()
	return nil
}

// send sends datagrams of size bytes from port 4000 to an address and, if they are answered, waits for each to come back
// before the next.
func send(times int, answered bool, size, to string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	local := &net.UDPAddr{IP: net.IPv4(10, 2, 0, 1), Port: 4000}
	if strings.HasPrefix(to, "[") {
		local.IP = net.ParseIP("fd00:2::1")
	}
	client, err := (&net.Dialer{LocalAddr: local}).Dial("udp", to)
	if err != nil {
		return err
	}
	defer client.Close()
	b := make([]byte, 64<<10)
	for range times {
		client.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := client.Write(b[:n]); err != nil {
			return err
		}
		if !answered {
			continue
		}
		if got, err := client.Read(b); err != nil || got != n {
			return fmt.Errorf("%d bytes came back: %w", got, err)
		}
	}
	return nil
}
