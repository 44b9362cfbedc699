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
	path := rapid.StringMatching(`(/[a-z .#"]{1,9}[a-z])?`)
	s := Spec{
		AutoReload: rapid.Bool().Draw(t, "autoreload"), CleanStop: rapid.Bool().Draw(t, "cleanstop"),
		CheckInterval: drawSeconds(t, "interval", 1), LogFile: rapid.StringMatching(`[a-z0-9/]{0,9}`).Draw(t, "logfile"),
		Callback: rapid.StringMatching(`(/[a-z]{1,9})?`).Draw(t, "callback"), MaintenanceDir: rapid.StringMatching(`(/[a-z #]{0,9}[a-z])?`).Draw(t, "maintenancedir"),
		Execute: rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z.]{1,9}`), 0, 2, rapid.ID).Draw(t, "execute"),
	}
	if len(s.Execute) == 0 {
		s.Execute = nil
	}
	from := rapid.SampledFrom([]string{"", `"lvs" <lvs@example.com>`}).Draw(t, "from")
	for i := range rapid.IntRange(0, 4).Draw(t, "virtuals") {
		v := drawVirtual(t, byte(i))
		if v.Alert.To != "" {
			v.Alert.From = from
		}
		v.FallbackCommand, v.MonitorFile = balanced(path.Draw(t, "fallbackcommand")), balanced(path.Draw(t, "monitorfile"))
		s.Virtuals = append(s.Virtuals, v)
	}
	return s
}

// balanced leaves out what no line of a file can say: a # after an odd number of quotes inside quotes.
func balanced(s string) string {
	if strings.Contains(s, `"`) {
		return strings.ReplaceAll(s, "#", "")
	}
	return s
}

func drawSeconds(t *rapid.T, label string, least int) time.Duration {
	return time.Duration(rapid.IntRange(least, maxNumber).Draw(t, label)) * time.Second
}

func drawVirtual(t *rapid.T, i byte) Virtual {
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
	v := Virtual{
		ID:        VirtualID{Protocol: rapid.SampledFrom([]Protocol{TCP, UDP}).Draw(t, "protocol"), Addr: netip.AddrPortFrom(address(1), port.Draw(t, "port"))},
		Scheduler: rapid.SampledFrom([]string{"rr", "wrr", "sh", "mh", "x"}).Draw(t, "scheduler"),
		Quiescent: rapid.Bool().Draw(t, "quiescent"), CleanStop: rapid.Bool().Draw(t, "cleanstop"),
		Check:   drawCheck(t),
		Comment: strings.Trim(rapid.StringMatching(`[a-z ]{0,9}`).Draw(t, "comment"), " "),
		Alert:   drawAlert(t),
		Own:     drawOwn(t),
	}
	if rapid.IntRange(0, 9).Draw(t, "firewall mark") == 0 {
		v.ID = VirtualID{Protocol: FWM, FWMark: uint32(i) + 1, IPv6: six}
	}
	v.OnePacket = v.ID.Protocol == UDP && rapid.Bool().Draw(t, "ops")
	flags := rapid.SliceOfN(rapid.SampledFrom([]string{"flag-1", "flag-2", "flag-3"}), 0, 3).Draw(t, "schedflags")
	v.SchedFlags, _ = SchedFlags(v.Scheduler, strings.Join(flags, ","))
	if rapid.Bool().Draw(t, "persistent") {
		v.Persistence.Timeout = time.Duration(rapid.IntRange(1, maxPersistence).Draw(t, "timeout")) * time.Second
		v.Persistence.Netmask = rapid.IntRange(0, 32).Draw(t, "netmask")
		if six {
			v.Persistence.Netmask = rapid.IntRange(1, 128).Draw(t, "prefix")
		}
	}
	for j := range rapid.IntRange(0, 4).Draw(t, "reals") {
		v.Reals = append(v.Reals, drawReal(t, v, address(10+j), port))
	}
	if rapid.Bool().Draw(t, "has fallback") {
		v.Fallback = Fallback{netip.AddrPortFrom(address(99), port.Draw(t, "port")), Gate}
	}
	return v
}

func drawReal(t *rapid.T, v Virtual, address netip.Addr, port *rapid.Generator[uint16]) Real {
	text := rapid.StringMatching(`[a-z.*#?=& /]{0,12}`)
	r := Real{
		Addr: netip.AddrPortFrom(address, port.Draw(t, "port")), Forward: rapid.SampledFrom([]Forward{Masq, Gate, IPIP}).Draw(t, "forward"),
		Weight: rapid.IntRange(0, MaxWeight).Draw(t, "weight"), Request: "/" + text.Draw(t, "request"), Receive: text.Draw(t, "receive"),
		Lower: rapid.IntRange(0, 99).Draw(t, "lower"), Upper: rapid.IntRange(0, maxThreshold).Draw(t, "upper"),
	}
	r.Receive = strings.NewReplacer("*", "", "?", "").Replace(r.Receive)
	if r.Forward != Masq && v.ID.Protocol != FWM {
		r.Addr = netip.AddrPortFrom(r.Addr.Addr(), v.ID.Addr.Port())
		if other := port.Draw(t, "checkport"); other != r.Addr.Port() && v.Check.Port == 0 {
			r.CheckPort = other
		}
	}
	return r
}

func drawCheck(t *rapid.T) Check {
	text := rapid.StringMatching(`[a-z"]{0,9}`)
	c := Check{
		Type:     rapid.SampledFrom(append(checkTypes, CheckCombined)).Draw(t, "checktype"),
		Service:  rapid.SampledFrom([]string{"http", "none", "mysql", "ftp", "sip"}).Draw(t, "service"),
		Port:     rapid.Uint16().Draw(t, "checkport"),
		Method:   rapid.SampledFrom([]string{"GET", "HEAD"}).Draw(t, "method"),
		Interval: drawSeconds(t, "interval", 1), ConnectTimeout: drawSeconds(t, "connect", 1), NegotiateTimeout: drawSeconds(t, "negotiate", 1),
		FailureCount: rapid.IntRange(1, 9).Draw(t, "failurecount"), RiseCount: rapid.IntRange(0, 9).Draw(t, "risecount"),
		Count: rapid.IntRange(1, 9).Draw(t, "checkcount"), Command: "/" + text.Draw(t, "checkcommand"),
		VirtualHost: rapid.StringMatching(`[a-z.]{0,9}`).Draw(t, "virtualhost"),
		Login:       text.Draw(t, "login"), Passwd: text.Draw(t, "passwd"), Database: text.Draw(t, "database"), Secret: text.Draw(t, "secret"),
	}
	if c.Type == CheckCombined {
		c.Every = rapid.IntRange(0, 9).Draw(t, "every")
	}
	if c.Service == "ftp" || c.Service == "sip" { // naming them gives a login
		c.Login, c.Passwd = "a"+c.Login, "b"+c.Passwd
	}
	return c
}

func drawAlert(t *rapid.T) Alert {
	a := Alert{Webhook: rapid.SampledFrom([]string{"", "https://example.com/?a=b#c"}).Draw(t, "webhook")}
	if rapid.Bool().Draw(t, "mail") {
		a.To, a.SMTP = "ops@example.com, dev@example.com", rapid.SampledFrom([]string{"", "mail.example.com"}).Draw(t, "smtp")
		a.Every = drawSeconds(t, "emailalertfreq", 0)
		a.Statuses = rapid.SampledFrom([]string{"", "running", "running,stopping", allStatuses}).Draw(t, "emailalertstatus")
	}
	return a
}

func drawOwn(t *rapid.T) Own {
	duration := func(name string) time.Duration {
		return time.Duration(rapid.IntRange(0, 100_000).Draw(t, name)) * time.Millisecond
	}
	o := Own{
		Dataplane: rapid.SampledFrom(append(dataplanes, "")).Draw(t, "dataplane"), SlowStart: duration("slowstart"),
		MaxConns: rapid.IntRange(0, 9).Draw(t, "maxconn"), ProxyIn: rapid.Bool().Draw(t, "acceptproxy"), ProxyOut: rapid.IntRange(0, 2).Draw(t, "sendproxy"),
		ConnectTimeout: duration("servertimeout"), IdleTimeout: duration("idletimeout"), DrainTimeout: duration("draintimeout"),
	}
	if rapid.Bool().Draw(t, "queues") {
		o.Queue, o.QueueTimeout = 7, duration("queuetimeout")+time.Millisecond
	}
	return o
}

// FuzzParse: no input panics or takes long; what is accepted can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add("quiescent=no # c\nvirtual=10.0.0.1:80\n\treal=10.0.0.2->10.0.0.4:80 masq 2 \"a\", \"b\" l:1 u:2\n\tfallback=127.0.0.1\n")
	f.Add("virtual6=[2001:db8::1]:80\n    real6=[2001:db8::2]:80 gate\n    checktype=3\nvirtual=7\n\treal=10.0.0.1 ipip\n")
	f.Add("slowstart=30\nvirtual=10.0.0.1:53\n\t#lvsproxy: maxconn = 9\n\tops=yes\n#lvsproxy: idletimeout=1.5s\n\tpersistent=3\n\tnetmask=255.0.0.0\n")
	f.Add("virtual=10.0.0.1:21\n\tlogin=\"a\"\n\temailalert=a@b\n\temailalertstatus=running, all\n\tmonitorfile=/x \"#\n\tschedflags=flag-1\n\treal=10.0.0.2 gate\n")
	f.Add("callback=\"/a\"b\nexecute=\"c\"\nfallbackcommand=\"a\" \"#b\nvirtual=10.0.0.1:0\n\tpersistent=1\n\treal=10.0.0.2:80 gate\n\tservice=sip\n")
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
		file.Ignored(userspace)
		for _, v := range file.Spec.Virtuals {
			for _, r := range v.Reals {
				if strings.ContainsAny(r.Request+r.Receive, "\"\t") {
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
