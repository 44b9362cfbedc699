package ipvsadm

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// banner is what -L prints first: the version of IPVS and the size of the connection table of a kernel as it comes.
const banner = "IP Virtual Server version 1.2.1 (size=4096)\n"

// Table writes a table as -L does. With [Show].Service it is that of one service, which has no banner. names is nil for -n.
func (s Show) Table(w io.Writer, table []service.Snapshot, names Names) error {
	if !s.NoSort {
		table = sorted(table)
	}
	b := bufio.NewWriter(w)
	if !s.Service {
		b.WriteString(banner)
	}
	b.WriteString(s.title())
	for _, v := range table {
		id := ServiceOf(v)
		b.WriteString(s.serviceLine(id, v, names) + "\n")
		for _, r := range v.Servers {
			b.WriteString(s.serverLine(id, r, names))
		}
	}
	return b.Flush()
}

const (
	serversTitle = "  -> RemoteAddress:Port\n"
	plainTitle   = "Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward "
)

// title returns the lines above the services. Of several formats the first one here wins.
func (s Show) title() string {
	columns := func(format string, names ...any) string {
		return fmt.Sprintf("%-33s"+format+"\n", append([]any{"Prot LocalAddress:Port"}, names...)...) + serversTitle
	}
	switch {
	case s.Stats:
		return columns(" %8s %8s %8s %8s %8s", "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes")
	case s.Rate:
		return columns(" %8s %8s %8s %8s %8s", "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS")
	case s.Thresholds:
		return columns(" %-10s %-10s %-10s %-10s", "Uthreshold", "Lthreshold", "ActiveConn", "InActConn")
	case s.PersistentConns:
		return columns(" %-9s %-11s %-10s %-10s", "Weight", "PersistConn", "ActiveConn", "InActConn")
	case s.TunnelInfo:
		return plainTitle + "TunnelInfo    Weight ActiveConn InActConn\n"
	}
	return plainTitle + "Weight ActiveConn InActConn\n"
}

// name returns what stands for the service in a listing. Names of IPv4 are cut off before the columns, those of IPv6 not.
func (s Service) name(names Names) string {
	if s.FWMark != 0 {
		name := "FWM  " + strconv.Itoa(int(int32(s.FWMark)))
		if s.IPv6 {
			name += " IPv6"
		}
		return name
	}
	name := fmt.Sprintf("%-4s %s", strings.ToUpper(string(s.Protocol)), hostPort(s.Addr, s.Protocol, names))
	if s.Is6() {
		return name
	}
	return truncate(name, 33)
}

func (s Show) serviceLine(id Service, v service.Snapshot, names Names) string {
	name := id.name(names)
	switch {
	case s.Stats:
		return fmt.Sprintf("%-33s", name) + s.numbers(v.Conns, v.InPackets, v.OutPackets, v.InBytes, v.OutBytes)
	case s.Rate:
		r := v.Rates
		return fmt.Sprintf("%-33s", name) + s.numbers(r.Conns, r.InPackets, r.OutPackets, r.InBytes, r.OutBytes)
	}
	line := name + " " + id.Scheduler
	if id.SchedFlags != "" {
		line += " (" + shownFlags(id.SchedFlags, id.Scheduler) + ")"
	}
	if id.Persistent != 0 {
		line += fmt.Sprintf(" persistent %d", id.Persistent)
		if mask := id.mask(); mask != "" {
			line += " mask " + mask
		}
		if id.Engine != "" {
			line += " pe " + id.Engine
		}
	}
	if id.OnePacket {
		line += " ops"
	}
	return line
}

func (s Show) serverLine(id Service, r service.ServerSnapshot, names Names) string {
	name := hostPort(r.Addr, id.Protocol, names)
	if !r.Addr.Addr().Is6() {
		name = truncate(name, 28)
	}
	line := fmt.Sprintf("  -> %-28s", name)
	switch {
	case s.Stats:
		return line + s.numbers(r.Conns, r.InPackets, r.OutPackets, r.InBytes, r.OutBytes) + "\n"
	case s.Rate: // ipvsadm abbreviates bytes only here
		return line + fmt.Sprintf(" %8d %8d %8d", r.Rates.Conns, r.Rates.InPackets, r.Rates.OutPackets) + s.numbers(r.Rates.InBytes, r.Rates.OutBytes) + "\n"
	case s.Thresholds:
		return line + fmt.Sprintf(" %-10d %-10d %-10d %-10d\n", r.Upper, r.Lower, r.ActiveConns, r.InactConns)
	case s.PersistentConns:
		return line + fmt.Sprintf(" %-9d %-11d %-10d %-10d\n", r.Weight, r.PersistConns, r.ActiveConns, r.InactConns)
	}
	line += fmt.Sprintf(" %-7s", forwardName(r.Forward))
	if s.TunnelInfo {
		line += fmt.Sprintf(" %-13s", ServerOf(r).tunnelInfo())
	}
	return line + fmt.Sprintf(" %-6d %-10d %-10d\n", r.Weight, r.ActiveConns, r.InactConns)
}

// numbers writes each number in nine columns, in thousands, millions and so on where it would not fit; with --exact in as
// many as it needs.
func (s Show) numbers(values ...uint64) string {
	var b strings.Builder
	for _, n := range values {
		switch {
		case s.Exact:
			fmt.Fprintf(&b, " %8d", n)
		case n < 100e6:
			fmt.Fprintf(&b, "%9d", n)
		case n < 1e9:
			fmt.Fprintf(&b, "%8dK", n/1e3)
		case n < 100e9:
			fmt.Fprintf(&b, "%8dM", n/1e6)
		case n < 100e12:
			fmt.Fprintf(&b, "%8dG", n/1e9)
		default:
			fmt.Fprintf(&b, "%8dT", n/1e12)
		}
	}
	return b.String()
}

// forwardName returns ipvsadm's word for a forwarding method in listings.
func forwardName(f config.Forward) string {
	switch f {
	case config.Masq:
		return "Masq"
	case config.IPIP:
		return "Tunnel"
	default:
		return "Route"
	}
}

func (r Server) tunnelInfo() string {
	if r.Forward != IPIP {
		return "n/a"
	}
	flags := map[string]string{"": "-c", "nocsum": "-c", "csum": "+c", "remcsum": "r+c"}[r.Tunnel.Checksum]
	switch r.Tunnel.Type {
	case "gue":
		return truncate(fmt.Sprintf("gue:%d:%s", r.Tunnel.Port, flags), 15)
	case "gre":
		return "gre:" + flags
	}
	return "ipip"
}

// Rules returns the commands that make a table, as -S prints them.
func Rules(table []service.Snapshot) (commands []Command) {
	for _, v := range sorted(table) {
		s := ServiceOf(v)
		commands = append(commands, Command{Verb: AddService, Service: s})
		for _, r := range v.Servers {
			commands = append(commands, Command{Verb: AddServer, Service: s.Identity(), Server: ServerOf(r)})
		}
	}
	return commands
}

// WriteConns writes connections as -L -c does. conns calls its argument for each.
func (s Show) WriteConns(w io.Writer, conns func(yield func(service.Conn) bool), names Names) error {
	b := bufio.NewWriter(w)
	b.WriteString("IPVS connection entries\n")
	if s.PersistentConns {
		fmt.Fprintf(b, "pro expire %-11s %-18s %-18s %-18s %-16s %s\n", "state", "source", "virtual", "destination", "pe name", "pe_data")
	} else {
		fmt.Fprintf(b, "pro expire %-11s %-18s %-18s %s\n", "state", "source", "virtual", "destination")
	}
	conns(func(c service.Conn) bool {
		protocol, left := Protocol(c.Protocol), int64(c.Expires.Seconds())
		_, err := fmt.Fprintf(b, "%-3s %-6s %-11s %-18s %-18s %s\n", strings.ToUpper(string(c.Protocol)), fmt.Sprintf("%02d:%02d", left/60, left%60), c.State,
			hostPort(c.Client, protocol, names), hostPort(c.Virtual, protocol, names), hostPort(c.Server, protocol, names))
		return err == nil
	})
	return b.Flush()
}

// String returns time-outs as -L --timeout prints them, with the newline.
func (t Timeouts) String() string {
	return fmt.Sprintf("Timeout (tcp tcpfin udp): %d %d %d\n", t.TCP, t.TCPFin, t.UDP)
}

// String returns a daemon as -L --daemon prints it, with the newline.
func (d Daemon) String() string {
	line := fmt.Sprintf("%s sync daemon (mcast=%s, syncid=%d", d.State, d.Interface, d.SyncID)
	if d.MaxLen != 0 {
		line += fmt.Sprintf(", maxlen=%d", d.MaxLen)
	}
	if d.Group.IsValid() {
		line += fmt.Sprintf(", group=%s", d.Group)
	}
	if d.Port != 0 {
		line += fmt.Sprintf(", port=%d", d.Port)
	}
	if d.TTL != 0 {
		line += fmt.Sprintf(", ttl=%d", d.TTL)
	}
	return line + ")\n"
}

// Addrs calls yield for each address that a listing of the table names.
func Addrs(table []service.Snapshot, yield func(netip.Addr)) {
	for _, v := range table {
		if v.ID.Addr.IsValid() {
			yield(v.ID.Addr.Addr())
		}
		for _, r := range v.Servers {
			yield(r.Addr.Addr())
		}
	}
}
