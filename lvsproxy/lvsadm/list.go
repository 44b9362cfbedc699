package lvsadm

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// list is -L.
func (c *call) list(ctx context.Context, command ipvsadm.Command) int {
	switch s := command.Show; {
	case s.Connections:
		return c.listConns(ctx, s)
	case s.Service:
		return c.listService(ctx, command)
	case s.Timeouts:
		timeouts, err := c.client.Timeouts(ctx)
		if err != nil {
			return c.fail(err)
		}
		c.out.WriteString(timeouts.String())
		return 0
	case s.Daemon:
		daemons, err := c.client.Daemons(ctx)
		if err != nil {
			return c.fail(err)
		}
		for _, d := range daemons {
			c.out.WriteString(d.String())
		}
		return 0
	default:
		return c.listTable(ctx, s)
	}
}

func (c *call) listTable(ctx context.Context, s ipvsadm.Show) int {
	table, err := c.client.Table(ctx)
	if err == nil {
		err = s.Table(c.out, table, c.names(ctx, s, table))
	}
	if err != nil {
		return c.fail(err)
	}
	return 0
}

func (c *call) listService(ctx context.Context, command ipvsadm.Command) int {
	table, err := c.client.Table(ctx)
	if err != nil {
		return c.fail(err)
	}
	v := ipvsadm.Find(table, command.Service)
	if v == nil {
		fmt.Fprintln(c.Stderr, ipvsadm.Refusal(ipvsadm.List, syscall.ESRCH))
		return exitFailed
	}
	table = []service.Snapshot{*v}
	if err := command.Show.Table(c.out, table, c.names(ctx, command.Show, table)); err != nil {
		return c.fail(err)
	}
	return 0
}

// listConns is -L -c. With -n each connection is written as it comes; names need all addresses first.
func (c *call) listConns(ctx context.Context, s ipvsadm.Show) int {
	var err error
	each := func(yield func(service.Conn) bool) { err = c.client.Conns(ctx, yield) }
	var names ipvsadm.Names
	if !s.Numeric {
		var conns []service.Conn
		var addrs []netip.Addr
		each(func(one service.Conn) bool {
			conns = append(conns, one)
			addrs = append(addrs, one.Client.Addr(), one.Virtual.Addr(), one.Server.Addr())
			return true
		})
		if err != nil {
			return c.fail(err)
		}
		names = c.Names(ctx, addrs)
		each = func(yield func(service.Conn) bool) {
			for _, one := range conns {
				if !yield(one) {
					return
				}
			}
		}
	}
	if failed := s.WriteConns(c.out, each, names); failed != nil || err != nil {
		return c.fail(cmp.Or(failed, err))
	}
	return 0
}

// save is -S.
func (c *call) save(ctx context.Context, command ipvsadm.Command) int {
	table, err := c.client.Table(ctx)
	if err == nil {
		err = ipvsadm.WriteRules(c.out, ipvsadm.Rules(table), c.names(ctx, command.Show, table))
	}
	if err != nil {
		return c.fail(err)
	}
	return 0
}

// names returns the names for a table, or nil for -n.
func (c *call) names(ctx context.Context, s ipvsadm.Show, table []service.Snapshot) ipvsadm.Names {
	if s.Numeric {
		return nil
	}
	var addrs []netip.Addr
	ipvsadm.Addrs(table, func(a netip.Addr) { addrs = append(addrs, a) })
	return c.Names(ctx, addrs)
}
