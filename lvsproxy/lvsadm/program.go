package lvsadm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// DefaultAdmin is where lvsproxy listens unless told otherwise.
const DefaultAdmin = "/run/lvsproxy.sock"

// Program is lvsadm with what it has to do with the world.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Terminal tells that Stdout is one: watch redraws then.
	Terminal bool
	// Resolver turns names on the command line into numbers.
	Resolver config.Resolver
	// Names returns what turns numbers into names for output, for a table with these addresses.
	Names func(ctx context.Context, addrs []netip.Addr) ipvsadm.Names
}

// exitFailed is the exit code of what ipvsadm cannot go through: no director, or one that answers strangely.
const exitFailed = 1

// timeout bounds how long the director may take for anything but a stream.
const timeout = 30 * time.Second

// Run is the program called with args, the first of which is its name, and the environment. It returns the exit code.
func (p *Program) Run(ctx context.Context, args []string, env func(string) string) int {
	out := bufio.NewWriter(p.Stdout)
	defer out.Flush()
	c, err := p.call(args, env, out)
	if err != nil {
		fmt.Fprintf(p.Stderr, "lvsadm: %v\n", err)
		return exitUsage
	}
	defer c.client.Close()
	if c.isOurs() {
		if code, ours := c.own(ctx); ours {
			return code
		}
	}
	return c.main(ctx)
}

// exitUsage is the exit code of wrong arguments that are not ipvsadm's.
const exitUsage = 2

// call is one run of the program.
type call struct {
	*Program
	out    *bufio.Writer
	name   string // how the program was called
	args   []string
	client *admin.Client
}

// call takes what is lvsadm's own from the arguments.
func (p *Program) call(args []string, env func(string) string, out *bufio.Writer) (*call, error) {
	path := env("LVSPROXY_ADMIN")
	if path == "" {
		path = DefaultAdmin
	}
	name, args := args[0], args[1:]
	if len(args) > 0 {
		switch value, found := strings.CutPrefix(args[0], "--admin="); {
		case found:
			path, args = value, args[1:]
		case args[0] == "--admin" && len(args) == 1:
			return nil, errors.New("--admin needs a path")
		case args[0] == "--admin":
			path, args = args[1], args[2:]
		}
	}
	if path == "" {
		return nil, errors.New("--admin is empty: expected the path of a socket")
	}
	return &call{p, out, name, args, admin.NewClient(path)}, nil
}

// isOurs reports whether the program may do more than ipvsadm: not if it was called by that name.
func (c *call) isOurs() bool { return filepath.Base(c.name) != "ipvsadm" }

// own carries out what ipvsadm does not have, if that is what was asked for.
func (c *call) own(ctx context.Context) (code int, ours bool) {
	if len(c.args) > 0 && c.args[0] == "watch" {
		return c.watch(ctx), true
	}
	i := -1
	for j, arg := range c.args {
		if arg == "--json" {
			i = j
		}
	}
	if i < 0 {
		return 0, false
	}
	c.args = append(c.args[:i:i], c.args[i+1:]...)
	return c.json(ctx), true
}

// main carries out an ipvsadm command line.
func (c *call) main(ctx context.Context) int {
	command, err := ipvsadm.Parse(c.name, c.args, c.Resolver)
	if err != nil {
		return c.exit(err)
	}
	if command.Verb == ipvsadm.Restore {
		return c.restore(ctx)
	}
	return c.do(ctx, command)
}

// exit ends a command line that was not understood.
func (c *call) exit(err error) int {
	var exit *ipvsadm.Exit
	if !errors.As(err, &exit) {
		return c.fail(err)
	}
	c.out.WriteString(exit.Stdout)
	io.WriteString(c.Stderr, exit.Stderr)
	return exit.Code
}

// fail reports what ipvsadm cannot have.
func (c *call) fail(err error) int {
	fmt.Fprintf(c.Stderr, "%s: %v\n", filepath.Base(c.name), err)
	return exitFailed
}

// do carries out any command but Restore.
func (c *call) do(ctx context.Context, command ipvsadm.Command) int {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch command.Verb {
	case ipvsadm.List:
		return c.list(ctx, command)
	case ipvsadm.Save:
		return c.save(ctx, command)
	}
	return c.modify(ctx, []ipvsadm.Command{command})
}

// modify has commands carried out and reports those that were refused. The exit code is that of the last one.
func (c *call) modify(ctx context.Context, commands []ipvsadm.Command) int {
	if len(commands) == 0 {
		return 0
	}
	results, err := c.client.Run(ctx, commands)
	if err != nil {
		return c.fail(err)
	}
	code := 0
	for i, result := range results {
		code = 0
		if text := result.Message(commands[i].Verb); text != "" {
			fmt.Fprintln(c.Stderr, text)
			code = ipvsadm.ExitRefused
		}
	}
	return code
}
