package conntable

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
	"pgregory.net/rapid"
)

// head is the line of the columns' names (ip_vs_conn_seq_show).
const head = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"

func read(t *testing.T, text string) []service.Conn {
	t.Helper()
	var got []service.Conn
	if err := Read(strings.NewReader(text), func(c service.Conn) bool { got = append(got, c); return true }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRead(t *testing.T) {
	at := netip.MustParseAddrPort
	got := read(t, head+
		"TCP AC100101 8A3C AC10010B 0050 C0A80065 0050 ESTABLISHED     899\n"+
		"TCP AC100101 0000 AC10010B 0050 C0A80065 0050 NONE             42 sip call-id\n"+
		"SCTP AC100101 0001 AC10010B 0050 C0A80065 0050 NONE             42\n"+
		"IP  AC100101 0000 00000007 0000 C0A80065 0000 NONE              0\n"+
		"UDP 2001:0db8:0000:0000:0000:0000:0000:0001 8A3C 2001:0db8:0000:0000:0000:0000:0000:0002 0035 C0A80066 0035 UDP             299\n")
	want := []service.Conn{
		{Protocol: config.TCP, State: "ESTABLISHED", Expires: 899 * time.Second, Client: at("172.16.1.1:35388"), Virtual: at("172.16.1.11:80"), Server: at("192.168.0.101:80")},
		{Protocol: config.TCP, State: "NONE", Expires: 42 * time.Second, Client: at("172.16.1.1:0"), Virtual: at("172.16.1.11:80"), Server: at("192.168.0.101:80")},
		{Protocol: config.FWM, State: "NONE", Client: at("172.16.1.1:0"), Virtual: at("0.0.0.7:0"), Server: at("192.168.0.101:0")},
		{Protocol: config.UDP, State: "UDP", Expires: 299 * time.Second, Client: at("[2001:db8::1]:35388"), Virtual: at("[2001:db8::2]:53"), Server: at("192.168.0.102:53")},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if mark := Mark(got[2].Virtual.Addr()); mark != 7 {
		t.Errorf("the template's mark is %d instead of 7", mark)
	}
}

func TestReadStops(t *testing.T) {
	line, calls := "TCP AC100101 8A3C AC10010B 0050 C0A80065 0050 ESTABLISHED     899\n", 0
	err := Read(strings.NewReader(line+line), func(service.Conn) bool { calls++; return false })
	if err != nil || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, line := range []string{
		"TCP AC100101 8A3C AC10010B 0050 C0A80065 0050 ESTABLISHED",
		"TCP AC1001 8A3C AC10010B 0050 C0A80065 0050 ESTABLISHED 899",
		"TCP AC100101 18A3C AC10010B 0050 C0A80065 0050 ESTABLISHED 899",
		"TCP AC100101 8A3C AC10010G 0050 C0A80065 0050 ESTABLISHED 899",
		"TCP AC100101 8A3C AC10010B 0050 2001:0db8 0050 ESTABLISHED 899",
		"TCP AC100101 8A3C AC10010B 0050 C0A80065 0050 ESTABLISHED -1",
	} {
		if err := Read(strings.NewReader(head+line), func(service.Conn) bool { return true }); err == nil {
			t.Errorf("no error for %q", line)
		}
	}
}

// word returns an address as the kernel writes it.
func word(a netip.Addr) string {
	if a.Is4() {
		return strings.ToUpper(hex.EncodeToString(a.AsSlice()))
	}
	return a.StringExpanded()
}

// line returns the line of a connection as the kernel writes it.
func line(c service.Conn) string {
	name := map[config.Protocol]string{config.TCP: "TCP", config.UDP: "UDP", config.FWM: "IP"}[c.Protocol]
	return fmt.Sprintf("%-3s %s %04X %s %04X %s %04X %-11s %7d\n", name, word(c.Client.Addr()), c.Client.Port(),
		word(c.Virtual.Addr()), c.Virtual.Port(), word(c.Server.Addr()), c.Server.Port(), c.State, c.Expires/time.Second)
}

func TestReadWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) netip.AddrPort {
			n := rapid.SampledFrom([]int{4, 16}).Draw(t, "length")
			a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "address"))
			return netip.AddrPortFrom(a, rapid.Uint16().Draw(t, "port"))
		})
		want := service.Conn{
			Protocol: rapid.SampledFrom([]config.Protocol{config.TCP, config.UDP, config.FWM}).Draw(t, "protocol"),
			State:    rapid.StringMatching(`[A-Z_]{1,11}`).Draw(t, "state"),
			Expires:  time.Duration(rapid.Uint32().Draw(t, "seconds")) * time.Second,
			Client:   at.Draw(t, "client"), Virtual: at.Draw(t, "virtual"), Server: at.Draw(t, "server"),
		}
		var got service.Conn
		if err := Read(strings.NewReader(head+line(want)), func(c service.Conn) bool { got = c; return true }); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(head + "TCP AC100101 8A3C AC10010B 0050 C0A80065 0050 ESTABLISHED     899\n"))
	f.Add([]byte("UDP 2001:0db8:0000:0000:0000:0000:0000:0001 8A3C 2001:0db8:0000:0000:0000:0000:0000:0002 0035 C0A80066 0035 UDP 299\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = Read(bytes.NewReader(text), func(c service.Conn) bool {
			var again service.Conn
			if err := Read(strings.NewReader(line(c)), func(c service.Conn) bool { again = c; return true }); err != nil || again != c {
				t.Fatalf("%v was read again as %v, error %v", c, again, err)
			}
			return true
		})
	})
}
