package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLikeLdirectordDrawn compares files of all kinds of lines, in which good and bad values meet at random. What the
// corpus lists as read differently is not drawn.
func TestLikeLdirectordDrawn(t *testing.T) {
	l := startLdirectord(t)
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := drawText(t)
		if _, err := Parse("t.cf", []byte(text), localNames{}); err == nil {
			accepted++
		} else {
			refused++
		}
		if difference := l.likeIt(text); difference != "" {
			t.Fatalf("%s\nin\n%s", difference, text)
		}
	})
	if !t.Failed() && (accepted == 0 || refused == 0) {
		t.Errorf("%d files accepted, %d refused: expected some of both", accepted, refused)
	}
	t.Logf("%d files accepted, %d refused", accepted, refused)
}

// values are what directives are given. Good values stand before bad ones, and are drawn more often.
type values struct{ good, bad []string }

func (v values) draw(t *rapid.T) string {
	if len(v.bad) > 0 && rapid.IntRange(0, 15).Draw(t, "bad") == 0 {
		return rapid.SampledFrom(v.bad).Draw(t, "bad value")
	}
	return rapid.SampledFrom(v.good).Draw(t, "value")
}

var (
	yesOrNo   = values{[]string{"yes", "no"}, []string{"maybe", "Yes", ""}}
	someCount = values{[]string{"1", "7", "12s", "about 3", "08"}, []string{"0", "", "some"}}
	inQuotes  = values{[]string{`"x"`, `"/a b"`, `"y" z`, `"a"b"`}, []string{`""`, "x", `"x`}}
	aText     = values{[]string{"/bin/a", `"/bin/b c"`, "d e"}, []string{""}}
	mailTo    = values{[]string{"a@b", `"c@d, e@f"`}, []string{`""`, ""}}
	status    = values{[]string{"all", "none", "running", "starting,stopping", "reloading ,running", "running,"}, []string{"none,all", "x", "running,,all"}}

	commonValues = map[string]values{
		"checktimeout": someCount, "negotiatetimeout": someCount, "checkinterval": someCount, "checkcount": someCount, "failurecount": someCount,
		"quiescent": yesOrNo, "cleanstop": yesOrNo, "emailalert": mailTo, "emailalertstatus": status,
		"emailalertfreq": {[]string{"0", "60", "5m"}, []string{"x5", ""}}, "smtp": {[]string{"mail.b", "10.0.0.9:25"}, []string{"", `"mail"`}},
	}
	globalValues = map[string]values{
		"autoreload": yesOrNo, "fork": yesOrNo, "supervised": yesOrNo, "readdquiescent": yesOrNo, "emailalertfrom": {[]string{"a <b@c>"}, []string{""}},
		"callback": {[]string{`"/bin/x"`, `""`}, []string{"/bin/x"}}, "execute": {[]string{"a", `"b"`}, nil}, "fallback": {[]string{"127.0.0.1", "127.0.0.2:81 masq"}, []string{"127.0.0.1 nat"}},
		"fallback6": {[]string{"[::1]", "[::1]:81 ipip"}, nil}, "fallbackcommand": {[]string{"/bin/a", "d e"}, []string{""}},
		"maintenancedir": {[]string{"/tmp"}, []string{""}}, "timeout": {[]string{"3"}, nil}, "nonsense": {[]string{"3"}, nil},
	}
	sectionValues = map[string]values{
		"checktype":    {[]string{"connect", "negotiate", "ping", "on", "off", "external", "external-perl x", "3", `"connect"`}, []string{"x", "", "external-"}},
		"checkcommand": aText, "monitorfile": {[]string{"/dev/null", `"/dev/null" x`}, nil}, "fallbackcommand": aText,
		"checkport": {[]string{"80", "8080x"}, []string{"0", "65536", ""}},
		"service":   {[]string{"http", "https", "ftp", "sip", "none", "mysql now", "http_proxy", "simpletcp"}, []string{"gopher", ""}},
		"request":   inQuotes, "receive": inQuotes, "login": inQuotes, "passwd": inQuotes, "database": inQuotes, "secret": inQuotes, "load": inQuotes,
		"httpmethod": {[]string{"GET", "head", `"get"`}, []string{"POST", ""}}, "virtualhost": {[]string{"a.b", `"a.b"`, `"a" b`, `a"b`}, nil},
		"scheduler": {[]string{"rr", "wrr", "sh", "mh", "Wlc"}, []string{"RR", ""}}, "schedflags": {[]string{"flag-3"}, []string{""}},
		"persistent": {[]string{"300", "60s"}, []string{"", "x"}}, "netmask": {[]string{"255.255.0.0", "64"}, []string{"129", "255", ""}},
		"protocol": {[]string{"tcp", "udp", "fwm"}, []string{"sctp", ""}}, "ops": yesOrNo, "servicename": {[]string{"a b", `"c"`, ""}, nil}, "comment": {[]string{"a b", ""}, nil},
		"real": {realValues, []string{"10.0.0.2:80", "10.0.0.2:80 nat", "10.0.0.300:80 masq", "10.0.0.2:80 masq x", "10.0.0.9->10.0.0.2:80 masq", "10.0.0.2:99999 masq", ""}},
		"real6": {[]string{"[2001:db8::2]:80 masq", "[2001:db8::3]:81 gate 2", "[2001:DB8::4] ipip"},
			[]string{"[2001:db8::2]->[2001:db8::3]:80 masq", "2001:db8::2 masq", "[2001:db8:::2]:80 masq"}},
		"fallback":  {[]string{"127.0.0.1", "127.0.0.2:81 masq", "x 127.0.0.3 ipip"}, []string{"127.0.0.1 nat", "127.0.0.300"}},
		"fallback6": {[]string{"[::1]", "[::1]:81 ipip"}, []string{"127.0.0.1", "::1"}},
		"nonsense":  {[]string{"3"}, nil},
	}
	realValues = []string{"10.0.0.2:80 masq", "10.0.0.3:http gate 5", "10.0.0.4 masq", "10.0.0.5 ipip 0", "10.0.0.6->10.0.0.8:81 masq 2", "10.0.0.2:80 gate 7",
		`10.0.0.2:81 masq 2 "x", "y"`, `10.0.0.3:80 masq "x" "" l:1 u:5`, "10.0.0.3:8080 gate l:3", "server=10.0.0.9:80 masq so 3", "10.0.0.2:80 masq u:3 l:4"}
	services4 = values{[]string{"virtual=10.0.0.1:80", "virtual=10.0.0.1:8080", "virtual = 10.0.0.1:53", "virtual=10.0.0.1:21 x", "virtual=7", "virtual=10.0.0.1:http"},
		[]string{"virtual=[2001:db8::1]:80", "virtual=nosuch", "virtual=10.0.0.1:x", "virtual="}}
	services6 = values{[]string{"virtual6=[2001:db8::1]:80", "virtual6=7", "virtual6=[2001:db8::1]:443"}, []string{"virtual6=[2001:db8::x]:80"}}
)

func drawText(t *rapid.T) string {
	var b strings.Builder
	marks := rapid.Bool().Draw(t, "firewall marks") // to which the global fallback is not ldirectord's
	globals := maps.Clone(globalValues)
	if marks {
		delete(globals, "fallback")
		delete(globals, "fallback6")
	}
	drawLines(t, &b, "", commonValues, globals)
	for range rapid.IntRange(0, 3).Draw(t, "services") {
		service, family := services4, "6"
		if rapid.IntRange(0, 3).Draw(t, "IPv6") == 0 {
			service, family = services6, ""
		}
		if line := service.draw(t); marks || !strings.HasSuffix(line, "=7") {
			fmt.Fprintln(&b, line)
		} else {
			continue
		}
		section := map[string]values{}
		for _, name := range slices.Sorted(maps.Keys(sectionValues)) { // one in many lines is of the other family
			v := sectionValues[name]
			base, six := strings.CutSuffix(name, "6")
			if _, both := sectionValues[base+"6"]; !both || six == (family == "") || rapid.IntRange(0, 30).Draw(t, "other family") == 0 {
				section[name] = v
			}
		}
		indent := rapid.SampledFrom([]string{"\t", "    ", "      ", " \t"}).Draw(t, "indent")
		fmt.Fprintf(&b, "%s# no line is no section to ldirectord\n", indent)
		drawLines(t, &b, indent, commonValues, section)
		if rapid.Bool().Draw(t, "blank line") {
			fmt.Fprintln(&b)
		}
	}
	drawLines(t, &b, "", commonValues, globals)
	return b.String()
}

func drawLines(t *rapid.T, b *strings.Builder, indent string, of ...map[string]values) {
	all := map[string]values{}
	for _, m := range of {
		maps.Copy(all, m)
	}
	names := slices.Sorted(maps.Keys(all))
	if rapid.IntRange(0, 5).Draw(t, "nonsense") > 0 {
		names = slices.DeleteFunc(names, func(n string) bool { return n == "nonsense" || n == "timeout" })
	}
	for range rapid.IntRange(0, 6).Draw(t, "lines") {
		name := rapid.SampledFrom(names).Draw(t, "directive")
		equals := rapid.SampledFrom([]string{"=", " = ", "\t="}).Draw(t, "equals")
		value := strings.TrimRight(all[name].draw(t), " ")
		if value == "" {
			equals = strings.TrimRight(equals, " ")
		}
		fmt.Fprintf(b, "%s%s%s%s\n", indent, name, equals, value)
	}
}
