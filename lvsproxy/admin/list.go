package admin

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// List writes a table as "ipvsadm -L -n" of ipvsadm 1.31 does, blanks at the ends of lines and all: sorted, and with the
// version and table size of a kernel with IPVS as it comes.
func List(w io.Writer, table []service.Snapshot) error {
	table = slices.Clone(table)
	for i := range table {
		table[i].Servers = slices.Clone(table[i].Servers)
	}
	service.Sort(table)
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "IP Virtual Server version 1.2.1 (size=4096)\n",
		"Prot LocalAddress:Port Scheduler Flags\n",
		"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n")
	for _, s := range table {
		fmt.Fprintf(b, "%s %s\n", virtual(s.ID), s.Scheduler)
		for _, r := range s.Servers {
			fmt.Fprintf(b, "  -> %-28s %-7s %-6d %-10d %-10d\n", r.Addr, forward(r.Forward), r.Weight, r.ActiveConns, r.InactConns)
		}
	}
	return b.Flush()
}

func virtual(id config.VirtualID) string {
	if id.Protocol != config.FWM {
		return fmt.Sprintf("%-4s %s", strings.ToUpper(string(id.Protocol)), id.Addr)
	}
	if id.IPv6 {
		return fmt.Sprintf("FWM  %d IPv6", id.FWMark)
	}
	return fmt.Sprintf("FWM  %d", id.FWMark)
}

// forward returns ipvsadm's word for a forwarding method.
func forward(f config.Forward) string {
	switch f {
	case config.Masq:
		return "Masq"
	case config.IPIP:
		return "Tunnel"
	default:
		return "Route"
	}
}
