package config

import (
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestTalk(t *testing.T) {
	data, err := os.ReadFile("testdata/talk.cf")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse("talk.cf", data, names{})
	if err != nil {
		t.Fatal(err)
	}
	real := func(addr string) Real {
		return Real{Addr: addrPort(addr), Forward: Masq, Weight: 1, Request: "/lvscheck.html", Receive: "C.*"}
	}
	want := Spec{CheckInterval: 300 * time.Second, CleanStop: true, LogFile: "local0", Virtuals: []Virtual{{
		ID:        VirtualID{Protocol: TCP, Addr: addrPort("172.16.1.11:80")},
		Scheduler: "wrr",
		Check: Check{
			Type: CheckNegotiate, Service: "http", Method: "GET", Interval: 300 * time.Second,
			ConnectTimeout: 10 * time.Second, NegotiateTimeout: 10 * time.Second, FailureCount: 1, Count: 1, Command: "/bin/true",
		},
		CleanStop: true,
		Reals:     []Real{real("192.168.0.101:80"), real("192.168.0.102:80")},
	}}}
	if !reflect.DeepEqual(f.Spec, want) {
		t.Errorf("got  %+v\nwant %+v", f.Spec, want)
	}
	if f.Warnings != nil {
		t.Errorf("warnings: %v, want none", f.Warnings)
	}
	if ignored := f.Ignored(userspace); len(ignored) != 1 || ignored[0].Line != 5 || !strings.Contains(ignored[0].Message, "logfile has no effect") {
		t.Errorf("ignored: %v, want logfile in line 5", ignored)
	}
	if err := f.Unsupported(userspace); err != nil {
		t.Errorf("unsupported: %v", err)
	}
}

var userspace = Abilities{
	Dataplane: "userspace", Protocols: []Protocol{TCP}, Forwards: []Forward{Masq}, Schedulers: []string{"rr", "wrr"},
	CheckTypes: []CheckType{CheckNegotiate, CheckConnect, CheckCombined, CheckOn, CheckOff}, Services: []string{"http", "https", "none"},
	Local: netip.Addr.IsLoopback,
}

// one parses a file with a single virtual service: global lines, then lines for the section.
func one(t *testing.T, global, section string) (Virtual, []Problem) {
	t.Helper()
	f, err := Parse("t.cf", []byte(global+"\nvirtual=10.0.0.1:80\n"+section), names{})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Spec.Virtuals) != 1 {
		t.Fatalf("%d virtual services, want 1", len(f.Spec.Virtuals))
	}
	return f.Spec.Virtuals[0], f.Warnings
}

func TestDefaults(t *testing.T) {
	v, warnings := one(t, "", "\treal=10.0.0.2:80 masq\n")
	want := Virtual{
		ID: VirtualID{Protocol: TCP, Addr: addrPort("10.0.0.1:80")}, Scheduler: "wrr",
		Check: Check{Type: CheckNegotiate, Service: "http", Method: "GET", Interval: 10 * time.Second,
			ConnectTimeout: 5 * time.Second, NegotiateTimeout: 30 * time.Second, FailureCount: 1, Count: 1, Command: "/bin/true"},
		CleanStop: true,
		Reals:     []Real{{Addr: addrPort("10.0.0.2:80"), Forward: Masq, Weight: 1, Request: "/"}},
	}
	if !reflect.DeepEqual(v, want) || warnings != nil {
		t.Errorf("got  %+v %v\nwant %+v", v, warnings, want)
	}
}

// TestTimeouts: the four time-outs are each other's defaults, in the order of ldirectord's ld_setup.
func TestTimeouts(t *testing.T) {
	tests := []struct {
		global, section    string
		connect, negotiate int
	}{
		{"", "", 5, 30},
		{"checktimeout=3", "", 3, 3},
		{"negotiatetimeout=4", "", 4, 4},
		{"checktimeout=3\nnegotiatetimeout=4", "", 3, 4},
		{"checktimeout=3\nnegotiatetimeout=4", "checktimeout=1", 1, 1},
		{"checktimeout=3\nnegotiatetimeout=4", "negotiatetimeout=2", 2, 2},
		{"checktimeout=3", "checktimeout=1\nnegotiatetimeout=2", 1, 2},
	}
	for _, tt := range tests {
		section := "\t" + strings.ReplaceAll(tt.section, "\n", "\n\t") + "\n"
		v, _ := one(t, tt.global, section)
		connect, negotiate := int(v.Check.ConnectTimeout/time.Second), int(v.Check.NegotiateTimeout/time.Second)
		if connect != tt.connect || negotiate != tt.negotiate {
			t.Errorf("%q, %q: connect %d, negotiate %d; want %d, %d", tt.global, tt.section, connect, negotiate, tt.connect, tt.negotiate)
		}
	}
}

func TestSection(t *testing.T) {
	tests := []struct {
		name, global, section string
		get                   func(Virtual) any
		want                  any
	}{
		{"quiescent is no by default", "", "", func(v Virtual) any { return v.Quiescent }, false},
		{"quiescent of the whole file", "quiescent=yes", "", func(v Virtual) any { return v.Quiescent }, true},
		{"quiescent of the service wins", "quiescent=yes", "\tquiescent=no", func(v Virtual) any { return v.Quiescent }, false},
		{"failurecount", "failurecount=3", "", func(v Virtual) any { return v.Check.FailureCount }, 3},
		{"failurecount of the service wins", "failurecount=3", "\tfailurecount=2", func(v Virtual) any { return v.Check.FailureCount }, 2},
		{"checkinterval", "checkinterval=7", "", func(v Virtual) any { return v.Check.Interval }, 7 * time.Second},
		{"checkinterval of a service is ignored", "checkinterval=7", "\tcheckinterval=2", func(v Virtual) any { return v.Check.Interval }, 7 * time.Second},
		{"but not with fork", "fork=yes", "\tcheckinterval=2", func(v Virtual) any { return v.Check.Interval }, 2 * time.Second},
		{"a number as checktype", "", "\tchecktype=4", func(v Virtual) any { return v.Check }, Check{Type: CheckCombined, Every: 4, Service: "http", Method: "GET",
			Interval: 10 * time.Second, ConnectTimeout: 5 * time.Second, NegotiateTimeout: 30 * time.Second, FailureCount: 1, Count: 1, Command: "/bin/true"}},
		{"checkport", "", "\tcheckport=8081", func(v Virtual) any { return v.Check.Port }, uint16(8081)},
		{"httpmethod in lower case", "", "\thttpmethod=head", func(v Virtual) any { return v.Check.Method }, "HEAD"},
		{"virtualhost in quotes", "", "\tvirtualhost=\"www.example\"", func(v Virtual) any { return v.Check.VirtualHost }, "www.example"},
		{"virtualhost bare", "", "\tvirtualhost = www.example", func(v Virtual) any { return v.Check.VirtualHost }, "www.example"},
		{"four spaces, blanks round =", "", "    scheduler = rr  ", func(v Virtual) any { return v.Scheduler }, "rr"},
		{"a comment line in a section", "", "# not indented\n\t# indented\n\tscheduler=rr", func(v Virtual) any { return v.Scheduler }, "rr"},
		{"a blank line in a section", "", "\tscheduler=rr\n\n\tservice=none", func(v Virtual) any { return v.Check.Service }, "none"},
		{"fallback without a port or method", "", "\tfallback=127.0.0.1", func(v Virtual) any { return v.Fallback }, Fallback{addrPort("127.0.0.1:80"), Gate}},
		{"fallback of the whole file", "fallback=127.0.0.1:8080 masq", "", func(v Virtual) any { return v.Fallback }, Fallback{addrPort("127.0.0.1:8080"), Masq}},
		{"fallback of the service wins", "fallback=127.0.0.1:8080", "\tfallback=127.0.0.2:81 masq", func(v Virtual) any { return v.Fallback }, Fallback{addrPort("127.0.0.2:81"), Masq}},
		{"a # in quotes", "", "\trequest=\"a#b\" # comment\n\treal=10.0.0.2:80 masq", func(v Virtual) any { return v.Reals[0].Request }, "/a#b"},
		{"quotes in quotes", "", "\treceive=\"lang=\"en\"\"\n\treal=10.0.0.2:80 masq", func(v Virtual) any { return v.Reals[0].Receive }, `lang="en"`},
		{"Windows line ends", "", "\tscheduler=rr\r\n\tservice=none\r\n", func(v Virtual) any { return v.Scheduler }, "rr"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, _ := one(t, tt.global, tt.section)
			if got := tt.get(v); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestGlobalsCountWhereverTheyStand: ldirectord applies them after the whole file was read.
func TestGlobalsCountWhereverTheyStand(t *testing.T) {
	f, err := Parse("t.cf", []byte("virtual=10.0.0.1:80\n\treal=10.0.0.2:80 masq\nquiescent=yes\ncheckinterval=3\nfallback=127.0.0.1:80\n"), names{})
	if err != nil {
		t.Fatal(err)
	}
	v := f.Spec.Virtuals[0]
	if !v.Quiescent || v.Check.Interval != 3*time.Second || v.Fallback.IsZero() {
		t.Errorf("got %+v", v)
	}
}

func TestVirtual(t *testing.T) {
	tests := []struct {
		line    string
		id      VirtualID
		service string
	}{
		{"virtual=10.0.0.1:443", VirtualID{Protocol: TCP, Addr: addrPort("10.0.0.1:443")}, "https"},
		{"virtual = 10.0.0.1:http", VirtualID{Protocol: TCP, Addr: addrPort("10.0.0.1:80")}, "http"},
		{"virtual=web1.example:8080", VirtualID{Protocol: TCP, Addr: addrPort("192.168.0.101:8080")}, "none"},
		{"virtual=10.0.0.1:53", VirtualID{Protocol: UDP, Addr: addrPort("10.0.0.1:53")}, "dns"},
		{"virtual=10.0.0.1:domain", VirtualID{Protocol: UDP, Addr: addrPort("10.0.0.1:53")}, "dns"},
		{"virtual6=[2001:db8::1]:3306", VirtualID{Protocol: TCP, Addr: addrPort("[2001:db8::1]:3306")}, "mysql"},
		{"virtual6=web1.example:5432", VirtualID{Protocol: TCP, Addr: addrPort("[2001:db8::101]:5432")}, "pgsql"},
		{"virtual=7", VirtualID{Protocol: FWM, FWMark: 7}, "none"},
		{"virtual6=7", VirtualID{Protocol: FWM, FWMark: 7, IPv6: true}, "none"},
	}
	for _, tt := range tests {
		f, err := Parse("t.cf", []byte(tt.line+"\n\tscheduler=rr\n"), names{})
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if v := f.Spec.Virtuals[0]; v.ID != tt.id || v.Check.Service != tt.service {
			t.Errorf("%s: got %v %s, want %v %s", tt.line, v.ID, v.Check.Service, tt.id, tt.service)
		}
	}
}

func TestReal(t *testing.T) {
	base := func(addr string, f Forward) Real {
		return Real{Addr: addrPort(addr), Forward: f, Weight: 1, Request: "/v", Receive: "V"}
	}
	with := func(r Real, change func(*Real)) []Real { change(&r); return []Real{r} }
	tests := []struct {
		value string
		want  []Real
	}{
		{"10.0.0.2:8080 masq", []Real{base("10.0.0.2:8080", Masq)}},
		{"web1.example:http masq", []Real{base("192.168.0.101:80", Masq)}},
		{"10.0.0.2:80 gate", []Real{base("10.0.0.2:80", Gate)}},
		{"10.0.0.2:8080 gate", with(base("10.0.0.2:80", Gate), func(r *Real) { r.CheckPort = 8080 })},
		{"10.0.0.2 ipip", []Real{base("10.0.0.2:80", IPIP)}},
		{"10.0.0.2:80 masq 10", with(base("10.0.0.2:80", Masq), func(r *Real) { r.Weight = 10 })},
		{"10.0.0.2:80 masq 0", with(base("10.0.0.2:80", Masq), func(r *Real) { r.Weight = 0 })},
		{"10.0.0.2:80\tmasq\t2 \"own.html\", \"O.K\"", with(base("10.0.0.2:80", Masq), func(r *Real) { r.Weight, r.Request, r.Receive = 2, "/own.html", "O.K" })},
		{`10.0.0.2:80 masq "own","x"`, with(base("10.0.0.2:80", Masq), func(r *Real) { r.Request, r.Receive = "/own", "x" })},
		{`10.0.0.2:80 masq "/" ""`, with(base("10.0.0.2:80", Masq), func(r *Real) { r.Request, r.Receive = "/", "" })},
		{`10.0.0.2:80 masq "http://10.0.0.9:81/x", "y"`, with(base("10.0.0.2:80", Masq), func(r *Real) { r.Request, r.Receive = "http://10.0.0.9:81/x", "y" })},
		{"10.0.0.2:80 masq 3 l:5 u:9", with(base("10.0.0.2:80", Masq), func(r *Real) { r.Weight, r.Lower, r.Upper = 3, 5, 9 })},
		{"10.0.0.254->10.0.1.1:80 masq", []Real{base("10.0.0.254:80", Masq), base("10.0.0.255:80", Masq), base("10.0.1.0:80", Masq), base("10.0.1.1:80", Masq)}},
		{"10.0.0.2->10.0.0.2:80 masq", []Real{base("10.0.0.2:80", Masq)}},
	}
	for _, tt := range tests {
		v, _ := one(t, "", "\trequest=\"v\"\n\treceive=\"V\"\n\treal="+tt.value+"\n")
		if !reflect.DeepEqual(v.Reals, tt.want) {
			t.Errorf("%s:\ngot  %v\nwant %v", tt.value, v.Reals, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	const v = "virtual=10.0.0.1:80\n"
	tests := []struct {
		name, file string
		want       []string // "line: part of the message", all errors in order
	}{
		{"unknown global directive", "chekinterval=3\n", []string{`1: unknown directive "chekinterval": expected checkinterval?`}},
		{"unknown directive unlike any", "frobnicate=3\n", []string{`1: unknown directive "frobnicate": expected one of acceptproxy, autoreload, callback`}},
		{"unknown directive in a section", v + "\tshceduler=rr\n", []string{`2: unknown directive "shceduler" in a virtual section: expected scheduler?`}},
		{"section directive outside", "real=10.0.0.2:80 masq\n", []string{`1: "real" belongs to a virtual section: indent it`}},
		{"global directive inside", v + "\tautoreload=yes\n", []string{`2: "autoreload" is a global directive: it must not be indented`}},
		{"too little indentation", v + "  real=10.0.0.2:80 masq\n", []string{`2: "real" is indented by 2 spaces`}},
		{"indented, no section", "\treal=10.0.0.2:80 masq\n", []string{`1: "real" is indented, but no virtual section is open`}},
		{"indented virtual", v + "\tvirtual=10.0.0.2:80\n", []string{"2: virtual begins a section"}},
		{"no value", "quiescent\n", []string{"1: expected quiescent=VALUE"}},
		{"neither yes nor no", "quiescent=maybe\n", []string{`1: quiescent is "maybe": expected yes or no`}},
		{"no number", "checktimeout=soon\n", []string{`1: checktimeout is "soon": expected a whole number from 1`}},
		{"zero seconds", "checkinterval=0\n", []string{`1: checkinterval is "0": expected a whole number from 1`}},
		{"a huge number", "checkinterval=99999999999999999999\n", []string{"1: checkinterval is"}},
		{"given up by ldirectord", "timeout=3\n", []string{"1: ldirectord gave up timeout: expected checktimeout and negotiatetimeout"}},
		{"no virtual service", "virtual=nonsense\n", []string{`1: "nonsense" is no virtual service: expected ADDRESS:PORT or a firewall mark`}},
		{"IPv6 in virtual", "virtual=[2001:db8::1]:80\n", []string{"1: \"[2001:db8::1]:80\" is an IPv6 address: expected virtual6"}},
		{"bad address", "virtual=10.0.0.300:80\n", []string{`1: virtual service: "10.0.0.300": expected an IPv4 address`}},
		{"bad port", "virtual=10.0.0.1:70000\n", []string{`1: virtual service: "70000": expected a port from 1 to 65535`}},
		{"unknown host", "virtual=nowhere.example:80\n", []string{`1: virtual service: "nowhere.example": expected a host name that resolves or an address`}},
		{"duplicate virtual", v + "\tscheduler=rr\n" + v + "\tscheduler=rr\n", []string{"3: duplicate virtual service: the first is at line 1"}},
		{"no real server", v + "\treal=10.0.0.2:80\n", []string{`2: "10.0.0.2:80" is no real server: expected ADDRESS`}},
		{"bad method", v + "\treal=10.0.0.2:80 nat\n", []string{`2: "nat" after the real server's address: expected gate|masq|ipip`}},
		{"bad weight", v + "\treal=10.0.0.2:80 masq 3000000000\n", []string{`2: weight is "3000000000": expected a whole number from 0 to 2147483647`}},
		{"rest of a real line", v + "\treal=10.0.0.2:80 masq 1 fast\n", []string{`2: "masq 1 fast" after`}},
		{"no port, but for every one", "virtual=10.0.0.1:0\n\tscheduler=rr\n", []string{"1: virtual service of port 0, which means every port: expected persistent"}},
		{"range reversed", v + "\treal=10.0.0.9->10.0.0.2:80 masq\n", []string{"2: range 10.0.0.9->10.0.0.2 is the wrong way round"}},
		{"range too large", v + "\treal=10.0.0.0->11.0.0.0:80 masq\n", []string{"2: range 10.0.0.0->11.0.0.0 holds 16777217 addresses"}},
		{"real6 in virtual", v + "\treal6=[2001:db8::2]:80 masq\n", []string{"2: real6 in a virtual section: expected real"}},
		{"real in virtual6", "virtual6=[2001:db8::1]:80\n\treal=10.0.0.2:80 masq\n", []string{"2: real in a virtual6 section: expected real6"}},
		{"request not quoted", v + "\trequest=index.html\n", []string{"2: request is index.html: expected a value in double quotes"}},
		{"request empty", v + "\trequest=\"\"\n", []string{"2: request is empty"}},
		{"bad pattern", v + "\treceive=\"(\"\n", []string{"2: receive: error parsing regexp"}},
		{"bad own pattern", v + "\treal=10.0.0.2:80 masq \"/\", \"(?=x)\"\n", []string{"2: receive: error parsing regexp"}},
		{"bad request", v + "\trequest=\"%zz\"\n\treal=10.0.0.2:80 masq\n\treal=10.0.0.3:80 masq\n", []string{`2: request "/%zz": expected a path that may stand in a URL: invalid URL escape`}},
		{"bad own request", v + "\treal=10.0.0.2:80 masq \"%zz\", \"\"\n", []string{`2: request "/%zz"`}},
		{"bad own URL", v + "\treal=10.0.0.2:80 masq \"http://[x\", \"\"\n", []string{`2: request "/http://[x"`}},
		{"own URL without a host", v + "\treal=10.0.0.2:80 masq \"http:///x\", \"\"\n", []string{`2: request "/http:///x": expected a path that may stand in a URL: no host`}},
		{"bad checktype", v + "\tchecktype=sometimes\n", []string{`2: checktype is "sometimes": expected connect, negotiate`}},
		{"bad service", v + "\tservice=gopher\n", []string{`2: service is "gopher": expected one of dns, ftp`}},
		{"bad scheduler", v + "\tscheduler=RR\n", []string{`2: scheduler is "RR": expected lower-case letters`}},
		{"bad protocol", v + "\tprotocol=sctp\n", []string{`2: protocol is "sctp": expected tcp or udp`}},
		{"bad protocol of a mark", "virtual=1\n\tprotocol=tcp\n", []string{`2: protocol is "tcp": expected fwm`}},
		{"bad method of HTTP", v + "\thttpmethod=POST\n", []string{`2: httpmethod is "POST": expected GET or HEAD`}},
		{"bad checkport", v + "\tcheckport=0\n", []string{`2: checkport is "0"`}},
		{"bad fallback", v + "\tfallback=127.0.0.1:80 nat\n", []string{`2: "127.0.0.1:80 nat" is no fallback server`}},
		{"fallback is a real server", v + "\treal=10.0.0.2:80 masq\n\tfallback=10.0.0.2 masq\n", []string{"3: fallback server 10.0.0.2:80 is a real server too, at line 2"}},
		{"bad persistence", v + "\tpersistent=long\n", []string{`2: persistent is "long": expected a whole number from 1 to 2678400`}},
		{"netmask by length", v + "\tnetmask=24\n", []string{`2: netmask is "24": expected a dotted quad`}},
		{"netmask with holes", v + "\tnetmask=255.0.255.0\n", []string{`2: netmask is "255.0.255.0": expected ones followed by zeros`}},
		{"netmask of IPv6 as a quad", "virtual6=[2001:db8::1]:80\n\tnetmask=255.0.0.0\n", []string{`2: netmask is "255.0.0.0": expected a prefix length from 1 to 128`}},
		{"another scheduler's flag", v + "\tschedflags=sh-port\n", []string{`2: schedflags: "sh-port" is a flag of scheduler sh: expected flag-1`}},
		{"unknown flag", v + "\tschedflags=flag-4\n", []string{`2: schedflags: "flag-4": expected flag-1, flag-2, flag-3, sh-fallback`}},
		{"ops", v + "\tops=true\n", []string{`2: ops is "true": expected yes or no`}},
		{"no address for alerts", "emailalert=\"\"\n", []string{"1: emailalert is empty"}},
		{"no such status", "emailalertstatus=running,walking\n", []string{`1: emailalertstatus is "running,walking": expected all, none, or some of`}},
		{"none and another", "emailalertstatus=none,all\n", []string{`1: emailalertstatus is "none,all": expected none without any other`}},
		{"no frequency", "emailalertfreq=often\n", []string{`1: emailalertfreq is "often": expected a whole number from 0`}},
		{"mail to nowhere", "smtp=\"mail\"\n", []string{`1: smtp is "\"mail\"": expected a host name or an IPv4 address`}},
		{"password not quoted", v + "\tpasswd=hunter2\n", []string{"2: passwd is not: expected a value in double quotes"}},
		{"unknown own directive", v + "\t#lvsproxy: maxcon=1\n", []string{`2: unknown directive "maxcon" after #lvsproxy:: expected maxconn?`}},
		{"own form for another's directive", v + "\t#lvsproxy: real=10.0.0.2:80 masq\n", []string{`2: unknown directive "real" after #lvsproxy:`}},
		{"indented own directive, no section", "\t#lvsproxy: maxconn=1\n", []string{`1: "maxconn" is indented, but no virtual section is open`}},
		{"queue without its time-out", v + "\tqueue=1\n", []string{"2: queue and queuetimeout: expected both, or neither"}},
		{"no PROXY protocol", v + "\tsendproxy=v3\n", []string{`2: sendproxy is "v3": expected v1, v2 or no`}},
		{"no dataplane", v + "\tdataplane=dpdk\n", []string{`2: dataplane is "dpdk": expected auto or userspace or ebpf or ipvs`}},
		{"no webhook", v + "\twebhook=example.com\n", []string{`2: webhook is "example.com": expected an address that begins with http`}},
		{"no duration", v + "\tidletimeout=5 minutes\n", []string{`2: idletimeout is "5 minutes": expected a number of seconds from 0`}},
		{"all errors are reported, by line", "quiescent=x\nvirtual=10.0.0.1:80\n\treal=10.0.0.2\n\tscheduler=9\n\tfoo=1\nbar=2\n",
			[]string{"1: quiescent", "3: \"10.0.0.2\"", "4: scheduler", "5: unknown directive \"foo\"", "6: unknown directive \"bar\""}},
		{"the lines of a broken section are checked", "virtual=?\n\tservice=gopher\n", []string{"1: \"?\"", "2: service"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("t.cf", []byte(tt.file), names{})
			var ps Problems
			if !errors.As(err, &ps) || f != nil {
				t.Fatalf("got %v, want problems", err)
			}
			if len(ps) != len(tt.want) {
				t.Fatalf("got %d problems, want %d:\n%v", len(ps), len(tt.want), err)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(ps[i].Error(), "t.cf:"+want) {
					t.Errorf("got  %v\nwant t.cf:%s …", ps[i], want)
				}
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	const v = "virtual=10.0.0.1:80\n"
	tests := []struct{ file, want string }{
		{"checkinterval=10s\n", `t.cf:1: checkinterval is "10s": read as 10`},
		{"supervised\n", "t.cf:1: write supervised=yes"},
		{"supervised=no\n", "t.cf:1: supervised=no has no effect"},
		{"readdquiescent=yes\n", "t.cf:1: readdquiescent=yes has no effect"},
		{"checkcount=3\n", "t.cf:1: checkcount counts only for ping checks"},
		{"checkcount=3\n" + v + "\tchecktype=ping\n", ""},
		{v + "\tcheckcount=3\n", "t.cf:2: checkcount counts only for ping checks"},
		{v + "\tpasswd=\"hunter2\"\n", ""},
		{v + "\treal=10.0.0.2:80 masq\n\treal=10.0.0.2:80 masq 2\n", "t.cf:3: real server 10.0.0.2:80 again: this line counts, not line 2"},
		{v + "\treal=10.0.0.2:80 masq fast 2\n", `t.cf:2: "fast" in a real server's line is ignored`},
		{v + "\tnetmask=255.0.0.0\n", "t.cf:2: netmask counts only together with persistent"},
		{v + "\tops=yes\n", "t.cf:2: ops counts only with protocol=udp"},
		{v + "\tscheduler=Wrr\n", `t.cf:2: scheduler is "Wrr": read as "rr"`},
		{"virtual=10.0.0.1:80 and more\n", `t.cf:1: virtual service is "10.0.0.1:80 and more": read as "10.0.0.1:80"`},
		{v + "\treal=10.0.0.2:8080 gate\n", "t.cf:2: gate cannot change ports: port 80 is used, not 8080"},
		{v + "\tcheckinterval=3\n", "t.cf:2: checkinterval of a virtual service counts only with fork=yes"},
		{v + "\thttpmethod=HEAD\n\treceive=\"x\"\n", "t.cf:2: an answer to HEAD has no body"},
		{v + "\trequest=\"a\" b\n", "t.cf:2: request: \" b\" after the closing quote is ignored"},
		{"quiescent=yes\nfork=no\nsupervised=yes\nautoreload=yes\ncleanstop=yes\n", ""},
	}
	for _, tt := range tests {
		f, err := Parse("t.cf", []byte(tt.file), names{})
		if err != nil {
			t.Errorf("%q: %v", tt.file, err)
			continue
		}
		got := Problems(f.Warnings).Error()
		if !strings.HasPrefix(got, tt.want) || (tt.want == "") != (got == "") || strings.Contains(got, "hunter2") {
			t.Errorf("%q: got %q, want %q", tt.file, got, tt.want)
		}
	}
}

// TestIgnored: what changes nothing about where connections go is accepted, and said.
func TestIgnored(t *testing.T) {
	f, err := Parse("t.cf", []byte("emailalert=\"ops@example.com\"\ncleanstop=no\ncallback=\"/bin/x\"\n"+
		"virtual=10.0.0.1:80\n\tmonitorfile=/tmp/m\n\t#lvsproxy: webhook=https://example.com\nvirtual=10.0.0.1:81\n\tscheduler=rr\n"), names{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Unsupported(userspace); err != nil {
		t.Error(err)
	}
	want := `t.cf:1: emailalert is not supported yet: no e-mail is sent
t.cf:2: cleanstop=no has no effect with the userspace dataplane: connections end with lvsproxy, after they were drained
t.cf:3: callback is not supported yet: no program is run when the file changes
t.cf:5: monitorfile is not supported yet: check results are in the log
t.cf:6: webhook is not supported yet: nothing is posted`
	if got := Problems(f.Ignored(userspace)).Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	all := userspace
	all.KeepTable, all.Mail, all.Webhook, all.MonitorFile, all.LogFile, all.Callback = true, true, true, true, true, true
	if got := f.Ignored(all); got != nil {
		t.Errorf("got %v from a director that does it all", got)
	}
}

func TestUnsupported(t *testing.T) {
	file := `virtual=10.0.0.1:80
	real=10.0.0.2:80 masq
	real=10.0.0.3->10.0.0.5:80 gate
	real=10.0.0.6:80 ipip
	real=127.0.0.1:80 gate
	real=10.0.0.7:80 masq u:10
	fallback=10.0.0.8
	scheduler=lc
	service=ftp
virtual=10.0.0.1:81
	checktype=ping
	protocol=udp
virtual=3
	real=10.0.0.2 masq
virtual=10.0.0.1:0
	persistent=60
	schedflags=flag-1
	acceptproxy=yes
	sendproxy=v1
	slowstart=1
	maxconn=1
	queue=1
	queuetimeout=1
	idletimeout=1
	draintimeout=1
	dataplane=ipvs
	fallbackcommand=/bin/x
virtual=10.0.0.1:53
	ops=yes
fallback=127.0.0.1
servertimeout=1
execute=other
maintenancedir=/m
`
	f, err := Parse("t.cf", []byte(file), names{})
	if err != nil {
		t.Fatal(err)
	}
	want := `t.cf:3: the userspace dataplane cannot forward by gate: expected masq
t.cf:4: the userspace dataplane cannot forward by ipip: expected masq
t.cf:6: connection thresholds (l: and u:) are not supported yet: expected none
t.cf:7: fallback by gate (the method where none is given is gate): the userspace dataplane forwards by masq: expected fallback=10.0.0.8:80 masq
t.cf:8: scheduler lc is not supported yet: expected rr or wrr
t.cf:9: a negotiate check of service ftp is not supported yet: expected http or https or none, or checktype=connect
t.cf:11: checktype ping is not supported yet: expected negotiate or connect or combined or on or off
t.cf:12: protocol udp is not supported yet by the userspace dataplane: expected tcp
t.cf:13: firewall marks are not supported by the userspace dataplane: expected ADDRESS:PORT, with protocol=tcp
t.cf:15: a virtual service of every port is not supported yet by the userspace dataplane: expected a port from 1 to 65535
t.cf:16: persistent is not supported yet by the userspace dataplane: expected no such directive
t.cf:17: schedflags is not supported yet by the userspace dataplane: expected no such directive
t.cf:18: acceptproxy is not supported yet by the userspace dataplane: expected no such directive
t.cf:19: sendproxy is not supported yet by the userspace dataplane: expected no such directive
t.cf:20: slowstart is not supported yet by the userspace dataplane: expected no such directive
t.cf:21: maxconn is not supported yet by the userspace dataplane: expected no such directive
t.cf:22: queue is not supported yet by the userspace dataplane: expected no such directive
t.cf:24: idletimeout is not supported yet by the userspace dataplane: expected no such directive
t.cf:25: draintimeout is not supported yet by the userspace dataplane: expected no such directive
t.cf:26: dataplane ipvs is not supported yet: expected userspace
t.cf:27: fallbackcommand is not supported yet by the userspace dataplane: expected no such directive
t.cf:28: protocol udp is not supported yet by the userspace dataplane: expected tcp
t.cf:28: a negotiate check of service dns is not supported yet: expected http or https or none, or checktype=connect
t.cf:29: ops is not supported yet by the userspace dataplane: expected no such directive
t.cf:31: servertimeout is not supported yet by the userspace dataplane: expected no such directive
t.cf:32: execute is not supported yet: start one lvsproxy for each file instead
t.cf:33: maintenancedir is not supported yet: set a server's weight to 0 and reload instead`
	if got := f.Unsupported(userspace).Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	every := userspace
	every.Protocols, every.Forwards, every.Schedulers = []Protocol{TCP, UDP, FWM}, []Forward{Masq, Gate, IPIP}, []string{"lc", "wrr"}
	every.CheckTypes, every.Services, every.Dataplanes = append(every.CheckTypes, CheckPing), []string{"ftp", "http", "dns", "none"}, []string{"ipvs"}
	every.Thresholds, every.AnyPort, every.Persistence, every.SchedFlags, every.OnePacket = true, true, true, true, true
	every.ProxyIn, every.ProxyOut, every.SlowStart, every.MaxConns, every.Queue, every.ConnectTimeout = true, true, true, true, true, true
	every.IdleTimeout, every.DrainTimeout, every.FallbackCommand, every.Execute, every.Maintenance = true, true, true, true, true
	if err := f.Unsupported(every); err != nil {
		t.Errorf("a director that can do it all: %v", err)
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load("testdata/absent.cf", names{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want a missing file", err)
	}
	if f, err := Load("testdata/talk.cf", names{}); err != nil || f.Name != "testdata/talk.cf" {
		t.Errorf("got %v, %v", f, err)
	}
}
