package ipvsadm

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// recorded is what ipvsadm 1.31 of Debian did with arguments. A library that was loaded before it told it that the kernel
// has IPVS, and that every change is good; commands whose outcome depends on the table are not among those recorded.
type recorded struct {
	Args   []string `json:"args"`
	Code   int      `json:"code"`
	Stdout string   `json:"stdout"`
	Stderr string   `json:"stderr"`
}

// names are /etc/services and /etc/hosts as far as tests need them.
type names struct{}

func (names) Addr(host string, ipv6 bool) (netip.Addr, error) {
	if host == "localhost" && !ipv6 {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	return netip.Addr{}, errors.New("unknown host")
}

func (names) Port(service string, p config.Protocol) (uint16, error) {
	if service == "http" && p == config.TCP {
		return 80, nil
	}
	return 0, errors.New("unknown service")
}

// TestGrammar: what ipvsadm takes, we take; what it refuses, we refuse with the same words and exit code.
func TestGrammar(t *testing.T) {
	f, err := os.Open("testdata/grammar.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	n := 0
	for lines.Scan() {
		var want recorded
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		got := recorded{Args: want.Args}
		var exit *Exit
		if _, err := Parse("ipvsadm", want.Args, names{}); errors.As(err, &exit) {
			got.Code, got.Stdout, got.Stderr = exit.Code, exit.Stdout, exit.Stderr
		} else if err != nil {
			t.Fatalf("%q: %v is no Exit", want.Args, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\ngot  %d %q %q\nwant %d %q %q", want.Args, got.Code, got.Stdout, got.Stderr, want.Code, want.Stdout, want.Stderr)
		}
		n++
	}
	if lines.Err() != nil || n < 200 {
		t.Fatalf("%d lines, %v", n, lines.Err())
	}
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// TestParse: what a command line means.
func TestParse(t *testing.T) {
	vip := Service{Protocol: TCP, Addr: addr("172.16.1.11:80")}
	tests := []struct {
		line string
		want Command
	}{
		{"", Command{Verb: List}},
		{"-A -t 172.16.1.11:80", Command{Verb: AddService, Service: Service{Protocol: TCP, Addr: addr("172.16.1.11:80"), Scheduler: "wlc", Netmask: HostMask}}},
		{"-E -u localhost:53 -s a-scheduler-with-a-long-name -o -p -M 255.255.0.0 --pe sip", Command{Verb: EditService, Service: Service{
			Protocol: UDP, Addr: addr("127.0.0.1:53"), Scheduler: "a-scheduler-wit", OnePacket: true, Persistent: 360, Netmask: 0xffff0000, Engine: "sip"}}},
		{"-A -t [2001:db8::1]:http -p 60 -M 64 -s mh -b flag-1,mh-port", Command{Verb: AddService, Service: Service{
			Protocol: TCP, Addr: addr("[2001:db8::1]:80"), Scheduler: "mh", SchedFlags: "mh-fallback,mh-port", Persistent: 60, Netmask: 64}}},
		{"-A -f 4294967295 -6 -b flag-3,flag-1", Command{Verb: AddService, Service: Service{FWMark: 4294967295, IPv6: true, Scheduler: "wlc", SchedFlags: "flag-1,flag-3", Netmask: 128}}},
		{"-D --sctp-service 10.1:7", Command{Verb: DeleteService, Service: Service{Protocol: SCTP, Addr: addr("10.0.0.1:7")}}},
		{"-C", Command{Verb: Flush}},
		{"-a -t 172.16.1.11:80 -r 192.168.0.101 -m -w 5 -x 10 -y 5", Command{Verb: AddServer, Service: vip, Server: Server{Addr: addr("192.168.0.101:80"), Forward: Masq, Weight: 5, Upper: 10, Lower: 5}}},
		{"-a -t 172.16.1.11:80 -r 192.168.0.101:8080 -m", Command{Verb: AddServer, Service: vip, Server: Server{Addr: addr("192.168.0.101:8080"), Forward: Masq, Weight: 1}}},
		{"-a -t 172.16.1.11:80 -r 192.168.0.101:8080", Command{Verb: AddServer, Service: vip, Server: Server{Addr: addr("192.168.0.101:80"), Forward: Gate, Weight: 1}}},
		{"-e -f 3 -r 192.168.0.101:http -g -w 0", Command{Verb: EditServer, Service: Service{FWMark: 3}, Server: Server{Addr: addr("192.168.0.101:80"), Forward: Gate}}},
		{"-a -t 172.16.1.11:80 -r [fd00::1]:80 -i --tun-type gue --tun-port 6080 --tun-remcsum", Command{Verb: AddServer, Service: vip, Server: Server{
			Addr: addr("[fd00::1]:80"), Forward: IPIP, Weight: 1, Tunnel: Tunnel{Type: "gue", Port: 6080, Checksum: "remcsum"}}}},
		{"-d -t 172.16.1.11:80 -r 192.168.0.101:80", Command{Verb: DeleteServer, Service: vip, Server: Server{Addr: addr("192.168.0.101:80")}}},
		{"-Lnc", Command{Verb: List, Show: Show{Numeric: true, Connections: true}}},
		{"-l -t 172.16.1.11:80 --stats --exact --nosort", Command{Verb: List, Service: vip, Show: Show{Service: true, Stats: true, Exact: true, NoSort: true}}},
		{"-S -n", Command{Verb: Save, Show: Show{Numeric: true}}},
		{"-Z", Command{Verb: Zero}},
		{"--set 900 0 300", Command{Verb: SetTimeouts, Timeouts: Timeouts{TCP: 900, UDP: 300}}},
		{"--start-daemon master --syncid 7", Command{Verb: StartDaemon, Daemon: Daemon{State: "master", Interface: "eth0", SyncID: 7}}},
		{"--start-daemon=backup --mcast-interface=eth1 --mcast-group ff02::5 --mcast-port 8849 --mcast-ttl 2 --sync-maxlen 1400", Command{Verb: StartDaemon, Daemon: Daemon{
			State: "backup", Interface: "eth1", Group: netip.MustParseAddr("ff02::5"), Port: 8849, TTL: 2, MaxLen: 1400}}},
		{"--stop-daemon backup", Command{Verb: StopDaemon, Daemon: Daemon{State: "backup"}}},
	}
	for _, tt := range tests {
		got, err := Parse("ipvsadm", strings.Fields(tt.line), names{})
		if err != nil || got != tt.want {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", tt.line, got, err, tt.want)
		}
	}
}
