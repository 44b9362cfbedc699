package config

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ldirectord looks for what it wants in a value and drops the rest. We read the same, and warn of the rest.

const (
	// maxNumber bounds most numbers of a file: as seconds, 24 days.
	maxNumber = 1<<21 - 1
	// maxThreshold and maxPersistence are ipvsadm's limits for l:, u: and persistent.
	maxThreshold   = 1<<31 - 1
	maxPersistence = 31 * 24 * 60 * 60
)

const yes = "yes"

func (p *parser) yesNo(name, value string, to *given[bool]) {
	if value != yes && value != "no" {
		p.errorf("%s is %q: expected yes or no", name, value)
		return
	}
	*to = given[bool]{value == yes, p.line}
}

var digits = regexp.MustCompile(`[0-9]+`)

// number reads the first number in value.
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

func (p *parser) count(name, value string, to *given[int]) {
	var n int
	if p.number(name, value, 1, maxNumber, &n) {
		*to = given[int]{n, p.line}
	}
}

func (p *parser) seconds(name, value string, to *given[time.Duration]) {
	var n int
	if p.number(name, value, 1, maxNumber, &n) {
		*to = given[time.Duration]{time.Duration(n) * time.Second, p.line}
	}
}

// Words as ldirectord looks for them: \w+ in Perl, the same with hyphens, lower-case letters, and what is no blank.
var (
	plainWord  = regexp.MustCompile(`[A-Za-z0-9_]+`)
	hyphenWord = regexp.MustCompile(`[A-Za-z0-9_-]+`)
	lowerWord  = regexp.MustCompile(`[a-z]+`)
	fullWord   = regexp.MustCompile(`\S+`)
	hostWord   = regexp.MustCompile(`^[0-9A-Za-z._+-]+`)
)

// word reads the first word of a kind in value; empty means that there is none. It does not warn: the caller does so by
// [parser.dropped] once it knows that the word is good.
func word(value string, kind *regexp.Regexp) string { return kind.FindString(value) }

// dropped warns if a value is more than what was read of it.
func (p *parser) dropped(name, value, read string) {
	if value != read {
		p.warnf("%s is %q: read as %q", name, value, read)
	}
}

// quoted reads a value that ldirectord wants in double quotes, and not empty.
func (p *parser) quoted(name, value string) (string, bool) {
	s, ok := p.quotes(name, value)
	if ok && s == "" {
		p.errorf("%s is empty: expected something between the quotes", name)
		return "", false
	}
	return s, ok
}

// quotes reads a value in double quotes.
func (p *parser) quotes(name, value string) (string, bool) {
	first, last := strings.IndexByte(value, '"'), strings.LastIndexByte(value, '"')
	if first != 0 || last == 0 {
		if name == "passwd" || name == "secret" {
			value = "not"
		}
		p.errorf("%s is %s: expected a value in double quotes", name, value)
		return "", false
	}
	if rest := value[last+1:]; rest != "" {
		p.warnf("%s: %q after the closing quote is ignored", name, rest)
	}
	return value[1:last], true
}

// text reads a value that may stand in double quotes, and must not be empty.
func (p *parser) text(name, value string, to *given[string]) {
	s := value
	if strings.HasPrefix(value, `"`) && strings.LastIndexByte(value, '"') > 0 {
		s, _ = p.quotes(name, value)
	}
	if s == "" {
		p.errorf("%s is empty: expected a value", name)
		return
	}
	*to = given[string]{s, p.line}
}

// bare removes the double quotes round a value.
func bare(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// rooted makes a request a path from the root, as ldirectord does.
func rooted(request string) string {
	if strings.HasPrefix(request, "/") {
		return request
	}
	return "/" + request
}
