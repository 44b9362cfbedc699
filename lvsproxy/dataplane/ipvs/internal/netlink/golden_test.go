//go:build amd64 || arm64

package netlink

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs/internal/table"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// golden are the attributes of messages as linux/ip_vs.h and ip_vs_ctl.c have them, written by hand: length, kind, value,
// one attribute a line. The byte order is that of machines that begin with the low byte.
var golden = []struct {
	name  string
	got   func() (attributes, error)
	bytes string
}{
	{"a persistent service of TCP", encoded(encodeService(table.Service{
		ID:        config.VirtualID{Protocol: config.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")},
		Scheduler: "sh", Flags: 0x8, Timeout: 5 * time.Minute, Netmask: 24, Engine: "sip",
	})), `
		0600 0100 0200 0000
		0600 0200 0600 0000
		1400 0300 c0000201 00000000 00000000 00000000
		0600 0400 0050 0000
		0700 0600 736800 00
		0800 0b00 73697000
		0c00 0700 09000000 ffffffff
		0800 0800 2c010000
		0800 0900 ffffff00`},
	{"a service of a firewall mark of IPv6", encoded(encodeService(table.Service{
		ID: config.VirtualID{Protocol: config.FWM, FWMark: 7, IPv6: true}, Scheduler: "wlc",
	})), `
		0600 0100 0a00 0000
		0800 0500 07000000
		0800 0600 776c6300
		0c00 0700 00000000 ffffffff
		0800 0800 00000000
		0800 0900 80000000`},
	{"a real server by masq", encoded(encodeServer(table.Server{
		Addr: netip.MustParseAddrPort("[2001:db8::5]:8080"), Forward: config.Masq, Weight: 3, Upper: 9, Lower: 4,
	})), `
		0600 0b00 0a00 0000
		1400 0100 20010db8 00000000 00000000 00000005
		0600 0200 1f90 0000
		0800 0300 00000000
		0800 0400 03000000
		0800 0500 09000000
		0800 0600 04000000`},
	{"a real server by a tunnel", encoded(encodeServer(table.Server{
		Addr: netip.MustParseAddrPort("10.0.0.1:80"), Forward: config.IPIP, Weight: 1,
		Tunnel: service.Tunnel{Type: "gue", Port: 6080, Flags: "remcsum"},
	})), `
		0600 0b00 0200 0000
		1400 0100 0a000001 00000000 00000000 00000000
		0600 0200 0050 0000
		0800 0300 02000000
		0800 0400 01000000
		0800 0500 00000000
		0800 0600 00000000
		0500 0d00 01 000000
		0600 0e00 17c0 0000
		0600 0f00 0200 0000`},
	{"a real server by gate with its service", encoded(ofService(table.Step{Service: table.Service{
		ID: config.VirtualID{Protocol: config.FWM, FWMark: 1},
	}}, endpoint(table.Server{Addr: netip.MustParseAddrPort("10.0.0.1:80")}))), `
		1400 0180
			0600 0100 0200 0000
			0800 0500 01000000
		2800 0280
			0600 0b00 0200 0000
			1400 0100 0a000001 00000000 00000000 00000000
			0600 0200 0050 0000`},
	{"a synchronisation daemon", func() (attributes, error) {
		return encodeDaemon(service.SyncDaemon{
			State: "backup", Interface: "eth0", SyncID: 7, MaxLen: 1400, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 2,
		})
	}, `
		0800 0100 02000000
		0900 0200 6574683000 000000
		0800 0300 07000000
		0600 0400 7805 0000
		0800 0500 e0000051
		0600 0700 9022 0000
		0500 0800 02 000000`},
	{"time-outs, one of which stays", encoded(encodeTimeouts(service.Timeouts{TCP: 15 * time.Minute, UDP: time.Second})), `
		0800 0400 84030000
		0800 0600 01000000`},
}

func encoded(a attributes) func() (attributes, error) {
	return func() (attributes, error) { return a, nil }
}

func TestMessagesAreTheKernels(t *testing.T) {
	for _, test := range golden {
		t.Run(test.name, func(t *testing.T) {
			want, err := hex.DecodeString(strings.Join(strings.Fields(test.bytes), ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := test.got()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("got  % x (%v)\nwant % x", []byte(got), err, want)
			}
		})
	}
}
