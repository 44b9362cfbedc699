package lvsadm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// json is -L with --json: the director's answer, for programs.
func (c *call) json(ctx context.Context) int {
	command, err := ipvsadm.Parse(c.name, c.args, c.Resolver)
	switch {
	case err != nil:
		return c.exit(err)
	case command.Verb != ipvsadm.List:
		return c.fail(errors.New("--json goes with -L only"))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := json.NewEncoder(c.out)
	out.SetIndent("", "  ")
	var value any
	switch s := command.Show; {
	case s.Connections: // a line each: there may be many
		lines := json.NewEncoder(c.out)
		if err := c.client.Conns(ctx, func(one service.Conn) bool { return lines.Encode(one) == nil }); err != nil {
			return c.fail(err)
		}
		return 0
	case s.Timeouts:
		value, err = c.client.Timeouts(ctx)
	case s.Daemon:
		value, err = c.client.Daemons(ctx)
	default:
		var table []service.Snapshot
		table, err = c.client.Table(ctx)
		if v := ipvsadm.Find(table, command.Service); err == nil && s.Service {
			if v == nil {
				return c.fail(fmt.Errorf("no such service"))
			}
			table = []service.Snapshot{*v}
		}
		value = table
	}
	if err == nil {
		err = out.Encode(value)
	}
	if err != nil {
		return c.fail(err)
	}
	return 0
}
