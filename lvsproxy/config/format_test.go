package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFormat: a Spec that is written and read again is the same Spec.
func TestFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		text := Format(spec)
		f, err := Parse("t.cf", []byte(text), names{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if !f.Spec.Equal(spec) {
			t.Fatalf("got  %+v\nwant %+v\nfrom\n%s", f.Spec, spec, text)
		}
	})
}

func drawSpec(t *rapid.T) Spec {
	seconds := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.IntRange(1, maxNumber).Draw(t, "seconds")) * time.Second
	})
	s := Spec{AutoReload: rapid.Bool().Draw(t, "autoreload"), CheckInterval: seconds.Draw(t, "interval")}
	for i := range rapid.IntRange(0, 4).Draw(t, "virtuals") {
		s.Virtuals = append(s.Virtuals, drawVirtual(t, byte(i), seconds))
	}
	return s
}

func drawVirtual(t *rapid.T, i byte, seconds *rapid.Generator[time.Duration]) Virtual {
	prefix := netip.AddrFrom4([4]byte{10, i, 0, 0})
	six := rapid.Bool().Draw(t, "ipv6")
	address := func(n int) netip.Addr {
		b := prefix.As4()
		b[3] = byte(n)
		a := netip.AddrFrom4(b)
		if six {
			b := a.As16()
			b[0], b[10], b[11] = 0x20, 0, 0
			return netip.AddrFrom16(b)
		}
		return a
	}
	port := rapid.Uint16Range(1, 65535)
	text := rapid.StringMatching(`[a-z.*#?=& /]{0,12}`)
	v := Virtual{
		ID:        VirtualID{Protocol: rapid.SampledFrom([]Protocol{TCP, UDP}).Draw(t, "protocol"), Addr: netip.AddrPortFrom(address(1), port.Draw(t, "port"))},
		Scheduler: rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "scheduler"),
		Quiescent: rapid.Bool().Draw(t, "quiescent"),
		Check: Check{
			Type:     rapid.SampledFrom(append(checkTypes, CheckCombined)).Draw(t, "checktype"),
			Service:  rapid.SampledFrom([]string{"http", "none", "mysql"}).Draw(t, "service"),
			Port:     rapid.Uint16().Draw(t, "checkport"),
			Method:   rapid.SampledFrom([]string{"GET", "HEAD"}).Draw(t, "method"),
			Interval: seconds.Draw(t, "interval"), ConnectTimeout: seconds.Draw(t, "connect"), NegotiateTimeout: seconds.Draw(t, "negotiate"),
			FailureCount: rapid.IntRange(1, 9).Draw(t, "failurecount"),
			VirtualHost:  rapid.StringMatching(`[a-z.]{0,9}`).Draw(t, "virtualhost"),
		},
		Comment: strings.Trim(rapid.StringMatching(`[a-z ]{0,9}`).Draw(t, "comment"), " "),
	}
	if v.Check.Type == CheckCombined {
		v.Check.Every = rapid.IntRange(0, 9).Draw(t, "every")
	}
	for j := range rapid.IntRange(0, 4).Draw(t, "reals") {
		r := Real{
			Addr: netip.AddrPortFrom(address(10+j), port.Draw(t, "port")), Forward: rapid.SampledFrom([]Forward{Masq, Gate, IPIP}).Draw(t, "forward"),
			Weight: rapid.IntRange(0, MaxWeight).Draw(t, "weight"), Request: "/" + text.Draw(t, "request"), Receive: strings.TrimLeft(text.Draw(t, "receive"), "*?"),
			Upper: rapid.IntRange(0, 99).Draw(t, "upper"),
		}
		r.Receive = strings.NewReplacer("*", "", "?", "").Replace(r.Receive)
		if r.Forward != Masq {
			r.Addr = netip.AddrPortFrom(r.Addr.Addr(), v.ID.Addr.Port())
		}
		v.Reals = append(v.Reals, r)
	}
	if rapid.Bool().Draw(t, "has fallback") {
		v.Fallback = Fallback{netip.AddrPortFrom(address(99), port.Draw(t, "port")), Gate}
	}
	return v
}

// FuzzParse: no input panics or takes long; what is accepted can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add("quiescent=no # c\nvirtual=10.0.0.1:80\n\treal=10.0.0.2->10.0.0.4:80 masq 2 \"a\", \"b\" l:1 u:2\n\tfallback=127.0.0.1\n")
	f.Add("virtual6=[2001:db8::1]:80\n    real6=[2001:db8::2]:80 gate\n    checktype=3\nvirtual=7\n\treal=10.0.0.1 ipip\n")
	f.Add("checktimeout=3\r\nvirtual=web1.example:http\n\n\treceive=\"x#\"y\"\n  foo\n=\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f.cf", []byte(text), names{})
		if err != nil {
			if _, ok := err.(Problems); !ok {
				t.Fatalf("error is no Problems: %v", err)
			}
			return
		}
		file.Unsupported(userspace)
		for _, v := range file.Spec.Virtuals {
			for _, r := range v.Reals {
				if strings.Contains(r.Request+r.Receive, `"`) {
					return // see Format
				}
			}
		}
		again, err := Parse("g.cf", []byte(Format(file.Spec)), names{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, Format(file.Spec))
		}
		if !again.Spec.Equal(file.Spec) {
			t.Fatalf("got  %+v\nwant %+v", again.Spec, file.Spec)
		}
	})
}
