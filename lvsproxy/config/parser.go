package config

import (
	"fmt"
	"strings"
	"time"
)

// parser holds what was read so far of one file.
type parser struct {
	file     string
	resolver Resolver
	line     int // the present line
	spec     Spec
	errors   Problems
	warnings Problems
	places   map[place]int
	seen     map[VirtualID]int // line of each virtual service
	reals    int               // in all virtual services

	global   settings
	section  *section   // the open virtual section, or nil
	sections []*section // those that are closed
}

// settings may be given globally and by virtual service. Zero means not given.
type settings struct {
	checkTimeout, negotiateTimeout time.Duration
	checkInterval                  time.Duration
	failureCount                   int
	quiescent                      string // yes, no or not given
	fallback, fallback6            *fallbackLine
	fork                           bool // global only
}

// section is a virtual service while its lines are being read. Addresses are resolved at the end only, because the
// protocol, which service names depend on, may come last.
type section struct {
	line     int
	broken   bool // its first line had an error: check the others, but add no service
	ipv6     bool
	host     string
	port     string
	virtual  Virtual
	settings settings
	request  string
	receive  string
	service  string
	reals    []realLine
	lines    map[string]int // last line of each directive

	refusedRequest int // line of a request that was complained about
}

func newParser(file string, r Resolver) *parser {
	return &parser{
		file: file, resolver: r,
		spec:   Spec{CheckInterval: DefaultCheckInterval},
		places: map[place]int{},
		seen:   map[VirtualID]int{},
	}
}

func (p *parser) errorf(format string, args ...any) { p.errorAt(p.line, format, args...) }

func (p *parser) errorAt(line int, format string, args ...any) {
	p.errors = append(p.errors, Problem{p.file, line, fmt.Sprintf(format, args...)})
}

func (p *parser) warnf(format string, args ...any) { p.warnAt(p.line, format, args...) }

func (p *parser) warnAt(line int, format string, args ...any) {
	p.warnings = append(p.warnings, Problem{p.file, line, fmt.Sprintf(format, args...)})
}

// parseLine takes one line without its end.
func (p *parser) parseLine(text string) {
	text = strings.TrimRight(stripComment(text), " \t\r\v\f")
	body := strings.TrimLeft(text, " \t")
	if body == "" {
		return
	}
	name, value, hasValue := strings.Cut(body, "=")
	name, value = strings.TrimRight(name, " \t"), strings.TrimLeft(value, " \t")
	switch indent := indentation(text); {
	case indent == 0:
		p.endSection()
		p.globalDirective(name, value, hasValue)
	case indent < 4:
		p.errorf("%q is indented by %d spaces: a line of a virtual section is indented by a tab or at least 4 spaces, any other not at all", name, indent)
	case name == "virtual" || name == "virtual6":
		p.errorf("%s begins a section and must not be indented", name)
	case p.section == nil:
		p.errorf("%q is indented, but no virtual section is open: expected virtual=ADDRESS:PORT before it", name)
	default:
		p.virtualDirective(name, value, hasValue)
	}
}

func (p *parser) globalDirective(name, value string, hasValue bool) {
	if name == "virtual" || name == "virtual6" {
		p.beginSection(value, name == "virtual6")
		return
	}
	if name == "supervised" && !hasValue { // ldirectord takes it for yes
		p.warnf("write supervised=yes instead of a bare supervised")
		return
	}
	d, ok := globalDirectives[name]
	switch {
	case !ok && virtualDirectives[name] != nil:
		p.errorf("%q belongs to a virtual section: indent it by a tab or at least 4 spaces, below a virtual= line", name)
	case !ok:
		p.errorf("unknown directive %q%s", name, expected(name, globalDirectives, "virtual", "virtual6"))
	case !hasValue:
		p.errorf("expected %s=VALUE", name)
	default:
		d(p, name, value)
	}
}

func (p *parser) virtualDirective(name, value string, hasValue bool) {
	d, ok := virtualDirectives[name]
	switch {
	case !ok && globalDirectives[name] != nil:
		p.errorf("%q is a global directive: it must not be indented", name)
	case !ok:
		p.errorf("unknown directive %q in a virtual section%s", name, expected(name, virtualDirectives))
	case !hasValue:
		p.errorf("expected %s=VALUE", name)
	default:
		p.section.lines[name] = p.line
		d(p, name, value)
	}
}

// stripComment removes what follows a # outside double quotes.
func stripComment(s string) string {
	quoted := false
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted
		case '#':
			if !quoted || strings.TrimLeft(s[:i], " \t") == "" {
				return s[:i]
			}
		}
	}
	if quoted { // an odd quote protects nothing
		if i := strings.IndexByte(s, '#'); i >= 0 {
			return s[:i]
		}
	}
	return s
}

// indentation counts leading blanks, a tab as four.
func indentation(s string) (n int) {
	for _, c := range []byte(s) {
		switch c {
		case ' ':
			n++
		case '\t':
			n += 4
		default:
			return n
		}
	}
	return n
}
