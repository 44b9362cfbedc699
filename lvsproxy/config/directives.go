package config

import (
	"maps"
	"math/bits"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// directive acts on one "name = value" of a file. Where it may stand both globally and in a virtual section, it fills in
// [parser].settings.
type directive func(p *parser, name, value string)

// commonDirectives are those of ldirectord 4.12 that may stand globally and in a virtual section, which then counts.
var commonDirectives = map[string]directive{
	"checktimeout": func(p *parser, name, value string) { p.seconds(name, value, &p.settings.checkTimeout) },
	"negotiatetimeout": func(p *parser, name, value string) {
		p.seconds(name, value, &p.settings.negotiateTimeout)
	},
	"checkinterval":    func(p *parser, name, value string) { p.seconds(name, value, &p.settings.checkInterval) },
	"checkcount":       checkCount,
	"failurecount":     func(p *parser, name, value string) { p.count(name, value, &p.settings.failureCount) },
	"quiescent":        func(p *parser, name, value string) { p.yesNo(name, value, &p.settings.quiescent) },
	"cleanstop":        func(p *parser, name, value string) { p.yesNo(name, value, &p.settings.cleanStop) },
	"fallback":         func(p *parser, name, value string) { p.fallbackDirective(name, value, false) },
	"fallback6":        func(p *parser, name, value string) { p.fallbackDirective(name, value, true) },
	"fallbackcommand":  func(p *parser, name, value string) { p.text(name, value, &p.settings.fallbackCommand) },
	"emailalert":       func(p *parser, name, value string) { p.text(name, value, &p.settings.emailAlert) },
	"emailalertfreq":   emailAlertFreq,
	"emailalertstatus": emailAlertStatus,
	"smtp":             smtp,
	"connecttimeout":   gone("checktimeout and negotiatetimeout"),
}

// globalDirectives are all that ldirectord 4.12 knows outside a virtual section only, virtual and virtual6 apart.
var globalDirectives = map[string]directive{
	"autoreload": func(p *parser, name, value string) { p.fileFlag(name, value, &p.spec.AutoReload) },
	"fork": func(p *parser, name, value string) { // our checks never wait for each other, as if it were yes
		p.fileFlag(name, value, &p.global.fork)
	},
	"supervised": noEffect("no", "lvsproxy always runs in the foreground"),
	"readdquiescent": noEffect("yes",
		"a failed quiescent server always stays in the table, so there is nothing to add again"),
	"emailalertfrom": func(p *parser, _, value string) { p.emailAlertFrom(value) },
	"logfile":        logFile,
	"callback":       callback,
	"execute":        execute,
	"maintenancedir": maintenanceDir,
	"timeout":        gone("checktimeout and negotiatetimeout"),
}

// virtualDirectives are all that ldirectord 4.12 knows in a virtual section only.
var virtualDirectives = map[string]directive{
	"real":         func(p *parser, name, value string) { p.realDirective(name, value, false) },
	"real6":        func(p *parser, name, value string) { p.realDirective(name, value, true) },
	"checktype":    checkType,
	"checkcommand": checkCommand,
	"checkport":    checkPort,
	"service":      service,
	"request":      request,
	"receive":      receive,
	"httpmethod":   httpMethod,
	"virtualhost":  virtualHost,
	"login":        func(p *parser, name, value string) { p.quotedTo(name, value, &p.section.virtual.Check.Login) },
	"passwd":       func(p *parser, name, value string) { p.quotedTo(name, value, &p.section.virtual.Check.Passwd) },
	"database":     func(p *parser, name, value string) { p.quotedTo(name, value, &p.section.virtual.Check.Database) },
	"secret":       func(p *parser, name, value string) { p.quotedTo(name, value, &p.section.virtual.Check.Secret) },
	"load":         load,
	"scheduler":    scheduler,
	"schedflags":   schedFlags,
	"persistent":   persistent,
	"netmask":      netmask,
	"protocol":     protocol,
	"ops":          func(p *parser, name, value string) { p.yesNo(name, value, &p.section.onePacket) },
	"monitorfile":  monitorFile,
	"servicename":  func(p *parser, _, value string) { p.section.virtual.ServiceName = value },
	"comment":      func(p *parser, _, value string) { p.section.virtual.Comment = value },
}

// outside and inside are what may stand outside a virtual section and in one.
var (
	outside = merged(globalDirectives, commonDirectives, ownDirectives)
	inside  = merged(virtualDirectives, commonDirectives, ownDirectives)
)

func merged(all ...map[string]directive) map[string]directive {
	into := map[string]directive{}
	for _, m := range all {
		maps.Copy(into, m)
	}
	return into
}

// services are what ldirectord's negotiate check speaks, with the port that implies each; 0 for those that none implies.
var services = map[string]uint16{
	"dns": 53, "ftp": 21, "http": 80, "https": 443, "http_proxy": 3128, "imap": 143, "imaps": 993, "ldap": 389,
	"ldaps": 636, "mysql": 3306, "nntp": 119, "none": 0, "oracle": 1521, "pgsql": 5432, "pop": 110, "pops": 995,
	"radius": 1812, "simpletcp": 0, "sip": 5060, "smtp": 25, "submission": 587,
}

// serviceOfPort returns the service that a virtual service's port implies.
func serviceOfPort(port uint16) string {
	for name, p := range services {
		if p == port && p != 0 {
			return name
		}
	}
	return "none"
}

var checkTypes = []CheckType{CheckConnect, CheckNegotiate, CheckOn, CheckOff, CheckPing, CheckExternal, CheckExternalPerl}

// checkType takes any value with a number in it for that number, as ldirectord does.
func checkType(p *parser, name, value string) {
	c := &p.section.virtual.Check
	if strings.ContainsAny(value, "0123456789") {
		if p.number(name, value, 0, maxNumber, &c.Every) {
			c.Type = CheckCombined
		}
		return
	}
	t := CheckType(word(value, hyphenWord))
	if !slices.Contains(checkTypes, t) {
		p.errorf("checktype is %q: expected connect, negotiate, on, off, ping, external, external-perl or a number", value)
		return
	}
	p.dropped(name, value, string(t))
	c.Type, c.Every = t, 0
}

func service(p *parser, name, value string) {
	s := word(value, plainWord)
	if _, ok := services[s]; !ok {
		p.errorf("service is %q: expected one of %s", value, strings.Join(slices.Sorted(maps.Keys(services)), ", "))
		return
	}
	p.dropped(name, value, s)
	p.section.service = s
	p.defaultLogin(s)
}

// defaultLogin gives the login that ldirectord takes where the file names the service, but none where the port implies
// it. A login further down replaces it, and it stays if another service does.
func (p *parser) defaultLogin(service string) {
	c := &p.section.virtual.Check
	if c.Login == "" {
		switch service {
		case "ftp":
			c.Login = "anonymous"
		case "sip":
			c.Login = "ldirectord@" + hostName()
		}
	}
	if c.Passwd == "" && service == "ftp" {
		c.Passwd = "ldirectord@" + hostName()
	}
}

// hostName is this machine's name as ldirectord takes it.
func hostName() string {
	if name, ok := os.LookupEnv("HOSTNAME"); ok {
		return name
	}
	name, _ := os.Hostname() // it reads the kernel's, which does not fail
	return name
}

func request(p *parser, name, value string) {
	if s, ok := p.quoted(name, value); ok {
		p.section.request = rooted(s)
	}
}

func receive(p *parser, name, value string) {
	s, ok := p.quoted(name, value)
	if ok && p.pattern(p.line, s) {
		p.section.receive = s
	}
}

// pattern checks a receive pattern.
func (p *parser) pattern(line int, s string) bool {
	if _, err := regexp.Compile(s); err != nil {
		p.errorAt(line, "receive: %v: expected a regular expression of RE2 (https://golang.org/s/re2syntax)", err)
		return false
	}
	return true
}

func (p *parser) quotedTo(name, value string, to *string) {
	if s, ok := p.quoted(name, value); ok {
		*to = s
	}
}

// load is checked as ldirectord checks it, which does nothing with it either.
func load(p *parser, name, value string) {
	s, ok := p.quoted(name, value)
	switch {
	case ok && word(s, plainWord) == "":
		p.errorf("load is %q: expected a word in double quotes", value)
	case ok:
		p.warnf("load has no effect: ldirectord does nothing with it either")
	}
}

func scheduler(p *parser, name, value string) {
	s := word(value, lowerWord)
	if s == "" {
		p.errorf("scheduler is %q: expected lower-case letters, such as rr or wrr", value)
		return
	}
	p.dropped(name, value, s)
	p.section.virtual.Scheduler = s
}

func schedFlags(p *parser, name, value string) {
	s := word(value, fullWord)
	if s == "" {
		p.errorf("schedflags is empty: expected flags joined by commas, such as sh-port")
		return
	}
	p.dropped(name, value, s)
	p.section.schedFlags = s
}

func persistent(p *parser, name, value string) {
	var n int
	if p.number(name, value, 1, maxPersistence, &n) {
		p.section.virtual.Persistence.Timeout = time.Duration(n) * time.Second
	}
}

// netmask reads a prefix length for IPv6 and a dotted quad for IPv4, as ldirectord does, and for IPv4 only one that
// leads a network: IPVS would take 255.0.255.0.
func netmask(p *parser, name, value string) {
	if p.section.ipv6 {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 128 || digits.FindString(value) != value {
			p.errorf("netmask is %q: expected a prefix length from 1 to 128", value)
			return
		}
		p.section.netmask = given[int]{n, p.line}
		return
	}
	a, err := netip.ParseAddr(value)
	if err != nil || !a.Is4() {
		p.errorf("netmask is %q: expected a dotted quad, such as 255.255.255.0", value)
		return
	}
	b := a.As4()
	mask := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n := bits.LeadingZeros32(^mask)
	if mask<<n != 0 {
		p.errorf("netmask is %q: expected ones followed by zeros, such as 255.255.255.0", value)
		return
	}
	p.section.netmask = given[int]{n, p.line}
}

func protocol(p *parser, name, value string) {
	id := &p.section.virtual.ID
	w := word(value, plainWord)
	switch mark := id.Protocol == FWM; {
	case mark && w != string(FWM):
		p.errorf("protocol is %q: expected fwm, because the virtual service is a firewall mark", value)
	case !mark && w != string(TCP) && w != string(UDP):
		p.errorf("protocol is %q: expected tcp or udp, because the virtual service is an address and port", value)
	default:
		p.dropped(name, value, w)
		id.Protocol = Protocol(w)
	}
}

func checkPort(p *parser, name, value string) {
	var n int
	if p.number(name, value, 1, 65535, &n) {
		p.section.virtual.Check.Port = uint16(n)
	}
}

func httpMethod(p *parser, name, value string) {
	w := word(value, plainWord)
	switch m := strings.ToUpper(w); m {
	case "GET", "HEAD":
		p.dropped(name, value, w)
		p.section.virtual.Check.Method = m
	default:
		p.errorf("httpmethod is %q: expected GET or HEAD", value)
	}
}

// virtualHost takes what stands in quotes or before the first one.
func virtualHost(p *parser, name, value string) {
	s, rest, _ := strings.Cut(strings.TrimPrefix(value, `"`), `"`)
	if rest != "" {
		p.warnf("%s: %q after the closing quote is ignored", name, rest)
	}
	p.section.virtual.Check.VirtualHost = s
}

func checkCommand(p *parser, name, value string) {
	var s given[string]
	if p.text(name, value, &s); s.line != 0 {
		p.section.virtual.Check.Command = s.value
	}
}

func checkCount(p *parser, name, value string) {
	p.count(name, value, &p.settings.checkCount)
}

func monitorFile(p *parser, name, value string) {
	var s given[string]
	if p.text(name, value, &s); s.line != 0 {
		p.section.virtual.MonitorFile = s.value
	}
}

// emailAlertFreq wants its number first, unlike the other directives with a number.
func emailAlertFreq(p *parser, name, value string) {
	var n int
	if value == "" || value[0] < '0' || value[0] > '9' {
		p.errorf("%s is %q: expected a whole number from 0 to %d", name, value, maxNumber)
		return
	}
	if p.number(name, value, 0, maxNumber, &n) {
		p.settings.emailEvery = given[time.Duration]{time.Duration(n) * time.Second, p.line}
	}
}

func emailAlertStatus(p *parser, name, value string) {
	if s, ok := p.emailStatus(name, value); ok {
		p.settings.emailStatus = given[string]{s, p.line}
	}
}

func (p *parser) emailAlertFrom(value string) {
	if value == "" {
		p.errorf("emailalertfrom is empty: expected an address")
		return
	}
	p.global.emailFrom = given[string]{value, p.line}
}

func smtp(p *parser, name, value string) {
	host := word(value, hostWord)
	if host == "" {
		p.errorf("smtp is %q: expected a host name or an IPv4 address", value)
		return
	}
	p.dropped(name, value, host)
	p.settings.smtp = given[string]{host, p.line}
}

func logFile(p *parser, name, value string) {
	if s, ok := p.quotes(name, value); ok {
		p.globalLine(name)
		p.spec.LogFile = s
	}
}

func callback(p *parser, name, value string) {
	if s, ok := p.quotes(name, value); ok {
		p.globalLine(name)
		p.spec.Callback = s
	}
}

// execute may stand several times. ldirectord leaves quotes to the shell, which removes them.
func execute(p *parser, name, value string) {
	s := bare(value)
	if s == "" {
		p.errorf("execute is empty: expected the name of a configuration")
		return
	}
	if !slices.Contains(p.spec.Execute, s) {
		p.globalLine(name)
		p.spec.Execute = append(p.spec.Execute, s)
	}
}

// maintenanceDir takes a directory in quotes as well, where ldirectord would take the quotes for a part of its name.
func maintenanceDir(p *parser, name, value string) {
	s := bare(value)
	if s == "" {
		p.errorf("maintenancedir is empty: expected a directory")
		return
	}
	p.dropped(name, value, s)
	p.globalLine(name)
	p.spec.MaintenanceDir = s
}

// fileFlag reads a yes or no that only the whole file has.
func (p *parser) fileFlag(name, value string, to *bool) {
	var b given[bool]
	if p.yesNo(name, value, &b); b.line != 0 {
		p.globalLine(name)
		*to = b.value
	}
}

// globalLine notes where a directive of the whole file stands, for [File.Unsupported].
func (p *parser) globalLine(name string) { p.places[place{-1, -1, name}] = p.line }

func gone(instead string) directive {
	return func(p *parser, name, _ string) { p.errorf("ldirectord gave up %s: expected %s", name, instead) }
}

// noEffect is a yes/no directive of which one value makes no difference to us.
func noEffect(idle, why string) directive {
	return func(p *parser, name, value string) {
		var b given[bool]
		if p.yesNo(name, value, &b); b.line != 0 && b.value == (idle == yes) {
			p.warnf("%s=%s has no effect: %s", name, idle, why)
		}
	}
}

// expected tells what to write instead of an unknown directive: what looks most like it, or all there are.
func expected(name string, known map[string]directive, more ...string) string {
	names := slices.Sorted(maps.Keys(known))
	names = append(names, more...)
	slices.Sort(names)
	best, distance := "", 3
	for _, n := range names {
		if d := editDistance(name, n); d < distance {
			best, distance = n, d
		}
	}
	if best != "" {
		return ": expected " + best + "?"
	}
	return ": expected one of " + strings.Join(names, ", ")
}

// editDistance counts the insertions, deletions and replacements between two strings; from 3 on it may give up.
func editDistance(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
