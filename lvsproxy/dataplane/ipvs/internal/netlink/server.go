package netlink

import (
	"math"
	"net/netip"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Counted is a real server and what the kernel has counted of it.
type Counted struct {
	table.Server
	Counts service.Counts
}

// forwards are the forwarding methods by number, IP_VS_CONN_F_*; what has none is the kernel's business, not a director's.
var forwards = [...]config.Forward{0: config.Masq, 2: config.IPIP, 3: config.Gate}

// tunnels are the types of tunnels by number, IP_VS_CONN_F_TUNNEL_TYPE_*, and checksums the flags; the defaults are "".
var (
	tunnels   = [...]string{0: "", 1: "gue", 2: "gre"}
	checksums = [...]string{0: "", 1: "csum", 2: "remcsum"}
)

// unknown is what a number reads as that has no word; it equals nothing that a director wants.
const unknown = "unknown"

// word returns the word of a number.
func word[T ~string](words []T, number uint64) T {
	if number >= uint64(len(words)) || number > 0 && words[number] == "" {
		return unknown
	}
	return words[number]
}

// number returns the number of a word, that of the default for one that there is not.
func number[T ~string](words []T, word T) int {
	for i, w := range words {
		if w == word {
			return i
		}
	}
	return 0
}

// endpoint encodes what a real server is known by in its service.
func endpoint(s table.Server) attributes {
	var a attributes
	a.uint16(destFamily, familyOf(s.Addr.Addr()))
	a.addr(destAddr, s.Addr.Addr())
	a.port(destPort, s.Addr.Port())
	return a
}

// encodeServer encodes a real server with all that can be edited. What a tunnel is, only a server of ipip has.
func encodeServer(s table.Server) attributes {
	a := endpoint(s)
	a.uint32(destForward, uint32(number(forwards[:], s.Forward)))
	a.uint32(destWeight, uint32(s.Weight))
	a.uint32(destUpper, uint32(s.Upper))
	a.uint32(destLower, uint32(s.Lower))
	if s.Forward != config.IPIP {
		return a
	}
	a.uint8(destTunType, uint8(number(tunnels[:], s.Tunnel.Type)))
	a.port(destTunPort, s.Tunnel.Port)
	a.uint16(destTunFlags, uint16(number(checksums[:], s.Tunnel.Flags)))
	return a
}

// decodeServer returns the real server of a message's attributes.
func decodeServer(b []byte) (c Counted, err error) {
	message, err := parse(b)
	if err != nil {
		return c, err
	}
	v, err := message.nested(attrDest)
	if err != nil {
		return c, err
	}
	a, err := v.addr(destAddr, v.number(destFamily))
	if err != nil {
		return c, err
	}
	c.Server = table.Server{
		Addr: netip.AddrPortFrom(a, v.port(destPort)), Forward: word(forwards[:], v.number(destForward)),
		Weight: int(int32(v.number(destWeight))), Upper: threshold(v.number(destUpper)), Lower: threshold(v.number(destLower)),
	}
	if c.Forward == config.IPIP {
		c.Tunnel = service.Tunnel{
			Type: word(tunnels[:], v.number(destTunType)), Port: v.port(destTunPort), Flags: word(checksums[:], v.number(destTunFlags)),
		}
	}
	c.Counts, err = decodeCounts(v)
	return c, err
}

// threshold keeps a number within int32, as the director's are.
func threshold(n uint64) int { return int(min(n, math.MaxInt32)) }

func decodeCounts(v values) (c service.Counts, err error) {
	stats, err := v.nested(destStats64)
	if err != nil {
		return c, err
	}
	return service.Counts{
		Active:     int64(uint32(v.number(destActive))),
		Inactive:   int64(uint32(v.number(destInactive))),
		Persistent: int64(uint32(v.number(destPersistent))),
		Conns:      stats.number(statsConns),
		Traffic: service.Traffic{
			InPackets: stats.number(statsInPackets), OutPackets: stats.number(statsOutPackets),
			InBytes: stats.number(statsInBytes), OutBytes: stats.number(statsOutBytes),
		},
	}, nil
}
