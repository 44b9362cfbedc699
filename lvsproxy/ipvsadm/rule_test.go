package ipvsadm

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRule: what -S prints for a command line.
func TestRule(t *testing.T) {
	tests := []struct{ line, want string }{
		{"-A -t 172.16.1.11:80", "-A -t 172.16.1.11:80 -s wlc"},
		{"-A -u 172.16.1.11:53 -o -s rr", "-A -u 172.16.1.11:53 -s rr -o"},
		{"-A --sctp-service 172.16.1.11:53 -b flag-2 --pe sip -M 255.255.0.0 -p", "-A --sctp-service 172.16.1.11:53 -s wlc -p 360 -M 255.255.0.0 --pe sip -b flag-2"},
		{"-A -f 4294967295 -6 -p 5 -M 64", "-A -f -1 -6 -s wlc -p 5 -M 64"},
		{"-A -f 3 -M 255.0.0.0", "-A -f 3 -s wlc"},
		{"-A -t [::1]:80 -s sh -b sh-port,flag-3", "-A -t [::1]:80 -s sh -b sh-port"},
		{"-A -t [::1]:80 -s sh -b flag-3", "-A -t [::1]:80 -s sh -b "},
		{"-a -t [::1]:80 -r ::2", "-a -t [::1]:80 -r [::2]:80 -g -w 1"},
		{"-a -t 1.1.1.1:80 -r 1.1.1.2:8080 -m -w 0 -x 7", "-a -t 1.1.1.1:80 -r 1.1.1.2:8080 -m -w 0"},
		{"-a -t 1.1.1.1:80 -r 1.1.1.2 -i", "-a -t 1.1.1.1:80 -r 1.1.1.2:80 -i -w 1 --tun-type ipip"},
		{"-a -t 1.1.1.1:80 -r 1.1.1.2 -i --tun-type gue --tun-port 5", "-a -t 1.1.1.1:80 -r 1.1.1.2:80 -i -w 1 --tun-type gue --tun-port 5 --tun-nocsum"},
		{"-a -f 3 -r 1.1.1.2:8 -i --tun-type gre --tun-csum", "-a -f 3 -r 1.1.1.2:8 -i -w 1 --tun-type gre --tun-csum"},
	}
	for _, tt := range tests {
		c, err := Parse("ipvsadm", strings.Fields(tt.line), names{})
		if got := c.Rule(nil); err != nil || got != tt.want {
			t.Errorf("%s: %v\ngot  %q\nwant %q", tt.line, err, got, tt.want)
		}
	}
}

// TestArgsRoundTrip: Args say all that a Command does.
func TestArgsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawCommand(t)
		got, err := Parse("ipvsadm", want.Args(), nil)
		if err != nil || got != want {
			t.Fatalf("%q\ngot  %+v, %v\nwant %+v", want.Args(), got, err, want)
		}
	})
}

func drawAddr(t *rapid.T, six bool, ports *rapid.Generator[uint16]) netip.AddrPort {
	a := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
	if six {
		a = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
	}
	return netip.AddrPortFrom(a, ports.Draw(t, "port"))
}

func drawService(t *rapid.T, full bool) Service {
	s := Service{Protocol: rapid.SampledFrom([]Protocol{"", TCP, UDP, SCTP}).Draw(t, "protocol")}
	six := rapid.Bool().Draw(t, "six")
	if s.Protocol == "" {
		s.FWMark, s.IPv6 = rapid.Uint32Min(1).Draw(t, "mark"), six
	} else {
		s.Addr = drawAddr(t, six, rapid.Uint16Min(1))
	}
	if !full {
		return s
	}
	s.Scheduler = rapid.SampledFrom([]string{"rr", "sh", "mh", "wlc"}).Draw(t, "scheduler")
	flags := [3]bool{rapid.Bool().Draw(t, "1"), rapid.Bool().Draw(t, "2"), rapid.Bool().Draw(t, "3")}
	s.SchedFlags = flagNames(flags, s.Scheduler)
	s.Netmask = HostMask
	if six {
		s.Netmask = 128
	}
	if rapid.Bool().Draw(t, "persistent") {
		s.Persistent = rapid.IntRange(1, maxTimeout).Draw(t, "timeout")
		s.Netmask = rapid.Uint32().Draw(t, "netmask")
		if six {
			s.Netmask = rapid.Uint32Range(1, 128).Draw(t, "netmask")
		}
	}
	s.OnePacket = s.Protocol == UDP && rapid.Bool().Draw(t, "ops")
	s.Engine = rapid.SampledFrom([]string{"", "sip"}).Draw(t, "pe")
	return s
}

func drawCommand(t *rapid.T) Command {
	if rapid.Bool().Draw(t, "service") {
		return Command{Verb: AddService, Service: drawService(t, true)}
	}
	c := Command{Verb: AddServer, Service: drawService(t, false)}
	r := &c.Server
	r.Forward = rapid.SampledFrom([]Forward{Gate, Masq, IPIP}).Draw(t, "forward")
	six := c.Service.Is6()
	if r.Forward == IPIP {
		six = rapid.Bool().Draw(t, "other family")
		switch rapid.SampledFrom([]string{"ipip", "gue", "gre"}).Draw(t, "tunnel") {
		case "ipip":
			r.Tunnel = Tunnel{Type: "ipip"}
		case "gue":
			r.Tunnel = Tunnel{"gue", rapid.Uint16Min(1).Draw(t, "port"), rapid.SampledFrom([]string{"nocsum", "csum", "remcsum"}).Draw(t, "checksum")}
		case "gre":
			r.Tunnel = Tunnel{"gre", 0, rapid.SampledFrom([]string{"nocsum", "csum"}).Draw(t, "checksum")}
		}
	}
	r.Addr = drawAddr(t, six, rapid.Uint16())
	if c.Service.FWMark == 0 && r.Forward != Masq {
		r.Addr = withPort(r.Addr, c.Service.Addr.Port())
	}
	r.Weight = rapid.IntRange(0, maxInt32).Draw(t, "weight")
	r.Upper = rapid.IntRange(0, maxInt32).Draw(t, "upper")
	r.Lower = rapid.IntRange(0, maxInt32).Draw(t, "lower")
	return c
}

// TestInput: the lines that -R finds.
func TestInput(t *testing.T) {
	tests := []struct {
		text string
		want [][]string
	}{
		{"", nil},
		{"\n\n  \n", nil},
		{"-C\n-A -t 1.1.1.1:80\n", [][]string{{"-C"}, {"-A", "-t", "1.1.1.1:80"}}},
		{"ipvsadm -C\r\n\t -L ipvsadm  -n \n", [][]string{{"-C"}, {"-L", "-n"}}},
		{"# no comment\n-C", [][]string{{"#", "no", "comment"}, {"-C"}}},
		{"-C\n-L", [][]string{{"-C"}, {"-L"}}},
		{"-C\n-L ", [][]string{{"-C"}, {"-L"}}},
		{"-C\n-L  ", [][]string{{"-C"}}},
		{"ipvsadm\n-C\n", [][]string{{"-C"}}},
	}
	for _, tt := range tests {
		in := NewInput(strings.NewReader(tt.text))
		var got [][]string
		for {
			args, err := in.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("%q: %v", tt.text, err)
				}
				break
			}
			got = append(got, args)
		}
		if !slices.EqualFunc(got, tt.want, slices.Equal) {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
	for _, long := range []string{strings.Repeat("a", maxToken+1), strings.Repeat("a ", maxLine)} {
		if _, err := NewInput(strings.NewReader("-C\n" + long + "\n")).Next(); err != nil {
			t.Errorf("first line: %v", err)
		}
		in := NewInput(strings.NewReader(long + "\n"))
		if _, err := in.Next(); err == nil || !strings.HasPrefix(err.Error(), "line 1 ") {
			t.Errorf("long line: %v", err)
		}
	}
}

// FuzzParse: no arguments make the parser panic, and a rule that it took is taken again from its Args.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		"-A -t 172.16.1.11:80 -s wrr -p 300 -M 255.255.255.0", "-a -t [::1]:80 -r [::2]:80 -m -w 5 -x 3", "-Lnc", "-mw5", "--set 1 2 3",
		"-A -f 1 -6 -b flag-1,flag-2", "--start-daemon=master --mcast-group ff02::1", "-a -t 1:1 -r 0x1.2 -i --tun-type gue --tun-port 1", "-p", "--=", "-n=",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := Parse("ipvsadm", strings.Fields(line), names{})
		if err != nil {
			var exit *Exit
			if !errors.As(err, &exit) {
				t.Fatalf("%v is no Exit", err)
			}
			return
		}
		if c.Verb != AddServer && c.Verb != AddService {
			return
		}
		again, err := Parse("ipvsadm", c.Args(), nil)
		if err != nil {
			t.Fatalf("%q was taken, its Args %q were not: %v", line, c.Args(), err)
		}
		if again.Rule(nil) != c.Rule(nil) {
			t.Fatalf("%q\nfirst %q\nagain %q", line, c.Rule(nil), again.Rule(nil))
		}
	})
}

// FuzzInput: what -R reads is split into words without blanks.
func FuzzInput(f *testing.F) {
	f.Add("-C\n-A -t 1.1.1.1:80\n\r\n # \n-L ")
	f.Fuzz(func(t *testing.T, text string) {
		in := NewInput(strings.NewReader(text))
		for {
			args, err := in.Next()
			if err != nil {
				return
			}
			if len(args) == 0 || strings.ContainsAny(strings.Join(args, ""), " \t\r\n") {
				t.Fatalf("%q: %q", text, args)
			}
			Parse("ipvsadm", args, names{})
		}
	})
}
