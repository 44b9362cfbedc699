package config

import (
	"fmt"
	"strings"
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
	pings    bool              // some virtual service is checked by ping

	global   settings
	section  *section   // the open virtual section, or nil
	settings *settings  // of the present line: global, or of the section
	sections []*section // those that are closed
}

// section is a virtual service while its lines are being read. Addresses are resolved at the end only, because the
// protocol, which service names depend on, may come last.
type section struct {
	line       int
	broken     bool // its first line had an error: check the others, but add no service
	ipv6       bool
	host       string
	port       string
	virtual    Virtual
	settings   settings
	request    string
	receive    string
	service    string
	schedFlags string
	onePacket  given[bool]
	netmask    given[int]
	reals      []realLine
	lines      map[string]int // last line of each directive

	refusedRequest int // line of a request that was complained about
}

func newParser(file string, r Resolver) *parser {
	return &parser{
		file: file, resolver: r,
		spec:   Spec{},
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
	if p.ownComment(text) {
		return
	}
	text = strings.TrimRight(stripComment(text), " \t\r\v\f")
	body := strings.TrimLeft(text, " \t")
	if body == "" {
		return
	}
	indent := indentation(text)
	if indent >= 4 { // ldirectord does so before it looks at a section's line
		body = strings.ReplaceAll(body, "\t", "    ")
	}
	name, value, hasValue := split(body)
	switch {
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

// ownComment takes a line that is a comment to ldirectord and a directive to us. Indented, it belongs to the open
// section, and else to the whole file; it never ends a section, since to ldirectord it does not either.
func (p *parser) ownComment(text string) bool {
	directive, ok := strings.CutPrefix(strings.TrimLeft(text, " \t"), ownPrefix)
	if !ok {
		return false
	}
	name, value, hasValue := split(strings.TrimSpace(directive))
	indented := indentation(text) > 0
	switch {
	case ownDirectives[name] == nil:
		p.errorf("unknown directive %q after %s%s", name, ownPrefix, expected(name, ownDirectives))
	case !hasValue:
		p.errorf("expected %s %s=VALUE", ownPrefix, name)
	case indented && p.section == nil:
		p.errorf("%q is indented, but no virtual section is open: expected virtual=ADDRESS:PORT before it", name)
	case indented:
		p.section.lines[name] = p.line
		p.settings = &p.section.settings
		ownDirectives[name](p, name, value)
	default:
		p.settings = &p.global
		ownDirectives[name](p, name, value)
	}
	return true
}

// split takes a line apart at its first equals sign.
func split(line string) (name, value string, hasValue bool) {
	name, value, hasValue = strings.Cut(line, "=")
	return strings.TrimRight(name, " \t"), strings.TrimLeft(value, " \t"), hasValue
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
	d, ok := outside[name]
	switch {
	case !ok && inside[name] != nil:
		p.errorf("%q belongs to a virtual section: indent it by a tab or at least 4 spaces, below a virtual= line", name)
	case !ok:
		p.errorf("unknown directive %q%s", name, expected(name, outside, "virtual", "virtual6"))
	case !hasValue:
		p.errorf("expected %s=VALUE", name)
	default:
		p.settings = &p.global
		d(p, name, value)
	}
}

func (p *parser) virtualDirective(name, value string, hasValue bool) {
	d, ok := inside[name]
	switch {
	case !ok && outside[name] != nil:
		p.errorf("%q is a global directive: it must not be indented", name)
	case !ok:
		p.errorf("unknown directive %q in a virtual section%s", name, expected(name, inside))
	case !hasValue:
		p.errorf("expected %s=VALUE", name)
	default:
		p.section.lines[name] = p.line
		p.settings = &p.section.settings
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
