package config

import (
	"slices"
	"strings"
	"time"
)

// given is a value that a file may give, and the line where it does so last; line 0 means that it does not.
type given[T any] struct {
	value T
	line  int
}

// settings may stand outside a virtual section, for all of them, and in one.
type settings struct {
	checkTimeout, negotiateTimeout, checkInterval given[time.Duration]
	checkCount, failureCount                      given[int]
	quiescent, cleanStop                          given[bool]
	fallback, fallback6                           given[fallbackLine]
	fallbackCommand                               given[string]

	emailAlert, emailFrom, emailStatus, smtp given[string] // emailFrom is global only
	emailEvery                               given[time.Duration]

	fork bool // global only

	ownSettings
}

// applySettings merges what the section and what the whole file says, in the order of ldirectord's ld_setup.
func (p *parser) applySettings(s *section) {
	v, own, all := &s.virtual, &s.settings, &p.global
	c := &v.Check
	c.ConnectTimeout = pick(p, "checktimeout", DefaultCheckTimeout,
		own.checkTimeout, own.negotiateTimeout, all.checkTimeout, all.negotiateTimeout)
	c.NegotiateTimeout = pick(p, "negotiatetimeout", DefaultNegotiateTimeout,
		own.negotiateTimeout, own.checkTimeout, all.negotiateTimeout, all.checkTimeout)
	c.Count = pick(p, "checkcount", DefaultCheckCount, own.checkCount, all.checkCount)
	p.noteCheckCount(s)
	c.FailureCount = pick(p, "failurecount", DefaultFailureCount, own.failureCount, all.failureCount)
	p.applyInterval(s)
	v.Quiescent = pick(p, "quiescent", false, own.quiescent, all.quiescent)
	v.CleanStop = pick(p, "cleanstop", true, own.cleanStop, all.cleanStop)
	v.FallbackCommand = pick(p, "fallbackcommand", "", own.fallbackCommand, all.fallbackCommand)
	p.applyAlert(s)
	p.applyOwn(s)
}

// noteCheckCount warns of a checkcount that nothing counts.
func (p *parser) noteCheckCount(s *section) {
	v, own := &s.virtual, s.settings.checkCount
	pings := v.Check.Type == CheckPing || v.Check.Type == CheckConnect && v.ID.Protocol == UDP
	p.pings = p.pings || pings
	if own.line != 0 && !pings {
		p.warnAt(own.line, "%s", onlyPings)
	}
}

const onlyPings = "checkcount counts only for ping checks: use failurecount"

func (p *parser) applyInterval(s *section) {
	own, all := s.settings.checkInterval, p.global.checkInterval
	if own.line != 0 && !p.global.fork {
		p.warnAt(own.line, "checkinterval of a virtual service counts only with fork=yes: the global one is used")
		own = all
	}
	s.virtual.Check.Interval = pick(p, "checkinterval", DefaultCheckInterval, own, all)
}

// applyAlert leaves Alert zero but for the webhook where there is nobody to send mail to: the rest means nothing then.
func (p *parser) applyAlert(s *section) {
	own, all := &s.settings, &p.global
	to := pick(p, "emailalert", "", own.emailAlert, all.emailAlert)
	if to == "" {
		return
	}
	s.virtual.Alert = Alert{
		To:       to,
		From:     pick(p, "emailalertfrom", "", all.emailFrom),
		SMTP:     pick(p, "smtp", "", own.smtp, all.smtp),
		Every:    pick(p, "emailalertfreq", 0, own.emailEvery, all.emailEvery),
		Statuses: pick(p, "emailalertstatus", allStatuses, own.emailStatus, all.emailStatus),
	}
}

// pick returns the first value that was given, or else the default. It notes the line for the virtual service that is
// being finished, where [File] finds it.
func pick[T any](p *parser, directive string, byDefault T, values ...given[T]) T {
	at := place{len(p.spec.Virtuals), -1, directive}
	v := pickGiven(values...)
	if v.line == 0 {
		delete(p.places, at) // what stands in the section may not count
		return byDefault
	}
	p.places[at] = v.line
	return v.value
}

// statuses are those of emailalertstatus, sorted.
var statuses = []string{"reloading", "running", "starting", "stopping"}

var allStatuses = strings.Join(statuses, ",")

// emailStatus reads emailalertstatus as ldirectord does: "all" is each of them, and "none" stands alone.
func (p *parser) emailStatus(name, value string) (string, bool) {
	words := strings.Split(value, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	for len(words) > 0 && words[len(words)-1] == "" { // Perl's split drops what is empty at the end
		words = words[:len(words)-1]
	}
	found := map[string]bool{}
	for _, word := range words {
		switch {
		case word == "none":
		case word == "all":
			for _, s := range statuses {
				found[s] = true
			}
		case slices.Contains(statuses, word):
			found[word] = true
		default:
			p.errorf("%s is %q: expected all, none, or some of %s, joined by commas", name, value, strings.Join(statuses, ", "))
			return "", false
		}
	}
	if slices.Contains(words, "none") && len(found) > 0 {
		p.errorf("%s is %q: expected none without any other", name, value)
		return "", false
	}
	var sorted []string
	for _, s := range statuses {
		if found[s] {
			sorted = append(sorted, s)
		}
	}
	return strings.Join(sorted, ","), true
}
