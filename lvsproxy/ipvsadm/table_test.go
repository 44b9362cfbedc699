package ipvsadm

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// The replay of what the real ipvsadm printed, in lvsadm's tests, holds for tables without connections. These are the
// formats of numbers.

const connsTitle = "IPVS connection entries\npro expire state       source             virtual            destination\n"

// someNames are the names of two addresses and a port.
type someNames struct{}

func (someNames) Host(a netip.Addr) string {
	return map[string]string{"10.0.0.1": "vip.example", "fd00::1": "vip6.example"}[a.String()]
}

func (someNames) Service(port uint16, p Protocol) string {
	if port == 53 && p == UDP {
		return "domain"
	}
	return ""
}

func TestConns(t *testing.T) {
	conns := []service.Conn{
		{Protocol: config.UDP, State: "ASSURED", Expires: 300 * time.Second, Client: addr("10.2.0.1:0"), Virtual: addr("10.0.0.1:53"), Server: addr("10.1.0.1:53")},
		{Protocol: config.TCP, State: "ESTABLISHED", Expires: 6001 * time.Second, Client: addr("10.2.0.1:4000"), Virtual: addr("10.0.0.1:53"), Server: addr("10.1.0.1:53")},
		{Protocol: config.UDP, State: "UDP", Client: addr("[fd00:2::1]:4000"), Virtual: addr("[fd00::1]:53"), Server: addr("[fd00:1::1]:53")},
	}
	each := func(yield func(service.Conn) bool) {
		for _, c := range conns {
			if !yield(c) {
				return
			}
		}
	}
	numeric := "UDP 05:00  ASSURED     10.2.0.1:0         10.0.0.1:53        10.1.0.1:53\n" +
		"TCP 100:01 ESTABLISHED 10.2.0.1:4000      10.0.0.1:53        10.1.0.1:53\n" +
		"UDP 00:00  UDP         [fd00:2::1]:4000   [fd00::1]:53       [fd00:1::1]:53\n"
	for _, tt := range []struct {
		show  Show
		names Names
		want  string
	}{
		{Show{}, nil, connsTitle + numeric},
		{Show{PersistentConns: true}, nil,
			"IPVS connection entries\npro expire state       source             virtual            destination        pe name          pe_data\n" + numeric},
		{Show{}, someNames{}, connsTitle + "UDP 05:00  ASSURED     10.2.0.1:0         vip.example:domain 10.1.0.1:domain\n" +
			"TCP 100:01 ESTABLISHED 10.2.0.1:4000      vip.example:53     10.1.0.1:53\n" +
			"UDP 00:00  UDP         [fd00:2::1]:4000   [vip6.example]:domain [fd00:1::1]:domain\n"},
	} {
		var b strings.Builder
		if err := tt.show.WriteConns(&b, each, tt.names); err != nil || b.String() != tt.want {
			t.Errorf("%v\ngot\n%s\nwant\n%s", err, b.String(), tt.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		n            uint64
		short, exact string
	}{
		{0, "        0", "        0"},
		{99999999, " 99999999", " 99999999"},
		{102047600, "  102047K", " 102047600"},
		{999999999, "  999999K", " 999999999"},
		{1000000000, "    1000M", " 1000000000"},
		{99999999999, "   99999M", " 99999999999"},
		{100000000000, "     100G", " 100000000000"},
		{99999999999999, "   99999G", " 99999999999999"},
		{100000000000000, "     100T", " 100000000000000"},
	} {
		if got := (Show{}).numbers(tt.n); got != tt.short {
			t.Errorf("%d: got %q, want %q", tt.n, got, tt.short)
		}
		if got := (Show{Exact: true}).numbers(tt.n); got != tt.exact {
			t.Errorf("%d exactly: got %q, want %q", tt.n, got, tt.exact)
		}
	}
}

// TestTable: the columns that need connections.
func TestTable(t *testing.T) {
	table := []service.Snapshot{{
		ID: config.VirtualID{Protocol: config.TCP, Addr: addr("10.0.0.1:80")}, Scheduler: "rr",
		Conns: 12, Traffic: service.Traffic{InPackets: 3, OutPackets: 4, InBytes: 1234567890, OutBytes: 5},
		Rates: service.Rates{Conns: 7, InPackets: 8, OutPackets: 9, InBytes: 100000000, OutBytes: 11},
		Servers: []service.ServerSnapshot{{
			Addr: addr("10.1.0.1:80"), Forward: config.Masq, Weight: 65536, ActiveConns: 12345678901, InactConns: 2, PersistConns: 3, Upper: 10, Lower: 5,
			Conns: 12, Traffic: service.Traffic{InPackets: 3, OutPackets: 4, InBytes: 1234567890, OutBytes: 5},
			Rates: service.Rates{Conns: 100000000, InPackets: 8, OutPackets: 9, InBytes: 100000000, OutBytes: 11},
		}},
	}}
	for _, tt := range []struct {
		show Show
		want string
	}{
		{Show{}, "TCP  10.0.0.1:80 rr\n  -> 10.1.0.1:80                  Masq    65536  12345678901 2         \n"},
		{Show{Stats: true, Rate: true}, "TCP  10.0.0.1:80                        12        3        4    1234M        5\n  -> 10.1.0.1:80                        12        3        4    1234M        5\n"},
		{Show{Rate: true}, "TCP  10.0.0.1:80                         7        8        9  100000K       11\n  -> 10.1.0.1:80                  100000000        8        9  100000K       11\n"},
		{Show{Thresholds: true}, "TCP  10.0.0.1:80 rr\n  -> 10.1.0.1:80                  10         5          12345678901 2         \n"},
		{Show{PersistentConns: true}, "TCP  10.0.0.1:80 rr\n  -> 10.1.0.1:80                  65536     3           12345678901 2         \n"},
		{Show{TunnelInfo: true}, "TCP  10.0.0.1:80 rr\n  -> 10.1.0.1:80                  Masq    n/a           65536  12345678901 2         \n"},
	} {
		var b strings.Builder
		tt.show.Service = true
		err := tt.show.Table(&b, table, nil)
		if _, got, _ := strings.Cut(b.String(), "\nTCP"); err != nil || "TCP"+got != tt.want {
			t.Errorf("%+v: %v\ngot\n%s\nwant\n%s", tt.show, err, b.String(), tt.want)
		}
	}
}

// TestSort: ipvsadm compares addresses by a difference of 32 bits, with its sign.
func TestSort(t *testing.T) {
	server := func(s string) service.ServerSnapshot { return service.ServerSnapshot{Addr: addr(s)} }
	mark := config.VirtualID{Protocol: config.FWM, FWMark: 1}
	table := []service.Snapshot{
		{ID: mark},
		{ID: config.VirtualID{Protocol: config.TCP, Addr: addr("[::1]:1")}},
		{ID: config.VirtualID{Protocol: config.UDP, Addr: addr("10.0.0.1:1")}},
		{ID: config.VirtualID{Protocol: config.TCP, Addr: addr("10.0.0.1:2")}},
		{ID: config.VirtualID{Protocol: config.TCP, Addr: addr("10.0.0.1:1")}, Servers: []service.ServerSnapshot{
			server("10.0.0.1:80"), server("192.0.2.1:80"), server("192.0.2.1:8"),
		}},
		{ID: config.VirtualID{Protocol: config.TCP, Addr: addr("192.0.2.1:1")}},
	}
	var got []string
	for _, v := range sorted(table) {
		line := strings.Join(ServiceOf(v).words(nil), " ")
		for _, r := range v.Servers {
			line += " " + r.Addr.String()
		}
		got = append(got, line)
	}
	want := []string{"-t 192.0.2.1:1", "-t 10.0.0.1:1 192.0.2.1:8 192.0.2.1:80 10.0.0.1:80", "-t 10.0.0.1:2", "-u 10.0.0.1:1", "-t [::1]:1", "-f 1"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
