package config

import (
	"strconv"
	"strings"
	"time"
)

// ownPrefix begins a comment that holds a directive of ours, so that a file can serve ldirectord too, which takes it for
// a comment like any other.
const ownPrefix = "#lvsproxy:"

// ownDirectives are those that ldirectord does not have. They may stand in a virtual section, and outside as the default
// of all of them; plainly, or in a comment that begins with ownPrefix.
var ownDirectives = map[string]directive{
	"dataplane":     func(p *parser, name, value string) { p.oneOf(name, value, &p.settings.dataplane, dataplanes...) },
	"risecount":     func(p *parser, name, value string) { p.count(name, value, &p.settings.riseCount) },
	"slowstart":     func(p *parser, name, value string) { p.duration(name, value, &p.settings.slowStart) },
	"maxconn":       func(p *parser, name, value string) { p.size(name, value, &p.settings.maxConn) },
	"queue":         func(p *parser, name, value string) { p.size(name, value, &p.settings.queue) },
	"queuetimeout":  func(p *parser, name, value string) { p.duration(name, value, &p.settings.queueTimeout) },
	"acceptproxy":   func(p *parser, name, value string) { p.yesNo(name, value, &p.settings.acceptProxy) },
	"sendproxy":     sendProxy,
	"servertimeout": func(p *parser, name, value string) { p.duration(name, value, &p.settings.serverTimeout) },
	"idletimeout":   func(p *parser, name, value string) { p.duration(name, value, &p.settings.idleTimeout) },
	"draintimeout":  func(p *parser, name, value string) { p.duration(name, value, &p.settings.drainTimeout) },
	"webhook":       webhook,
}

// dataplanes are the values of dataplane.
var dataplanes = []string{"auto", "userspace", "ebpf", "ipvs"}

// ownSettings are the values of ownDirectives.
type ownSettings struct {
	dataplane, webhook                                                given[string]
	riseCount, maxConn, queue, sendProxy                              given[int]
	acceptProxy                                                       given[bool]
	slowStart, queueTimeout, serverTimeout, idleTimeout, drainTimeout given[time.Duration]
}

func (p *parser) applyOwn(s *section) {
	v, own, all := &s.virtual, &s.settings, &p.global
	v.Check.RiseCount = pick(p, "risecount", 0, own.riseCount, all.riseCount)
	v.Alert.Webhook = pick(p, "webhook", "", own.webhook, all.webhook)
	v.Own = Own{
		Dataplane:      pick(p, "dataplane", "", own.dataplane, all.dataplane),
		SlowStart:      pick(p, "slowstart", 0, own.slowStart, all.slowStart),
		MaxConns:       pick(p, "maxconn", 0, own.maxConn, all.maxConn),
		Queue:          pick(p, "queue", 0, own.queue, all.queue),
		QueueTimeout:   pick(p, "queuetimeout", 0, own.queueTimeout, all.queueTimeout),
		ProxyIn:        pick(p, "acceptproxy", false, own.acceptProxy, all.acceptProxy),
		ProxyOut:       pick(p, "sendproxy", 0, own.sendProxy, all.sendProxy),
		ConnectTimeout: pick(p, "servertimeout", 0, own.serverTimeout, all.serverTimeout),
		IdleTimeout:    pick(p, "idletimeout", 0, own.idleTimeout, all.idleTimeout),
		DrainTimeout:   pick(p, "draintimeout", 0, own.drainTimeout, all.drainTimeout),
	}
	if (v.Own.Queue == 0) != (v.Own.QueueTimeout == 0) {
		line := max(p.places[place{len(p.spec.Virtuals), -1, "queue"}], p.places[place{len(p.spec.Virtuals), -1, "queuetimeout"}])
		p.errorAt(line, "queue and queuetimeout: expected both, or neither")
	}
}

func sendProxy(p *parser, name, value string) {
	versions := map[string]int{"no": 0, "v1": 1, "v2": 2}
	n, ok := versions[value]
	if !ok {
		p.errorf("%s is %q: expected v1, v2 or no", name, value)
		return
	}
	p.settings.sendProxy = given[int]{n, p.line}
}

func webhook(p *parser, name, value string) {
	address := bare(value)
	if address != "no" && !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		p.errorf("%s is %q: expected an address that begins with http:// or https://, or no", name, value)
		return
	}
	if address == "no" {
		address = ""
	}
	p.settings.webhook = given[string]{address, p.line}
}

// oneOf reads one of some words.
func (p *parser) oneOf(name, value string, to *given[string], words ...string) {
	for _, w := range words {
		if w == value {
			*to = given[string]{value, p.line}
			return
		}
	}
	p.errorf("%s is %q: expected %s", name, value, strings.Join(words, " or "))
}

// size reads a count of which 0 means none.
func (p *parser) size(name, value string, to *given[int]) {
	var n int
	if p.number(name, value, 0, maxNumber, &n) {
		*to = given[int]{n, p.line}
	}
}

// duration reads a number of seconds, or a number with a unit: ms, s, m or h. 0 means none.
func (p *parser) duration(name, value string, to *given[time.Duration]) {
	text := value
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxNumber*time.Second || d%time.Millisecond != 0 {
		p.errorf("%s is %q: expected a number of seconds from 0 to %d, or a number with its unit, such as 500ms", name, value, maxNumber)
		return
	}
	*to = given[time.Duration]{d, p.line}
}
