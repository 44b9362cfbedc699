package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

// commands plays scenarios of ipvsadm: each step is its command line, or an action that gives it something to count.
type commands struct{}

func newCommands() (player, error) { return commands{}, nil }

func (c commands) play(step *recording.Step) error {
	args := step.Args()
	switch args[0] {
	case "ipvsadm", "ipvsadm-save", "ipvsadm-restore":
		return command(args, step)
	case "answer":
		return answer(args[1])
	case "send":
		return send(args[1], args[2])
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
	step.Stdout = expires.ReplaceAllString(step.Stdout, "$1 mm:ss")
	return nil
}

// answer has a server send back each datagram that reaches addr.
func answer(addr string) error {
	server, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, 2048)
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

// send sends a datagram of size bytes from the address with port 4000 to an address, and waits for its echo.
func send(size, to string) error {
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
	client.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := client.Write(make([]byte, n)); err != nil {
		return err
	}
	if got, err := client.Read(make([]byte, 2048)); err != nil || got != n {
		return fmt.Errorf("%d bytes came back: %w", got, err)
	}
	return nil
}
