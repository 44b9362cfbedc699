package lvsadm

import (
	"context"
	"errors"
	"io"

	"github.com/lvsession/lvsession/lvsproxy/admin"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// restore is -R: it carries out the command lines on standard input. Like ipvsadm it goes on after one that the director
// refuses, ends at one that makes no sense, and returns the exit code of the last.
func (c *call) restore(ctx context.Context) int {
	in := ipvsadm.NewInput(c.Stdin)
	batch := batch{call: c}
	for {
		args, err := in.Next()
		if errors.Is(err, io.EOF) {
			return batch.finish(ctx)
		}
		if err != nil {
			batch.finish(ctx)
			return c.fail(err)
		}
		command, err := ipvsadm.Parse(c.name, args, c.Resolver)
		var exit *ipvsadm.Exit
		switch {
		case errors.As(err, &exit):
			batch.finish(ctx)
			batch.code = c.exit(err)
			if !exit.Line {
				return batch.code
			}
		case command.Verb == ipvsadm.Restore: // it would read the same input
			batch.finish(ctx)
			return c.exit(ipvsadm.TryHelp(c.name))
		case command.Modifies():
			batch.add(ctx, command)
		default:
			batch.finish(ctx)
			batch.code = c.do(ctx, command)
		}
		if batch.broken {
			return batch.code
		}
	}
}

// batch gathers commands, so that a large table does not take a request for each.
type batch struct {
	call     *call
	commands []ipvsadm.Command
	code     int  // of the last command
	broken   bool // the director went away
}

func (b *batch) add(ctx context.Context, c ipvsadm.Command) {
	b.commands = append(b.commands, c)
	if len(b.commands) == admin.MaxCommands {
		b.finish(ctx)
	}
}

// finish carries out what was gathered and returns the exit code so far.
func (b *batch) finish(ctx context.Context) int {
	if len(b.commands) > 0 {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		b.code = b.call.modify(ctx, b.commands)
		b.broken = b.code == exitFailed
		b.commands = b.commands[:0]
	}
	return b.code
}
