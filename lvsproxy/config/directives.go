package config

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// directive acts on one "name = value" of a file.
type directive func(p *parser, name, value string)

// globalDirectives are all that ldirectord 4.12 knows outside a virtual section, virtual and virtual6 apart.
var globalDirectives = map[string]directive{
	"checktimeout": func(p *parser, name, value string) { p.seconds(name, value, &p.global.checkTimeout) },
	"negotiatetimeout": func(p *parser, name, value string) {
		p.seconds(name, value, &p.global.negotiateTimeout)
	},
	"checkinterval": func(p *parser, name, value string) { p.seconds(name, value, &p.spec.CheckInterval) },
	"checkcount":    checkCount,
	"failurecount":  func(p *parser, name, value string) { p.count(name, value, &p.global.failureCount) },
	"quiescent":     func(p *parser, name, value string) { p.yesNo(name, value, &p.global.quiescent) },
	"fallback":      func(p *parser, name, value string) { p.global.fallback = p.parseFallback(value) },
	"fallback6":     func(p *parser, name, value string) { p.global.fallback6 = p.parseFallback(value) },
	"autoreload": func(p *parser, name, value string) {
		var s string
		p.yesNo(name, value, &s)
		p.spec.AutoReload = s == "yes"
	},
	"fork": func(p *parser, name, value string) { // our checks never wait for each other, as if it were yes
		var s string
		p.yesNo(name, value, &s)
		p.global.fork = s == "yes"
	},
	"supervised": noEffect("no", "lvsproxy always runs in the foreground"),
	"readdquiescent": noEffect("yes",
		"a failed quiescent server always stays in the table, so there is nothing to add again"),
	"cleanstop":        cleanStop,
	"logfile":          logFile,
	"callback":         notYet("no program is run when the file changes"),
	"emailalert":       notYet(noMail),
	"emailalertfreq":   notYet(noMail),
	"emailalertstatus": notYet(noMail),
	"emailalertfrom":   notYet(noMail),
	"smtp":             notYet(noMail),
	"fallbackcommand":  refused(""),
	"execute":          refused("start one lvsproxy for each file instead"),
	"maintenancedir":   refused("set a server's weight to 0 and reload instead"),
	"connecttimeout":   gone("checktimeout and negotiatetimeout"),
	"timeout":          gone("checktimeout and negotiatetimeout"),
}

// virtualDirectives are all that ldirectord 4.12 knows in a virtual section.
var virtualDirectives = map[string]directive{
	"real":             func(p *parser, name, value string) { p.realDirective(name, value, false) },
	"real6":            func(p *parser, name, value string) { p.realDirective(name, value, true) },
	"checktype":        checkType,
	"service":          service,
	"request":          request,
	"receive":          receive,
	"scheduler":        scheduler,
	"protocol":         protocol,
	"checkport":        checkPort,
	"httpmethod":       httpMethod,
	"virtualhost":      func(p *parser, _, value string) { p.section.virtual.Check.VirtualHost = unquote(value) },
	"checktimeout":     func(p *parser, name, value string) { p.seconds(name, value, &p.section.settings.checkTimeout) },
	"negotiatetimeout": func(p *parser, name, value string) { p.seconds(name, value, &p.section.settings.negotiateTimeout) },
	"checkinterval":    func(p *parser, name, value string) { p.seconds(name, value, &p.section.settings.checkInterval) },
	"checkcount":       checkCount,
	"failurecount":     func(p *parser, name, value string) { p.count(name, value, &p.section.settings.failureCount) },
	"quiescent":        func(p *parser, name, value string) { p.yesNo(name, value, &p.section.settings.quiescent) },
	"fallback":         func(p *parser, name, value string) { p.virtualFallback(name, value, false) },
	"fallback6":        func(p *parser, name, value string) { p.virtualFallback(name, value, true) },
	"servicename":      func(p *parser, _, value string) { p.section.virtual.ServiceName = value },
	"comment":          func(p *parser, _, value string) { p.section.virtual.Comment = value },
	"ops":              refusedIf("yes", "one-packet scheduling is for UDP"),
	"cleanstop":        cleanStop,
	"persistent":       refused(""),
	"netmask":          refused(""),
	"schedflags":       refused(""),
	"fallbackcommand":  refused(""),
	"checkcommand":     notYet("external checks cannot be run"),
	"login":            notYet("no supported check logs in"),
	"passwd":           notYet("no supported check logs in"),
	"database":         notYet("no supported check asks a database"),
	"secret":           notYet("no supported check needs a secret"),
	"load":             notYet("ldirectord does nothing with it either"),
	"monitorfile":      notYet("check results are in the log"),
	"emailalert":       notYet(noMail),
	"emailalertfreq":   notYet(noMail),
	"emailalertstatus": notYet(noMail),
	"smtp":             notYet(noMail),
	"connecttimeout":   gone("checktimeout and negotiatetimeout"),
}

const noMail = "no e-mail is sent"

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

func checkType(p *parser, name, value string) {
	c := &p.section.virtual.Check
	if slices.Contains(checkTypes, CheckType(value)) {
		c.Type, c.Every = CheckType(value), 0
		return
	}
	var n int
	if strings.ContainsAny(value, "0123456789") {
		p.number(name, value, 0, maxNumber, &n)
		c.Type, c.Every = CheckCombined, n
		return
	}
	p.errorf("checktype is %q: expected connect, negotiate, on, off, ping, external, external-perl or a number", value)
}

func service(p *parser, _, value string) {
	if _, ok := services[value]; !ok {
		p.errorf("service is %q: expected one of %s", value, strings.Join(slices.Sorted(maps.Keys(services)), ", "))
		return
	}
	p.section.service = value
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

var lowerCase = regexp.MustCompile(`^[a-z]+$`)

func scheduler(p *parser, _, value string) {
	if !lowerCase.MatchString(value) {
		p.errorf("scheduler is %q: expected lower-case letters, such as rr or wrr", value)
		return
	}
	p.section.virtual.Scheduler = value
}

func protocol(p *parser, _, value string) {
	id := &p.section.virtual.ID
	switch mark := id.Protocol == FWM; {
	case mark && value != string(FWM):
		p.errorf("protocol is %q: expected fwm, because the virtual service is a firewall mark", value)
	case !mark && value != string(TCP) && value != string(UDP):
		p.errorf("protocol is %q: expected tcp or udp, because the virtual service is an address and port", value)
	default:
		id.Protocol = Protocol(value)
	}
}

func checkPort(p *parser, name, value string) {
	var n int
	if p.number(name, value, 1, 65535, &n) {
		p.section.virtual.Check.Port = uint16(n)
	}
}

func httpMethod(p *parser, _, value string) {
	switch m := strings.ToUpper(value); m {
	case "GET", "HEAD":
		p.section.virtual.Check.Method = m
	default:
		p.errorf("httpmethod is %q: expected GET or HEAD", value)
	}
}

func checkCount(p *parser, name, value string) {
	var n int
	if p.count(name, value, &n) {
		p.warnf("checkcount only counts for ping checks, which are not supported yet: use failurecount")
	}
}

func cleanStop(p *parser, name, value string) {
	var s string
	if p.yesNo(name, value, &s); s == "no" {
		p.warnf("cleanstop=no is not supported yet: with the userspace dataplane connections end with lvsproxy, after they were drained")
	}
}

func logFile(p *parser, name, value string) {
	if _, ok := p.quoted(name, value); ok {
		p.warnf("logfile is not supported yet: lvsproxy logs to standard error")
	}
}

// notYet is a directive that we recognise and that changes nothing about where connections go.
func notYet(consequence string) directive {
	return func(p *parser, name, _ string) { p.warnf("%s is not supported yet: %s", name, consequence) }
}

// refused is a directive whose absence would send connections elsewhere than the file says.
func refused(instead string) directive {
	return func(p *parser, name, _ string) {
		if instead != "" {
			p.errorf("%s is not supported yet: %s", name, instead)
			return
		}
		p.errorf("%s is not supported yet: expected no such directive", name)
	}
}

func refusedIf(bad, why string) directive {
	return func(p *parser, name, value string) {
		var s string
		if p.yesNo(name, value, &s); s == bad {
			p.errorf("%s=%s is not supported yet: %s", name, bad, why)
		}
	}
}

func gone(instead string) directive {
	return func(p *parser, name, _ string) { p.errorf("ldirectord gave up %s: expected %s", name, instead) }
}

const yes = "yes"

// noEffect is a yes/no directive of which one value makes no difference to us.
func noEffect(value, why string) directive {
	return func(p *parser, name, given string) {
		var s string
		if p.yesNo(name, given, &s); s == value {
			p.warnf("%s=%s has no effect: %s", name, value, why)
		}
	}
}

func (p *parser) yesNo(name, value string, to *string) {
	if value != "yes" && value != "no" {
		p.errorf("%s is %q: expected yes or no", name, value)
		return
	}
	*to = value
}

// maxNumber bounds every number of a file: as seconds, 24 days.
const maxNumber = 1<<21 - 1

var digits = regexp.MustCompile(`[0-9]+`)

// number reads the first number in value, as ldirectord does.
func (p *parser) number(name, value string, least, most int, to *int) bool {
	text := digits.FindString(value)
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		p.errorf("%s is %q: expected a whole number from %d to %d", name, value, least, most)
		return false
	}
	if text != value {
		p.warnf("%s is %q: read as %d", name, value, n)
	}
	*to = n
	return true
}

func (p *parser) count(name, value string, to *int) bool {
	return p.number(name, value, 1, maxNumber, to)
}

func (p *parser) seconds(name, value string, to *time.Duration) {
	var n int
	if p.number(name, value, 1, maxNumber, &n) {
		*to = time.Duration(n) * time.Second
	}
}

// quoted reads a value that ldirectord wants in double quotes, and not empty.
func (p *parser) quoted(name, value string) (string, bool) {
	first, last := strings.IndexByte(value, '"'), strings.LastIndexByte(value, '"')
	if first != 0 || last == 0 {
		p.errorf("%s is %s: expected a value in double quotes", name, value)
		return "", false
	}
	if last == 1 {
		p.errorf("%s is empty: expected something between the quotes", name)
		return "", false
	}
	if rest := value[last+1:]; rest != "" {
		p.warnf("%s: %q after the closing quote is ignored", name, rest)
	}
	return value[1:last], true
}

// unquote removes quotes around a value that may have them.
func unquote(s string) string {
	s = strings.TrimPrefix(s, `"`)
	s, _, _ = strings.Cut(s, `"`)
	return s
}

// rooted makes a request a path from the root, as ldirectord does.
func rooted(request string) string {
	if strings.HasPrefix(request, "/") {
		return request
	}
	return "/" + request
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
