package convert_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/convert"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// numbers is a resolver for files without names.
type numbers struct{}

var errName = errors.New("a name, where the test has none")

func (numbers) Addr(string, bool) (netip.Addr, error)        { return netip.Addr{}, errName }
func (numbers) Port(string, config.Protocol) (uint16, error) { return 0, errName }

func rules(t testing.TB, file string, state convert.State) string {
	t.Helper()
	f, err := config.Parse("t.cf", []byte(file), numbers{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := ipvsadm.WriteArgs(&b, convert.Rules(f.Spec, state)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRules(t *testing.T) {
	tests := []struct{ name, file, up, down string }{
		{"plain", "virtual=10.0.0.1:80\n\treal=10.0.0.2->10.0.0.3:81 masq 2\n",
			"-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.0.0.2:81 -m -w 2\n-a -t 10.0.0.1:80 -r 10.0.0.3:81 -m -w 2\n",
			"-A -t 10.0.0.1:80 -s wrr\n"},
		{"quiescent, fallback", "virtual=10.0.0.1:80\n\treal=10.0.0.2:81 ipip 2 l:5 u:9\n\tquiescent=yes\n\tfallback=127.0.0.1:8080\n",
			"-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 2 --tun-type ipip -x 9 -y 5\n",
			"-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 0 --tun-type ipip -x 9 -y 5\n"},
		{"nobody but the fallback", "virtual=10.0.0.1:80\n\tfallback=127.0.0.1:8080 masq\n",
			"-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 127.0.0.1:8080 -m -w 1\n",
			"-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 127.0.0.1:8080 -m -w 1\n"},
		{"always up", "virtual=10.0.0.1:53\n\tchecktype=on\n\tops=yes\n\treal=10.0.0.2:53 masq\n",
			"-A -u 10.0.0.1:53 -s wrr -o\n-a -u 10.0.0.1:53 -r 10.0.0.2:53 -m -w 1\n",
			"-A -u 10.0.0.1:53 -s wrr -o\n-a -u 10.0.0.1:53 -r 10.0.0.2:53 -m -w 1\n"},
		{"always down, as ldirectord's code has it; its manual says that the fallback is out too", "virtual=10.0.0.1:80\n\tchecktype=off\n\treal=10.0.0.2:80 masq\n\tfallback=127.0.0.1\n",
			"-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1\n",
			"-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1\n"},
		{"mark, persistence, flags", "virtual6=7\n\tscheduler=sh\n\tschedflags=sh-port\n\tpersistent=60\n\tnetmask=64\n\treal6=[2001:db8::2] gate\n",
			"-A -f 7 -6 -s sh -p 60 -M 64 -b sh-port\n-a -f 7 -6 -r [2001:db8::2]:0 -g -w 1\n",
			"-A -f 7 -6 -s sh -p 60 -M 64 -b sh-port\n"},
		{"every port", "virtual=10.0.0.1:0\n\tpersistent=60\n\tnetmask=255.255.0.0\n\treal=10.0.0.2 gate\n",
			"-A -t 10.0.0.1:0 -s wrr -p 60 -M 255.255.0.0\n-a -t 10.0.0.1:0 -r 10.0.0.2:0 -g -w 1\n",
			"-A -t 10.0.0.1:0 -s wrr -p 60 -M 255.255.0.0\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := rules(t, tt.file, convert.Up); got != tt.up {
				t.Errorf("up: got\n%swant\n%s", got, tt.up)
			}
			if got := rules(t, tt.file, convert.Down); got != tt.down {
				t.Errorf("down: got\n%swant\n%s", got, tt.down)
			}
		})
	}
}

// TestThereAndBack: rules become a file that has the same rules.
func TestThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRules(t)
		spec, err := convert.Read(strings.NewReader(want), numbers{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, want)
		}
		text := config.Format(spec)
		f, err := config.Parse("t.cf", []byte(text), numbers{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if !f.Spec.Equal(spec) {
			t.Fatalf("the file says something else:\n%s", text)
		}
		var got strings.Builder
		if err := ipvsadm.WriteArgs(&got, convert.Rules(f.Spec, convert.Up)); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Fatalf("got\n%swant\n%sby way of\n%s", got.String(), want, text)
		}
	})
}

func drawRules(t *rapid.T) string {
	var b strings.Builder
	for i := range rapid.IntRange(0, 4).Draw(t, "services") {
		six := rapid.Bool().Draw(t, "IPv6")
		host := func(n int) string {
			if six {
				return fmt.Sprintf("[2001:db8::%x]", n+1)
			}
			return fmt.Sprintf("10.0.0.%d", n+1)
		}
		port := rapid.IntRange(1, 65535).Draw(t, "port")
		service := fmt.Sprintf("-%s %s:%d", rapid.SampledFrom([]string{"t", "u"}).Draw(t, "protocol"), host(i), port)
		if rapid.IntRange(0, 4).Draw(t, "mark") == 0 {
			service = fmt.Sprintf("-f %d", 100+i)
			if six {
				service += " -6"
			}
			port = 0
		}
		scheduler := rapid.SampledFrom([]string{"rr", "wlc", "sh"}).Draw(t, "scheduler")
		b.WriteString("-A " + service + " -s " + scheduler)
		if rapid.Bool().Draw(t, "persistent") {
			fmt.Fprintf(&b, " -p %d", rapid.IntRange(1, 2678400).Draw(t, "timeout"))
			if mask := rapid.SampledFrom([]string{"", "255.255.0.0", "128.0.0.0"}).Draw(t, "mask"); mask != "" && !six {
				b.WriteString(" -M " + mask)
			} else if six && mask != "" {
				b.WriteString(" -M 64")
			}
		}
		if strings.HasPrefix(service, "-u") && rapid.Bool().Draw(t, "ops") {
			b.WriteString(" -o")
		}
		if scheduler == "sh" {
			b.WriteString(rapid.SampledFrom([]string{"", " -b sh-port", " -b sh-fallback,sh-port"}).Draw(t, "flags"))
		}
		b.WriteString("\n")
		for j := range rapid.IntRange(0, 3).Draw(t, "servers") {
			method := rapid.SampledFrom([]string{"-m", "-g", "-i"}).Draw(t, "method")
			at := port
			if method == "-m" && port != 0 {
				at = rapid.IntRange(1, 65535).Draw(t, "server's port")
			}
			fmt.Fprintf(&b, "-a %s -r %s:%d %s -w %d", service, host(100+j), at, method, rapid.IntRange(0, 1<<31-1).Draw(t, "weight"))
			if method == "-i" {
				b.WriteString(" --tun-type ipip")
			}
			if x := rapid.IntRange(0, 9).Draw(t, "upper"); x > 0 {
				fmt.Fprintf(&b, " -x %d", x)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func TestReadErrors(t *testing.T) {
	tests := []struct{ rules, want string }{
		{"-A -t 10.0.0.1:80 -s rr\n-A -t 10.0.0.1:80 -s rr\n", "line 2: service already exists"},
		{"-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m\n", "line 1: service not defined: expected -A before"},
		{"-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m\n", "line 3: destination already exists"},
		{"-A --sctp-service 10.0.0.1:80 -s rr\n", "line 1: an ldirectord.cf has no SCTP services"},
		{"-A -u 10.0.0.1:5060 -s rr -p 60 --pe sip\n", "line 1: an ldirectord.cf has no persistence engines"},
		{"-A -t 10.0.0.1:80 -s rr -p 60 -M 255.0.255.0\n", "line 1: netmask with holes"},
		{"-A -f 1 -s rr -o\n", "line 1: an ldirectord.cf has one-packet scheduling for UDP only"},
		{"-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i --tun-type gre\n", "line 2: an ldirectord.cf has no tunnels of type gre"},
		{"-D -t 10.0.0.1:80\n", "line 1: --delete-service: expected -A or -a"},
		{"virtual=10.0.0.1:80\n", "line 1: "},
		{"-A -t 10.0.0.1:80 --frobnicate\n", "line 1: "},
	}
	for _, tt := range tests {
		_, err := convert.Read(strings.NewReader(tt.rules), numbers{})
		var line *convert.LineError
		if !errors.As(err, &line) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %s", tt.rules, err, tt.want)
		}
	}
}

// FuzzRead: no rules panic, and what is read can be written as a file that says the same.
func FuzzRead(f *testing.F) {
	f.Add("-A -t 10.0.0.1:80 -s wlc -p 60 -M 255.255.0.0\n-a -t 10.0.0.1:80 -r 10.0.0.2:81 -m -w 3 -x 5 -y 2\n")
	f.Add("ipvsadm -A -f 7 -6 -s sh -b sh-port\nipvsadm -a -f 7 -6 -r [2001:db8::2]:0 -g\n")
	f.Add("-A -u 10.0.0.1:53 -o\n-a -u 10.0.0.1:53 -r 10.0.0.2 -i --tun-type ipip\n-A -t 10.0.0.1:21\n-A -u 10.0.0.1:5060\n")
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := convert.Read(strings.NewReader(text), numbers{})
		if err != nil {
			return
		}
		again, err := config.Parse("f.cf", []byte(config.Format(spec)), numbers{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, config.Format(spec))
		}
		if !again.Spec.Equal(spec) {
			t.Fatalf("got  %+v\nwant %+v", again.Spec, spec)
		}
	})
}
