package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// holding is this program as a client that has connections open on which nothing moves.
const holding = "hold"

// hold opens n connections through a side, and returns once all are open. The returned function closes them.
func hold(ctx context.Context, rig *namespaces.Rig, s *side, n int) (release func(), err error) {
	if n <= 0 {
		return func() {}, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := rig.Command(ctx, namespaces.Client, self, append([]string{holding, strconv.Itoa(n)}, s.addrs...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	release = func() {
		stdin.Close()
		cmd.Wait()
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		release()
		return nil, fmt.Errorf("open %d connections to %s: %s %w", n, s.name, strings.TrimSpace(line), err)
	}
	return release, nil
}

// runHold is the program in the client's namespace: it ends with its standard input.
func runHold(count string, addrs []string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	for i := range n {
		c, err := net.Dial("tcp", addrs[i%len(addrs)])
		if err != nil {
			fmt.Println(err)
			return err
		}
		defer c.Close()
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
